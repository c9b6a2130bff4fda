"""What is wrong with a configuration, so that its reader can mend everything in one go."""

from collections.abc import Iterable
from typing import Final

import msgspec

from mesh.errors import MeshError

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
        problems: all of them, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(map(str, self.problems)))


def quoted(text: str) -> str:
    """``text`` in quotes, shortened, with everything escaped that could move a terminal's cursor."""
    shown = text[:MAX_SHOWN_CHARACTERS]
    escaped = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in shown
    )
    return f'"{escaped}"' if len(shown) == len(text) else f'"{escaped}..." ({len(text)} characters)'
