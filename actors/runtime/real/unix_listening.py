"""Listening unix sockets: their file is there while they are, and nobody but its user may connect.

A file that a process has left behind is replaced. One that a living process has bound is not, though it may
be parked and refuse clients: the kernel lists those in ``/proc/net/unix``. A file of our own that is removed,
as by what cleans up temporary ones, is made anew: nobody finds a socket without its file.
"""

import contextlib
import errno
import logging
import os
import socket
import stat
from pathlib import Path
from typing import Final, TypeAlias

from actors.runtime.descriptors import refuse_descriptors
from actors.runtime.real.listening import BACKLOG, LoopListeningSocket
from actors.runtime.real.readiness import Reactor
from actors.runtime.seam import SocketOptions
from mesh.addresses import MAX_UNIX_PATH_BYTES

logger = logging.getLogger(__name__)

LOOK_S: Final = 5.0
"""How often it is looked whether the file is there: one question to the file system."""

MODE: Final = 0o600
"""Connecting takes the right to write: unix(7)."""

_File: TypeAlias = tuple[int, int]
"""Which one is at a path: its device and inode."""

_BOUND: Final = Path("/proc/net/unix")
"""Every unix socket of this network namespace, and the path that it is bound to: proc_net(5)."""


class LoopUnixListeningSocket(LoopListeningSocket):
    """A listening unix socket. Its ``listen`` cannot be taken back: parking puts a fresh socket there."""

    __slots__ = ("_complaint", "_file", "_path", "_timer")

    def __init__(self, reactor: Reactor, path: str, options: SocketOptions) -> None:
        super().__init__(reactor, _bound(path), options)
        self._path = path
        self._file = _file_at(path)
        self._complaint = ""
        """Why a file that was removed is not there again."""
        self._timer = reactor.call_later(LOOK_S, self._look)

    def close(self) -> None:
        """Give up the path and remove its file; idempotent."""
        self._timer.cancel()
        if self._socket.fileno() >= 0:
            self._remove_file()
        super().close()

    def _start_listening(self) -> None:
        self._socket.listen(BACKLOG)

    def _stop_listening(self) -> None:
        self._socket.close()
        self._remove_file()
        self._socket = _bound(self._path)
        self._file = _file_at(self._path)
        self._readiness = self._readiness.moved_to(self._socket.fileno())

    def _look(self) -> None:
        self._timer = self._reactor.call_later(LOOK_S, self._look)
        if os.path.lexists(self._path):  # if it is another's, that one has the path
            return
        try:
            fresh = _bound(self._path)
        except OSError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                logger.error("the socket %s was removed: %s", self._path, error)  # noqa: TRY400 - of the system
            return
        self._complaint = ""
        logger.warning("the socket %s was removed, and is there again", self._path)
        self._readiness.pause()
        before, self._socket = self._socket, fresh
        self._readiness = self._readiness.moved_to(fresh.fileno())
        before.close()  # who waits in it is reset
        with contextlib.suppress(OSError):  # it has been removed again: the next look will see
            self._file = _file_at(self._path)
        if self._listening:
            fresh.listen(BACKLOG)
            self._watch()

    def _remove_file(self) -> None:
        with contextlib.suppress(OSError):
            if _file_at(self._path) == self._file:  # else somebody has put another there
                Path(self._path).unlink()


def _bound(path: str) -> socket.socket:
    """A bound unix socket; the file of a process that has gone is replaced.

    Raises:
        OSError: something else has that path, or it cannot be made.
    """
    if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"a unix socket's path has at most {MAX_UNIX_PATH_BYTES} bytes")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        refuse_descriptors(sock)  # those that it accepts do as well
        # Its file has it from the first moment. Set by name later, it could be set of what a link leads to.
        os.fchmod(sock.fileno(), MODE)
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_stale(path):
                raise
            Path(path).unlink()
            sock.bind(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_stale(path: str) -> bool:
    """Whether ``path`` is the socket file of a process that has gone."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            return False
    return not _is_bound(path)


def _is_bound(path: str) -> bool:
    """Whether a living process has a socket at ``path``, though it does not listen."""
    try:
        listed = _BOUND.read_bytes()
    except OSError:
        return False
    wanted = os.fsencode(path)
    return any(line.endswith(wanted) and line.split(None, 7)[-1] == wanted for line in listed.splitlines())


def _file_at(path: str) -> _File:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
