"""Reads the entries of a trail in pages, from any place in its files, no more of them than a page has."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from mesh.agent.audit.entries import Entry, entry_of
from mesh.agent.audit.trail_files import trail_files
from mesh.agent.regular_files import opened

MAX_PAGE_BYTES: Final = 512 * 1024
"""Of lines, unless one alone has more."""

MAX_PAGE_ENTRIES: Final = 1_000

BLOCK_BYTES: Final = 64 * 1024

MAX_LINE_BYTES: Final = 1024 * 1024
"""More than any line has."""


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place between two lines of a trail."""

    file: int
    """Number of the file."""
    offset: int

    def __str__(self) -> str:
        """As programs are given it, to be given back."""
        return f"{self.file}-{self.offset}"


BEGIN: Final = Cursor(0, 0)
END: Final = Cursor(10**30, 0)
"""Before and behind all that there can be."""


def cursor_of(text: str) -> Cursor:
    """The cursor that was given.

    Raises:
        ValueError: it is none.
    """
    file, _, offset = text.partition("-")
    return Cursor(int(file), int(offset))


class TrailPage(msgspec.Struct, frozen=True):
    """Some entries of a trail, the oldest first; lines that are none are passed over."""

    entries: tuple[Entry, ...]
    before: Cursor
    """What is older ends here."""
    after: Cursor
    """What is newer begins here."""


def older(directory: Path, trail: str, before: Cursor, count: int) -> TrailPage:
    """The last ``count`` entries before a place, or fewer if they are large.

    Raises:
        OSError: they cannot be read.
    """
    found: list[Entry] = []
    room, place, after = MAX_PAGE_BYTES, before, before
    is_full = count <= 0
    files = trail_files(directory, trail)
    if before == END:
        after = Cursor(files[-1].number, _end_of_lines(files[-1].path)) if files else BEGIN
    for file in reversed(files):
        if file.number > before.file or is_full:
            continue
        with opened(file.path) as stream:
            end = _size(stream)
            if file.number == before.file:
                end = min(end, before.offset)
            for start, line in _backwards(stream, end):
                if len(found) >= count or (found and len(line) > room):
                    is_full = True
                    break
                room -= len(line)
                place = Cursor(file.number, start)
                found += _entry(line)
    return TrailPage(tuple(reversed(found)), place if is_full else BEGIN, after)


def newer(directory: Path, trail: str, after: Cursor, count: int) -> TrailPage:
    """The first ``count`` entries after a place, or fewer if they are large.

    Raises:
        OSError: they cannot be read.
    """
    found: list[Entry] = []
    room, place = MAX_PAGE_BYTES, after
    for file in trail_files(directory, trail):
        if file.number < after.file:
            continue
        with opened(file.path) as stream:
            offset = min(after.offset, _size(stream)) if file.number == after.file else 0
            stream.seek(offset)
            while line := stream.readline(MAX_LINE_BYTES):
                if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                    break  # it is being written
                if len(found) >= count or (found and len(line) > room):
                    return TrailPage(tuple(found), after, place)
                room, offset = room - len(line), offset + len(line)
                place = Cursor(file.number, offset)
                found += _entry(line)
    return TrailPage(tuple(found), after, place)


def _entry(line: bytes) -> tuple[Entry, ...]:
    try:
        return (entry_of(line),)
    except ValueError:
        return ()  # mesh audit verify names it


def _end_of_lines(path: Path) -> int:
    """Where the last whole line ends."""
    with opened(path) as stream:
        for start, line in _backwards(stream, _size(stream)):
            return start + len(line) + 1
    return 0


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _backwards(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """Offset and text of each whole line before ``end``, the last one first."""
    at, held, is_torn = end, b"", True
    while at > 0:
        size = min(BLOCK_BYTES, at)
        at -= size
        file.seek(at)
        data = file.read(size) + held
        held, *lines = data.split(b"\n")
        start = at + len(data)
        for line in reversed(lines):
            start -= len(line)
            if not is_torn:
                yield start, line
            is_torn = False  # what is behind the last line's end is no line, and mostly nothing
            start -= 1
        if len(held) > MAX_LINE_BYTES:
            held = held[:1]  # it is no entry, whatever it is
    if held and not is_torn:
        yield 0, held
