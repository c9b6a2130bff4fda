"""Sees whether the chain of a trail is whole."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from mesh.agent.audit.chain import GENESIS, Head, read_sealed, why_broken
from mesh.agent.audit.entries import Entry, entry_of
from mesh.agent.audit.reading import MAX_LINE_BYTES
from mesh.agent.audit.trail_files import TRAILS, trail_files
from mesh.agent.regular_files import opened
from mesh.auditing import AuditKind

BREATH_LINES: Final = 500
"""After so many whoever waits for the processor has a turn."""

NO_HEAD: Final = Head()

_NOTED: Final = re.compile(
    rf"(?P<trail>{'|'.join(TRAILS)}):(?P<number>[0-9]{{1,15}}):(?P<hash>[0-9a-f]{{64}})"
)


def noted_heads(texts: Iterable[str]) -> dict[str, Head]:
    """Heads that somebody has noted, by trail.

    Raises:
        ValueError: a text is none; the error says what was expected.
    """
    found = {}
    for text in texts:
        match = _NOTED.fullmatch(text)
        if match is None:
            raise ValueError(
                f"expected TRAIL:NUMBER:HASH, the trail one of {', '.join(TRAILS)} and the hash "
                f"64 hexadecimal digits, found {text!r}"
            )
        found[match["trail"]] = Head(int(match["number"]), match["hash"])
    return found


class Checked(msgspec.Struct, frozen=True):
    """What a trail turned out to be."""

    trail: str
    files: int
    entries: int
    """That are sound, from the first on."""
    first: int
    """Number of the first that is there; 0 if there is none."""
    since: str
    """Time of the first."""
    head: Head
    """The last one that is sound."""
    problem: str
    """Where the first break is, by file and line, and what it is; empty if there is none."""


class _BrokenError(Exception):
    """The text says where and why."""


def checked(
    directory: Path, trail: str, noted: Head = NO_HEAD, breathe: Callable[[], None] = lambda: None
) -> Checked:
    """Go through all files of a trail, up to the first break.

    Args:
        directory: where they are.
        trail: its name.
        noted: a head that somebody has noted, which is to be part of it.
        breathe: is called from time to time, where others are to have a turn.

    Raises:
        OSError: they cannot be read.
    """
    files, walk, problem = trail_files(directory, trail), _Walk(noted, breathe), ""
    try:
        for _, path in files:
            walk.through(path)
        walk.end()
    except _BrokenError as error:
        problem = str(error)
    return Checked(trail, len(files), walk.entries, walk.first, walk.since, walk.head, problem)


class _Walk:
    """Along the lines of a trail."""

    def __init__(self, noted: Head, breathe: Callable[[], None]) -> None:
        self.entries = self.first = 0
        self.since = ""
        self.head = NO_HEAD
        self._noted, self._breathe = noted, breathe

    def through(self, path: Path) -> None:
        """All lines of the next file."""
        with opened(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
                if not number % BREATH_LINES:
                    self._breathe()
                place = f"{path}, line {number}"
                if not line.endswith(b"\n"):
                    raise _BrokenError(f"{place}: is cut off in the middle, or just being written")
                self._step(line[:-1], place, begins=number == 1)

    def _step(self, line: bytes, place: str, *, begins: bool) -> None:
        try:
            sealed, entry = read_sealed(line), entry_of(line) if begins else None
        except ValueError as error:
            raise _BrokenError(f"{place}: {error}") from None
        before = self.head
        if entry is not None:
            before = self._beginning(entry, place)
        if why := why_broken(before, sealed):
            raise _BrokenError(f"{place}: {why}")
        self.entries += 1
        self.head = sealed.head
        if self._noted.number == sealed.head.number and self._noted.digest != sealed.head.digest:
            raise _BrokenError(f"{place}: entry {sealed.head.number} is not the one that was noted")

    def _beginning(self, entry: Entry, place: str) -> Head:
        """What the first line of a file goes on from."""
        after = entry.facts.get("after")
        if entry.kind != AuditKind.FILE.value or not isinstance(after, str):
            raise _BrokenError(f"{place}: the beginning of the file is missing")
        if self.entries:
            if after == GENESIS:
                raise _BrokenError(f"{place}: another chain begins, which goes on from nothing")
            return self.head
        if entry.number > 1 and after == GENESIS:
            raise _BrokenError(f"{place}: entry {entry.number} says that nothing is before it")
        self.first, self.since = entry.number, entry.time
        return Head(entry.number - 1, after)

    def end(self) -> None:
        """See whether what was noted was there."""
        noted, head = self._noted.number, self.head.number
        if noted and noted > head:
            gone = f"entry {noted}" if noted == head + 1 else f"entries {head + 1} to {noted}"
            raise _BrokenError(f"the end is cut off: {gone} of those that there were are missing")
