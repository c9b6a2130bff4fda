"""What a certificate is to let an agent do: as people write it, and told back to them in a sentence."""

from collections.abc import Callable, Sequence
from typing import Final, Self

import msgspec

from mesh.config.suggestions import did_you_mean
from mesh.routing_keys import normal_key
from mesh.trust.issuing import Group, IssuingLimits

ANY_KEY: Final = "*"

DAY_S: Final = 86_400
ISSUED_S: Final = 90 * DAY_S
"""For how long an issuer's certificates may be valid if nothing is said: they are renewed by themselves."""

_PLAIN: Final = ("relay", "manage", "issue", "all")
_WITH_VALUE: Final = ("register", "use", "group")
_EXPECTED: Final = "relay, manage, issue, register=PATTERN, use=PATTERN, group=NAME or all"


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
    groups: tuple[str, ...] = ()
    """By which a configuration may mean it and others."""
    issue: IssuingLimits | None = None
    """What it may grant to others as an issuer; ``None`` if it is none."""

    @classmethod
    def everything(cls) -> Self:
        """All that concerns the agent itself, for a try-out."""
        return cls((ANY_KEY,), (ANY_KEY,), relay=True, manage=True)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left to grant."""
        return ANY_KEY in self.register and ANY_KEY in self.use and self.relay and self.manage


ANY_ISSUED: Final = IssuingLimits(ISSUED_S, (ANY_KEY,), (ANY_KEY,), may_relay=True, groups=(ANY_KEY,))
"""What ``issue`` alone means: it lets others in, with all rights but to manage."""


def parse_rights(text: str) -> Rights:
    """The rights in ``text``, as in ``relay:use=web-*``.

    Raises:
        ValueError: one of them is not known, or its pattern is no key; the text completes a sentence.
    """
    plain, valued = _parsed(text.split(":"), group_name)
    rights = Rights(
        tuple(valued["register"]), tuple(valued["use"]), relay="relay" in plain, manage="manage" in plain
    )
    return msgspec.structs.replace(
        Rights.everything() if "all" in plain else rights,
        groups=tuple(dict.fromkeys(valued["group"])),
        issue=ANY_ISSUED if "issue" in plain else None,
    )


def parse_limits(rights: Sequence[str], longest_s: int) -> IssuingLimits:
    """What an issuer may grant: ``rights`` as above, each by itself, and for groups patterns, too.

    Raises:
        ValueError: as there, or it is to make issuers.
    """
    plain, valued = _parsed(rights, _group_pattern)
    if "issue" in plain:
        raise ValueError("expected rights that an issuer can grant: only an authority makes issuers")
    if "all" in plain:
        return IssuingLimits(longest_s, (ANY_KEY,), (ANY_KEY,), True, True, (ANY_KEY,))
    return IssuingLimits(
        longest_s,
        tuple(valued["register"]),
        tuple(valued["use"]),
        "relay" in plain,
        "manage" in plain,
        tuple(valued["group"]),
    )


def _parsed(parts: Sequence[str], group: Callable[[str], str]) -> tuple[set[str], dict[str, list[str]]]:
    """The plain rights, and the values of each of the others."""
    valued: dict[str, list[str]] = {word: [] for word in _WITH_VALUE}
    plain: set[str] = set()
    for part in parts:
        word, given, value = (piece.strip() for piece in part.partition("="))
        if word in _WITH_VALUE:
            if not value:
                expected = "a name after group, as in group=staff"
                if word != "group":
                    expected = f"a pattern after {word}, as in {word}=web-* or {word}=*"
                raise ValueError(f"expected {expected}")
            try:
                valued[word].append(group(value) if word == "group" else normal_key(value))
            except ValueError as error:
                raise ValueError(f"{part.strip()}: expected {error}") from None
        elif word in _PLAIN:
            if given:
                raise ValueError(f"expected {word} without a value, found {part.strip()!r}")
            plain.add(word)
        else:
            raise ValueError(_unknown(part.strip(), word))
    return plain, valued


def group_name(text: str) -> str:
    """The name of a group.

    Raises:
        ValueError: it is none; the message says what was expected.
    """
    try:
        return msgspec.convert(text, Group)
    except msgspec.ValidationError:
        raise ValueError(
            "a group's name of 1 to 63 letters, digits, dots, dashes or underscores, which begins and ends "
            f"with a letter or digit, not {text!r}"
        ) from None


def _group_pattern(text: str) -> str:
    group_name(text.replace("*", "a").replace("?", "a"))
    return text


def _unknown(part: str, word: str) -> str:
    hint = did_you_mean(word, (*_PLAIN, *_WITH_VALUE))
    more = hint or "a pattern that has a colon or a comma is for: mesh certificate sign --register, --use"
    return f"expected the right {_EXPECTED}, found {part!r}; {more}"


def told(name: str, rights: Rights) -> str:
    """Who may what, in sentences."""
    groups = f" Its groups: {', '.join(rights.groups)}." if rights.groups else ""
    issuing = "" if rights.issue is None else f" {told_limits(rights.issue)}"
    if rights.is_everything:
        return (
            f"{name} may do everything: offer and use any key, carry others' traffic "
            f"and manage other agents. That is for a try-out.{groups}{issuing}"
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
    return f"{name} {allowed}; it carries {whose} traffic.{groups}{issuing}"


def told_limits(limits: IssuingLimits) -> str:
    """What an issuer may grant, in a sentence."""
    may = []
    if limits.may_register:
        may.append(f"offer {_keys(limits.may_register)}")
    if limits.may_use:
        may.append(f"use {_keys(limits.may_use)}")
    if limits.may_relay:
        may.append("relay")
    if limits.may_manage:
        may.append("manage other agents")
    if limits.groups:
        may.append("be in any group" if ANY_KEY in limits.groups else f"be in {', '.join(limits.groups)}")
    what = f"may let them {', '.join(may)}" if may else "may let them do nothing"
    return f"It lets others in, for {limits.longest_s / DAY_S:.4g} days at a time, and {what}."


def _keys(patterns: tuple[str, ...]) -> str:
    return "any key" if ANY_KEY in patterns else ", ".join(patterns)
