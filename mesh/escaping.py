"""Text from strangers, made fit for one line of a log."""

import re
from typing import Final

MAX_MESSAGE_CHARACTERS: Final = 4096
"""Of one message: what a peer supplied cannot fill the disk with one line."""


_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d159"
    "\U000e0100-\U000e01ef]"
)
"""Letters, marks and symbols that show nothing, though they count as printable: fillers and variation
selectors (Unicode's Default_Ignorable_Code_Point), and two blanks. With one a name looks like another."""


def can_be_seen(text: str) -> bool:
    """Whether every character of ``text`` shows something, or is a space."""
    return text.isprintable() and (text.isascii() or _UNSEEN.search(text) is None)


def escaped(text: str) -> str:
    """``text`` on one line: what steers a terminal, turns its direction or shows nothing is escaped."""
    shown = text[:MAX_MESSAGE_CHARACTERS]
    if not can_be_seen(shown):
        shown = "".join(
            character if can_be_seen(character) else character.encode("unicode_escape").decode("ascii")
            for character in shown
        )
    left_out = len(text) - MAX_MESSAGE_CHARACTERS
    return shown if left_out <= 0 else f"{shown}... ({left_out} characters more)"
