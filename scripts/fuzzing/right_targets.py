"""Targets of rights: patterns that certificates grant, and lists that mean agents."""

import unicodedata
from typing import Final

import msgspec

from mesh.trust.issuing import MAX_PATTERN_CHARACTERS, IssuingLimits, Passing
from mesh.trust.naming import GROUP_PREFIX, listing
from mesh.trust.patterns import Comparison, granting, matches
from scripts.fuzzing.choices import Choices
from scripts.fuzzing.people import ME

_ALPHABET: Final = (
    "a",
    "b",
    "*",
    "?",
    "ab",
    "**",
    "[",
    "]",
    "!",
    "-",
    "\\",
    "\n",
    "\u00e9",
    "e\u0301",
    "\u0301",
    "A",
)
_MOST_KEYS: Final = 6


def patterns(data: bytes) -> None:
    """What an issuer may pass on: nobody gets a key by it that the issuer's own limits do not match."""
    choices = Choices(data)
    wide = tuple(_text(choices, 12) for _ in range(1 + choices.below(3)))
    narrow = tuple(_text(choices, 12) for _ in range(1 + choices.below(3)))
    limits = IssuingLimits(60, wide, wide, groups=wide)
    wanted = Passing(register=narrow, use=narrow, relay=False, manage=False, groups=())
    excess = limits.excess(wanted)
    assert excess.isprintable() or "\n" in repr(wide) + repr(narrow)  # noqa: S101
    is_within = Comparison().is_within
    for _ in range(_MOST_KEYS):
        key = _key(choices, narrow)
        granted = granting(narrow, key)
        assert bool(granted) == any(_plainly(key, pattern) for pattern in narrow)  # noqa: S101
        assert excess or not granted or granting(wide, key), (narrow, wide, key)  # noqa: S101
        for one in narrow:
            for other in wide:
                if is_within(one, other) and matches(key, one):
                    assert matches(key, other), (key, one, other)  # noqa: S101
    if choices.below(8) == 1:
        _hard(narrow[0], limits, wanted)
    _lists(choices)


def _hard(pattern: str, limits: IssuingLimits, wanted: Passing) -> None:
    """The longest patterns, which somebody may have made to be hard: the bounds of time are what is tried."""
    long = (pattern * MAX_PATTERN_CHARACTERS)[:MAX_PATTERN_CHARACTERS]
    limits.excess(msgspec.structs.replace(wanted, use=(long, long[1:] or "a")))
    one = msgspec.structs.replace(wanted, register=(), use=(long[:-1] or "a",))
    IssuingLimits(60, (), (long,)).excess(one)
    matches(long[:200], long)


def _text(choices: Choices, most: int) -> str:
    return "".join(choices.one_of(_ALPHABET) for _ in range(1 + choices.below(most)))


def _key(choices: Choices, narrow: tuple[str, ...]) -> str:
    """A text, more often than not one that a pattern matches."""
    if choices.below(4) == 0:
        return _text(choices, 12)
    key = ""
    for each in choices.one_of(narrow):
        if each == "*":
            key += _text(choices, 3) if choices.yes() else ""
        else:
            key += choices.one_of("ab\u00e9A-") if each == "?" else each
    return key


def _plainly(key: str, pattern: str) -> bool:
    """Whether it matches, by another algorithm: one row of a table for each character of the pattern."""
    key, pattern = unicodedata.normalize("NFC", key), unicodedata.normalize("NFC", pattern)
    row = [True] + [False] * len(key)
    for each in pattern:
        if each == "*":
            for at in range(len(key)):
                row[at + 1] = row[at + 1] or row[at]
        else:
            row = [False] + [row[at] and each in ("?", key[at]) for at in range(len(key))]
    return row[-1]


def _lists(choices: Choices) -> None:
    """A list of agents means one by its ID, its name or a group, and by nothing that looks like these."""
    name = choices.one_of(("hq", "group:dba", ME.id.hex(), "dba", "HQ"))
    groups = (choices.one_of(("dba", "hq", "ops")),)
    listed = tuple(choices.one_of(("hq", "group:dba", ME.id.hex(), "dba", "group:hq")) for _ in range(2))
    found = listing(listed, name, ME.id, groups)
    expected = {ME.id.hex(), f"{GROUP_PREFIX}{groups[0]}"} | ({name} if name in ("hq", "dba") else set())
    assert bool(found) == bool(expected & set(listed))  # noqa: S101
    assert not found or found in listed  # noqa: S101
