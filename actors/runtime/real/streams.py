"""Real connected sockets, behind the seam's interface: non-blocking, watched by a reactor."""

import contextlib
import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from actors.runtime.descriptors import RESET_ON_CLOSE
from actors.runtime.real.native_address import Sockaddr, socket_name
from actors.runtime.real.readiness import Reactor, Readiness
from actors.runtime.real.socket_options import ORDERLY_CLOSE
from actors.runtime.seam import BytesLike, HangUp, SocketOptions, SocketOwner
from mesh.black_hole import PathFigures

IOV_MAX: Final = os.sysconf("SC_IOV_MAX")
"""Buffers in one ``sendmsg``; more are an error, so the rest waits for the next."""

_TCP_INFO: Final = struct.Struct("=2x B 5x 16x I 24x I I")
"""Of ``struct tcp_info`` (linux/tcp.h): retransmits, unacked, last_data_recv and last_ack_recv."""
_NO_WITNESS: Final = -1
"""No descriptor."""

_HANG_UP_EVENTS: Final = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class LoopStreamSocket:
    """A :class:`~actors.runtime.seam.StreamSocket`; takes over a connected, non-blocking socket."""

    __slots__ = (
        "_local_name",
        "_peer",
        "_peer_name",
        "_readiness",
        "_resets",
        "_socket",
        "_witness",
        "recv_into",
    )

    recv_into: Callable[[memoryview], int]
    """The socket's own method, which does what the seam asks for."""

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        options: SocketOptions,
        peer: Sockaddr | None = None,
        local_name: str = "",
    ) -> None:
        self._resets = options.reset_if_abandoned
        self._socket = sock
        self.recv_into = sock.recv_into
        self._readiness = Readiness(reactor, sock.fileno())
        self._local_name = local_name
        self._peer = peer
        self._peer_name = ""
        self._witness = _NO_WITNESS

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.local_name} - {self.peer_name}>"

    @property
    def local_name(self) -> str:
        """This end, for people; ``closed`` where nobody had asked before it was closed."""
        if not self._local_name:
            self._local_name = self._ask_name(self._socket.getsockname)
        return self._local_name

    @property
    def peer_name(self) -> str:
        """The other end, for people; ``closed`` where its address was not given and nobody asked in time."""
        if not self._peer_name:
            self._peer_name = (
                socket_name(self._peer) if self._peer else self._ask_name(self._socket.getpeername)
            )
        return self._peer_name

    def attach(self, owner: SocketOwner) -> None:
        """Report readiness to ``owner``, an actor of this dispatcher."""
        self._readiness.attach(owner)

    def send(self, buffers: Sequence[BytesLike]) -> int:
        """Send from ``buffers`` in order, gathered; return the bytes taken.

        Raises:
            BlockingIOError: no room.
            OSError: the stream is broken.
        """
        if len(buffers) == 1:
            return self._socket.send(buffers[0])
        if len(buffers) > IOV_MAX:
            buffers = tuple(islice(buffers, IOV_MAX))
        return self._socket.sendmsg(buffers)

    def watch_read(self, enabled: bool) -> None:
        """Report readability from now on, or stop."""
        self._readiness.watch_read(enabled, self)

    def watch_write(self, enabled: bool) -> None:
        """Report writability from now on, or stop."""
        self._readiness.watch_write(enabled, self)

    def hung_up(self) -> HangUp:
        """What can be seen of the other end without reading."""
        if self._socket.fileno() < 0:
            return HangUp.GONE
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        seen = 0
        for _, events in poll.poll(0):
            seen = events & _HANG_UP_EVENTS
        # A hang-up alone says that both ends have finished sending; what has arrived is still to be read.
        if seen & select.POLLERR:
            return HangUp.GONE
        if seen & select.POLLHUP and self._socket.family is socket.AF_UNIX:
            return HangUp.LEFT
        return HangUp.HALF_CLOSED if seen else HangUp.NO

    def keep_unsent(self, byte_count: int) -> None:
        """Be writable only while less than this waits unsent in the kernel; no matter for unix sockets."""
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, byte_count)
        except OSError:
            return

    def control_congestion(self, algorithm: str) -> bool:
        """Send by the kernel's ``algorithm`` from now on; whether that can be."""
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
        except OSError:
            return False
        return True

    def path_figures(self) -> PathFigures | None:
        """What the kernel knows of the path; ``None`` if it knows nothing."""
        if sys.platform != "linux" or self._socket.family == socket.AF_UNIX:
            return None
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except OSError:
            return None
        if len(info) < _TCP_INFO.size:
            return None
        timeouts, unacknowledged, since_data_ms, since_ack_ms = _TCP_INFO.unpack(info)
        return PathFigures(timeouts, unacknowledged, since_ack_ms / 1000, since_data_ms / 1000)

    def say_with_witness(self, words: bytes) -> bool:
        """Send ``words`` with the read end of a pipe, by which a byte comes once this end has finished."""
        try:
            theirs, own = self._readiness.descriptors.pipe()
        except OSError:
            return False
        try:
            socket.send_fds(self._socket, (words,), (theirs,))
        except OSError:
            os.close(own)
            return False
        finally:
            os.close(theirs)
        self._witness = own
        return True

    def _dismiss_witness(self) -> None:
        os.close(self._witness)
        self._witness = _NO_WITNESS

    def _testify(self) -> None:
        """Tell who was given the witness that this end has finished."""
        with contextlib.suppress(OSError):  # there is always room, but perhaps nobody to read it
            os.write(self._witness, b"\0")
        self._dismiss_witness()

    def shutdown_write(self) -> None:
        """Finish sending; an already broken stream is no error."""
        if self._witness != _NO_WITNESS:
            self._testify()
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def finish(self) -> None:
        """Close in order, both ends having finished."""
        if self._witness != _NO_WITNESS:
            self._testify()
        self.close()

    def close(self) -> None:
        """Close in order; idempotent."""
        if self._resets and self._socket.fileno() >= 0:
            self._linger(ORDERLY_CLOSE)
        self._close()

    def _linger(self, how: bytes) -> None:
        try:  # suppress() is three calls, and every connection comes here
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)
        except OSError:
            return

    def _close(self) -> None:
        self._readiness.close()
        self._socket.close()
        if self._witness != _NO_WITNESS:
            self._dismiss_witness()

    def abort(self) -> None:
        """Close with a reset and drop what is queued; idempotent."""
        if self._socket.fileno() >= 0:
            self._linger(RESET_ON_CLOSE)
        self._close()

    @staticmethod
    def _ask_name(ask: Callable[[], Sockaddr]) -> str:
        try:
            return socket_name(ask())
        except OSError:
            return "closed"


class ResetStreamSocket(LoopStreamSocket):
    """A stream that was reset before anybody could look: ``number`` is its error, which the kernel has told.

    What arrived before is read first; then the error comes once, as from a socket that still has it.
    """

    __slots__ = ("_number",)

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        options: SocketOptions,
        peer: Sockaddr | None,
        number: int,
    ) -> None:
        super().__init__(reactor, sock, options, peer)
        self._number = number
        if number == errno.ECONNRESET:
            # Not for a broken pipe: the other end had finished before that, which reading shows.
            self.recv_into = self._receive

    def _receive(self, buffer: memoryview) -> int:
        count = self._socket.recv_into(buffer)
        if count == 0:
            self._raise_once()
        return count

    def send(self, buffers: Sequence[BytesLike]) -> int:
        """Send nothing any more.

        Raises:
            OSError: the stream is broken.
        """
        self._raise_once()
        return super().send(buffers)

    def hung_up(self) -> HangUp:
        """The other end has gone."""
        return HangUp.GONE

    def _raise_once(self) -> None:
        number, self._number = self._number, 0
        if number:
            raise OSError(number, os.strerror(number))
