"""Writes one trail of the audit log: appends to its newest file, and begins another when that is full."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from mesh.agent.audit.chain import Head, read_sealed, seal
from mesh.agent.audit.entries import encoded
from mesh.agent.audit.trail_files import trail_file, trail_files
from mesh.agent.files import DIRECTORY_MODE, PRIVATE_MODE
from mesh.auditing import AuditKind

TAIL_BYTES: Final = 256 * 1024
"""Of the newest file, in which its last line is looked for: more than several lines take."""

_NO_FILE: Final = -1


class Trail:
    """For one thread at a time. Nothing is opened before the first write.

    What is written is written whole or not at all: on a full disk, a line that was begun is taken back.

    Args:
        directory: where the files are; made if it is not there.
        name: of the trail.
        file_bytes: a file that has as many is followed by another.
        files: how many there are at most; the oldest goes.
    """

    def __init__(self, directory: Path, name: str, *, file_bytes: int, files: int) -> None:
        self.file_bytes, self.files = file_bytes, files
        self._directory, self._name = directory, name
        self._descriptor = _NO_FILE
        self._file = trail_file(directory, name, 0)
        self._size = 0
        self.head = Head()
        """Of what has been written."""
        self.remarks: list[str] = []
        """What was found that should not be; for whoever writes the log, who takes it out."""

    def write(self, entries: Sequence[bytes], unix_s: float) -> None:
        """Append these, JSON objects.

        Raises:
            OSError: they cannot be written, and none of them is.
        """
        if self._descriptor == _NO_FILE:
            self._open()
        elif not self._is_as_left():
            self.remarks.append(f"{self._file.path} was changed by somebody else; going on in another file")
            self._leave()
        lines, head = bytearray(), self.head
        if self._descriptor == _NO_FILE or self._size >= self.file_bytes:
            self._begin_file()
            entries = (encoded(AuditKind.FILE, unix_s, {"after": head.digest}), *entries)
        for entry in entries:
            line, head = seal(head, entry)
            lines += line
        self._append(bytes(lines))
        self.head = head

    def sync(self) -> None:
        """Have what has been written survive a power cut.

        Raises:
            OSError: the disk has failed.
        """
        if self._descriptor != _NO_FILE:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        self._leave()

    def _append(self, lines: bytes) -> None:
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._descriptor, lines[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            if not self._size:  # a file without a beginning is none
                with suppress(OSError):
                    self._file.path.unlink()
                self._leave()
            raise
        self._size += written

    def _leave(self) -> None:
        if self._descriptor != _NO_FILE:
            os.close(self._descriptor)
            self._descriptor = _NO_FILE

    def _is_as_left(self) -> bool:
        """Whether the file is still where it was, and as long as it was left."""
        try:
            there, own = os.lstat(self._file.path), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino, own.st_size) == (own.st_dev, own.st_ino, self._size)

    def _begin_file(self) -> None:
        present = trail_files(self._directory, self._name)
        for old in present[: max(0, len(present) - self.files + 1)]:
            old.path.unlink(missing_ok=True)  # first: the disk may be full
        number = max([self._file.number, *(each.number for each in present)]) + 1
        file = trail_file(self._directory, self._name, number)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(file.path, flags, PRIVATE_MODE)
        self._leave()
        self._descriptor, self._file, self._size = descriptor, file, 0

    def _open(self) -> None:
        """Go on where the agent left off before; a last line that was cut off goes."""
        self._directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        present = trail_files(self._directory, self._name)
        if not present or present[-1].number == self._file.number:
            return  # nothing, or what this one has left
        self._file = present[-1]
        descriptor = os.open(self._file.path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            tail = os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
            whole, _, torn = tail.rpartition(b"\n")
            self.head = read_sealed(whole.rpartition(b"\n")[2]).head
            if torn:
                os.ftruncate(descriptor, size - len(torn))
                self.remarks.append(
                    f"{self._file.path}: the last line, of {len(torn)} bytes, was cut off; it is removed"
                )
        except ValueError:
            os.close(descriptor)
            self.head = Head()
            self.remarks.append(f"{self._file.path}: the last line cannot be read; another chain begins")
        except BaseException:
            os.close(descriptor)
            raise
        else:
            self._descriptor, self._size = descriptor, size - len(torn)
