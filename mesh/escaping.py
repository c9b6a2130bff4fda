"""Text from strangers, made fit for one line of a log."""

from typing import Final

MAX_MESSAGE_CHARACTERS: Final = 4096
"""Of one message: what a peer supplied cannot fill the disk with one line."""


def escaped(text: str) -> str:
    """``text`` on one line: control characters, line ends and text-direction marks as backslash escapes."""
    shown = text[:MAX_MESSAGE_CHARACTERS]
    if not shown.isprintable():
        shown = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
            for character in shown
        )
    left_out = len(text) - MAX_MESSAGE_CHARACTERS
    return shown if left_out <= 0 else f"{shown}... ({left_out} characters more)"
