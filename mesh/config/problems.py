"""What is wrong with a configuration, so that its reader can mend everything in one go."""

from collections.abc import Iterable
from typing import Final

import msgspec

from mesh.errors import MeshError

MAX_PROBLEMS: Final = 100
"""Told of one file. A reader mends the first few and asks again; a large file that is all mistakes would
otherwise take a minute and a gigabyte to judge."""

MAX_SHOWN_CHARACTERS: Final = 60
"""Of a found value: enough to recognise it, and one problem stays one line."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong, where, and what belongs there."""

    file: str
    line: int
    """Counted from 1; 0 where the file itself is the problem."""
    path: str
    """Dotted, ``forward.endpoints[0].target``; empty where the file itself is the problem."""
    found: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        field = f" {self.path}:" if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}:{field} found {self.found}; expected {self.expected}{hint}"


class ConfigError(MeshError):
    """A configuration that cannot be used; the text has one line for each problem.

    Attributes:
        problems: all of them, or the first ``MAX_PROBLEMS`` that were found, in the order of the file.
        are_more: whether the rest of the file was not looked at any more.
    """

    def __init__(self, problems: Iterable[Problem], *, are_more: bool = False) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        self.are_more = are_more
        lines = [*map(str, self.problems), *(("... and more",) if are_more else ())]
        super().__init__("\n".join(lines))


class TooManyProblems(Exception):  # noqa: N818 - the end of a search, not an error of its own
    """``MAX_PROBLEMS`` have been found and there is another: the search ends."""


def quoted(text: str) -> str:
    """``text`` in quotes, shortened, with everything escaped that could move a terminal's cursor."""
    shown = text[:MAX_SHOWN_CHARACTERS]
    escaped = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in shown
    )
    return f'"{escaped}"' if len(shown) == len(text) else f'"{escaped}..." ({len(text)} characters)'
