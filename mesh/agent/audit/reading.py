"""Reads the entries of a trail, from the newest files only as far as they are wanted."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from mesh.agent.audit.entries import Entry, entry_of
from mesh.agent.audit.trail_files import opened, trail_files


class TrailReader:
    """Of one trail: the last entries, and then whatever comes; lines that are none are passed over."""

    def __init__(self, directory: Path, trail: str) -> None:
        self._directory, self._trail = directory, trail
        self._number = 0
        """Of the file that has been read last, up to ``_offset``."""
        self._offset = 0

    def last(self, count: int) -> list[Entry]:
        """The last ``count`` entries, the oldest first.

        Raises:
            OSError: they cannot be read.
        """
        found: deque[Entry] = deque()
        for file in reversed(trail_files(self._directory, self._trail)):
            entries, end = _entries(file.path, 0)
            if file.number > self._number:
                self._number, self._offset = file.number, end
            found.extendleft(reversed(entries[-(count - len(found)) :] if count > len(found) else []))
            if len(found) >= count:
                break
        return list(found)

    def further(self) -> Iterator[Entry]:
        """What has come since.

        Raises:
            OSError: it cannot be read.
        """
        for file in trail_files(self._directory, self._trail):
            if file.number < self._number:
                continue
            entries, end = _entries(file.path, self._offset if file.number == self._number else 0)
            self._number, self._offset = file.number, end
            yield from entries


def _entries(path: Path, offset: int) -> tuple[list[Entry], int]:
    """Those from ``offset`` on that are complete, and where they end."""
    with opened(path) as file:
        file.seek(offset)
        whole, _, _ = file.read().rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    found = []
    for line in lines:
        try:
            found.append(entry_of(line))
        except ValueError:
            continue  # mesh audit verify names it
    return found, offset + (len(whole) + 1 if lines else 0)
