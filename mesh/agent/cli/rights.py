"""What a certificate is to let an agent do: as people write it, and told back to them in a sentence."""

from typing import Final, Self

import msgspec

from mesh.config.suggestions import did_you_mean
from mesh.routing_keys import normal_key

ANY_KEY: Final = "*"

_PLAIN: Final = ("relay", "manage", "all")
_WITH_PATTERN: Final = ("register", "use")
_EXPECTED: Final = "relay, manage, register=PATTERN, use=PATTERN or all"


class Rights(msgspec.Struct, frozen=True):
    """What is granted; what is not named is denied."""

    register: tuple[str, ...] = ()
    """Patterns of the keys that the agent may offer endpoints for."""
    use: tuple[str, ...] = ()
    """Patterns of the keys that it may open connections to."""
    relay: bool = False
    """Whether others' connections may pass through it."""
    manage: bool = False
    """Whether it may manage other agents."""

    @classmethod
    def everything(cls) -> Self:
        """All four, for a try-out."""
        return cls((ANY_KEY,), (ANY_KEY,), relay=True, manage=True)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left to grant."""
        return ANY_KEY in self.register and ANY_KEY in self.use and self.relay and self.manage


def parse_rights(text: str) -> Rights:
    """The rights in ``text``, as in ``relay:use=web-*``.

    Raises:
        ValueError: one of them is not known, or its pattern is no key; the text completes a sentence.
    """
    register: list[str] = []
    use: list[str] = []
    plain: set[str] = set()
    for part in text.split(":"):
        word, given, pattern = (piece.strip() for piece in part.partition("="))
        if word in _WITH_PATTERN:
            if not pattern:
                raise ValueError(f"expected a pattern after {word}, as in {word}=web-* or {word}=*")
            try:
                (register if word == "register" else use).append(normal_key(pattern))
            except ValueError as error:
                raise ValueError(f"{part.strip()}: expected {error}") from None
        elif word in _PLAIN:
            if given:
                raise ValueError(f"expected {word} without a value, found {part.strip()!r}")
            plain.add(word)
        else:
            raise ValueError(_unknown(part.strip(), word))
    if "all" in plain:
        return Rights.everything()
    return Rights(tuple(register), tuple(use), relay="relay" in plain, manage="manage" in plain)


def _unknown(part: str, word: str) -> str:
    hint = did_you_mean(word, (*_PLAIN, *_WITH_PATTERN))
    more = hint or "a pattern that has a colon or a comma is for: mesh certificate sign --register, --use"
    return f"expected the right {_EXPECTED}, found {part!r}; {more}"


def told(name: str, rights: Rights) -> str:
    """Who may what, as a sentence."""
    if rights.is_everything:
        return (
            f"{name} may do everything: offer and use any key, carry others' traffic "
            "and manage other agents. That is for a try-out."
        )
    may = []
    if rights.register:
        may.append(f"offer {_keys(rights.register)}")
    if rights.use:
        may.append(f"use {_keys(rights.use)}")
    if rights.manage:
        may.append("manage other agents")
    allowed = f"may {' and '.join(may)}" if may else "may neither offer nor use a key"
    whose = "others'" if rights.relay else "nobody's"
    return f"{name} {allowed}; it carries {whose} traffic."


def _keys(patterns: tuple[str, ...]) -> str:
    return "any key" if ANY_KEY in patterns else ", ".join(patterns)
