"""How many sockets and files this process may have open, and what is done when they are used up."""

import contextlib
import errno
import os
import resource
import socket
import struct
import sys
from typing import Final

from actors.runtime.seam import ClientTurnedAwayError

MOST_SPARE: Final = 640
"""Descriptors left for what is not a tunneled connection: links, files, the HTTP server's 100 clients, and
the 384 that may wait for it."""

SPARE_SHARE: Final = 4
"""Of a small limit a quarter is left for these."""

SMALL_SHARE: Final = 16
"""Of the descriptors, for those that come from anywhere: strangers on an acceptor, links that are opened
there, clients that wait for the HTTP server, each."""

OWN_DESCRIPTORS: Final = 32
"""Descriptors that an agent has before anybody comes: its event loop, threads, log and listening sockets."""

SO_PASSRIGHTS: Final = 83
"""Of Linux 6.16 (include/uapi/asm-generic/socket.h): whether others may pass descriptors to a unix socket."""

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open descriptors as far as an ordinary user may; return the limit in force.

    ``resource.RLIM_INFINITY`` stands for no limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems report an unlimited hard limit and still refuse it as a soft one.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def spare_descriptors(limit: int) -> int:
    """Of ``limit`` descriptors, how many a tunneled connection may not take."""
    return min(MOST_SPARE, limit // SPARE_SHARE)


def small_part(wanted: int, limit: int) -> int:
    """As many as are wanted, but no large part of ``limit`` descriptors."""
    if limit == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(1, limit // SMALL_SHARE))


class Descriptors:
    """The last descriptors of this process: those that connections leave to others, and one in reserve.

    The kernel gives out the lowest number that is free, so the number of a new descriptor says how many are
    in use at least. The reserve is what a client is accepted with, to be reset, when there is no other: left
    in the queue it would wait for ever, and with it whoever sent it here.
    """

    def __init__(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        unlimited = limit == resource.RLIM_INFINITY
        self._mark = sys.maxsize if unlimited else limit - spare_descriptors(limit)
        self._reserve: int | None = None

    def open(self) -> None:
        """Take the reserve, if there is a descriptor for it."""
        if self._reserve is None:
            with contextlib.suppress(OSError):
                self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the reserve up; idempotent."""
        reserve, self._reserve = self._reserve, None
        if reserve is not None:
            os.close(reserve)

    def require_room(self, sock: socket.socket) -> None:
        """See that ``sock``, of a tunneled connection, is none of the last descriptors.

        Raises:
            OSError: ``EMFILE``, it is; the caller closes it.
        """
        if sock.fileno() >= self._mark:
            raise OSError(errno.EMFILE, "too few descriptors are left for another connection")

    def pipe(self) -> tuple[int, int]:
        """The read end and the write end of a pipe for a tunneled connection.

        Raises:
            OSError: ``EMFILE``, it would take the last descriptors.
        """
        ends = os.pipe()
        if max(ends) >= self._mark:
            for end in ends:
                os.close(end)
            raise OSError(errno.EMFILE, "too few descriptors are left for another pipe")
        return ends

    def turn_away(self, listening: socket.socket, error: OSError) -> None:
        """Reset the next client of ``listening``, for whom no descriptor is left.

        Args:
            listening: what could not accept.
            error: what ``accept`` said.

        Raises:
            ClientTurnedAwayError: that is done.
            BlockingIOError: the client is gone.
            OSError: ``error``, there is no reserve, or another thread was quicker to take what it gave up.
        """
        self.open()
        if self._reserve is None:
            raise error
        self.close()
        try:
            client, _ = listening.accept()
        except BlockingIOError:
            raise
        except OSError:
            raise error from None
        else:
            reset(client)
        finally:
            self.open()
        raise ClientTurnedAwayError(errno.EMFILE, error.strerror)


def reset(sock: socket.socket) -> None:
    """Close ``sock`` with a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    sock.close()


def refuse_descriptors(sock: socket.socket) -> None:
    """Have nobody pass descriptors to ``sock``, a unix socket, where the kernel can refuse them.

    Whoever reads from ``sock`` also closes what was passed and is not taken. That takes as long as its sender
    likes, be it a TCP socket that lingers or a file of a file system of its own, and all on the thread wait.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
