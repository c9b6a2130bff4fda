"""Patterns of routing keys: ``*`` stands for any characters, none included, ``?`` for exactly one.

Whether all that one pattern matches is matched by another, too, is decided on the automaton of the wider
one. A wildcard of the narrower one stands for characters that the wider one does not name: whatever matches
those has matched them by wildcards of its own, and so matches any others in their place. All that is left
open is how many characters each ``*`` stands for.
"""

import re
import unicodedata
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from typing import Final

MAX_STEPS: Final = 4096
"""To compare the patterns of one certificate: some 5 ms. A usual pattern takes as many as it has characters,
and none if it is compared with one whose only wildcard is a star at its end."""

REMEMBERED: Final = 1024
"""Answers that are remembered: each connection asks at either end, and mostly the same. A quarter of a
megabyte, if somebody asks for other keys all the time."""

FEW: Final = 8
"""So many are tried one by one."""

COMPILED: Final = 256
"""Lists of more than that for which one expression is kept; to make it takes some 50 us for each pattern."""

_STAR: Final = "*"
_ONE: Final = "?"
_START: Final = 1


def matches(key: str, pattern: str) -> bool:
    """Whether all of ``key`` matches; upper and lower case differ."""
    if not (key.isascii() and pattern.isascii()):  # what looks the same is the same: mesh.routing_keys
        key, pattern = (unicodedata.normalize("NFC", text) for text in (key, pattern))
    return fnmatchcase(key, _of_fnmatch(pattern))


def _of_fnmatch(pattern: str) -> str:
    """Of what that knows, a bracket is no wildcard here. Its translation does not backtrack exponentially."""
    return pattern.replace("[", "[[]")


@lru_cache(COMPILED)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Matches a key in NFC that any of ``patterns`` does."""
    normal = (unicodedata.normalize("NFC", pattern) for pattern in patterns)
    return re.compile("|".join(f"(?:{translate(_of_fnmatch(pattern))})" for pattern in normal))


@lru_cache(REMEMBERED)
def grants(patterns: tuple[str, ...], key: str) -> bool:
    """Whether any of a certificate's ``patterns`` grants the routing key ``key``.

    A record may have thousands of keys, and its certificate hundreds of patterns: tried one by one they would
    take as long as hundreds of signatures.
    """
    if len(patterns) <= FEW:
        return bool(granting(patterns, key))
    return _any_of(patterns).match(unicodedata.normalize("NFC", key)) is not None


@lru_cache(REMEMBERED)
def granting(patterns: tuple[str, ...], key: str) -> str:
    """The first of a certificate's ``patterns`` that grants the routing key ``key``; empty if none does."""
    for pattern in patterns:
        if matches(key, pattern):
            return pattern
    return ""


class Comparison:
    """Compares patterns as long as there are steps left: somebody hostile may have made them.

    Args:
        steps: that it may take in all.
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._left = steps

    def is_within(self, narrow: str, wide: str) -> bool:
        """Whether every text that ``narrow`` matches matches ``wide``; no, if that takes too many steps."""
        if wide in (_STAR, narrow):
            return True
        narrow, wide = (unicodedata.normalize("NFC", text) for text in (narrow, wide))
        if not _has_wildcard(narrow):
            return matches(narrow, wide)
        if wide.endswith(_STAR) and not _has_wildcard(wide[:-1]):
            return narrow.startswith(wide[:-1])
        return self._decide(narrow, _Automaton(wide))

    def _decide(self, narrow: str, automaton: "_Automaton") -> bool:
        todo = [(0, automaton.start)]
        seen = set(todo)
        while todo:
            if self._left <= 0:
                return False
            self._left -= 1
            position, states = todo.pop()
            if position == len(narrow):
                if not automaton.accepts(states):
                    return False
                continue
            character = narrow[position]
            if character == _STAR:
                following = {(position + 1, states), (position, automaton.after_other(states))}
            elif character == _ONE:
                following = {(position + 1, automaton.after_other(states))}
            else:
                following = {(position + 1, automaton.after(states, character))}
            todo += following - seen
            seen |= following
        return True


class _Automaton:
    """Matches a pattern. Bit ``i`` of a set of states: ``i`` of the pattern's characters are matched."""

    def __init__(self, pattern: str) -> None:
        while _STAR * 2 in pattern:
            pattern = pattern.replace(_STAR * 2, _STAR)
        self._stars = _bits(pattern, _STAR)
        self._ones = _bits(pattern, _ONE)
        self._literals = {each: _bits(pattern, each) for each in set(pattern) - {_STAR, _ONE}}
        self._end = 1 << len(pattern)
        self.start = self._closed(_START)

    def after(self, states: int, character: str) -> int:
        """The states after one more character."""
        taken = states & (self._ones | self._literals.get(character, 0))
        return self._closed(taken << 1 | states & self._stars)

    def after_other(self, states: int) -> int:
        """The states after a character that the pattern does not name."""
        return self._closed((states & self._ones) << 1 | states & self._stars)

    def accepts(self, states: int) -> bool:
        """Whether the text may end here."""
        return bool(states & self._end)

    def _closed(self, states: int) -> int:
        """With those that are reached without a character: a star may stand for none."""
        return states | (states & self._stars) << 1


def _has_wildcard(pattern: str) -> bool:
    return _STAR in pattern or _ONE in pattern


def _bits(pattern: str, character: str) -> int:
    return sum(1 << position for position, each in enumerate(pattern) if each == character)
