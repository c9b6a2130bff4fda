"""Real sockets behind the seam's interfaces: non-blocking, watched by a reactor."""

import contextlib
import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

from actors.runtime.descriptors import Descriptors
from actors.runtime.real.resolver import is_ipv4
from actors.runtime.seam import BytesLike, HangUp, SocketOptions, SocketOwner, Timer
from mesh.addresses import SocketAddress, TcpAddress, UnixAddress
from mesh.black_hole import PathFigures

IOV_MAX: Final = os.sysconf("SC_IOV_MAX")
"""Buffers in one ``sendmsg``; more are an error, so the rest waits for the next."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds
_ORDERLY_CLOSE: Final = struct.pack("ii", 0, 0)
_TCP_INFO: Final = struct.Struct("=2x B 5x 16x I 24x I I")
"""Of ``struct tcp_info`` (linux/tcp.h): retransmits, unacked, last_data_recv and last_ack_recv."""
_HANG_UP_EVENTS: Final = select.POLLRDHUP | select.POLLHUP | select.POLLERR

CLIENT_GONE: Final = frozenset(
    {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET}
    | {errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EPERM}
)
"""What ``accept`` reports of one client that is gone or was forbidden: accept(2), "Error handling"."""

Sockaddr: TypeAlias = Any
"""Python's own form of an address: a tuple for TCP, a path for unix sockets."""


class Reactor(Protocol):
    """What reports readiness of descriptors: a :class:`~actors.runtime.real.loop.LoopDispatcher`."""

    @property
    def descriptors(self) -> Descriptors:
        """The process's last ones."""
        ...

    def add_reader(self, fd: int, callback: Callable[..., None], *arguments: object) -> None:
        """Call ``callback`` whenever ``fd`` can be read."""
        ...

    def add_writer(self, fd: int, callback: Callable[..., None], *arguments: object) -> None:
        """Call ``callback`` whenever ``fd`` can be written."""
        ...

    def remove_reader(self, fd: int) -> None:
        """Undo :meth:`add_reader`."""
        ...

    def remove_writer(self, fd: int) -> None:
        """Undo :meth:`add_writer`."""
        ...

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call ``callback`` once, in the loop's next round."""
        ...

    def call_later(self, delay_s: float, callback: Callable[..., None], *arguments: object) -> Timer:
        """Call ``callback`` once, in ``delay_s`` seconds."""
        ...

    def watch_end(self, fd: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the stream ``fd`` is over, if the loop would not go on reporting it."""
        ...

    def forget_end(self, fd: int) -> None:
        """Undo :meth:`watch_end`; nothing happens if there is nothing to undo."""
        ...


def socket_name(sockaddr: Sockaddr) -> str:
    """An address for people: ``127.0.0.1:5432``, ``[::1]:5432`` or ``unix:/path``."""
    if isinstance(sockaddr, tuple):
        return str(TcpAddress(str(sockaddr[0]), int(sockaddr[1])))
    return f"unix:{os.fsdecode(sockaddr)}"


def native_address(address: SocketAddress) -> tuple[socket.AddressFamily, Sockaddr]:
    """The family and the kernel's form of a resolved address.

    Raises:
        OSError: the host is no IP literal.
    """
    if isinstance(address, UnixAddress):
        return socket.AF_UNIX, address.path
    if is_ipv4(address.host):
        return socket.AF_INET, (address.host, address.port)
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (OSError, ValueError) as error:
        raise OSError(errno.EINVAL, f"{address.host!r} is not an IP address") from error
    return found[0][0], found[0][4]


def set_options(sock: socket.socket, options: SocketOptions) -> None:
    """Apply what the kernel knows of ``options``; the TCP ones do not concern unix sockets."""
    if options.send_buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer_bytes)
    if options.receive_buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer_bytes)
    if options.urgent_in_line:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    if sock.family != socket.AF_UNIX:
        if options.reset_if_abandoned:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if options.no_delay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.not_sent_low_water_bytes is not None:
            low_water = options.not_sent_low_water_bytes
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, low_water)
        if options.keep_alive is not None:
            keep_alive = options.keep_alive
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keep_alive.idle_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, keep_alive.interval_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, keep_alive.probes)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if options.max_segment_bytes is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, options.max_segment_bytes)


class Readiness:
    """Which readiness of one descriptor is reported to its owner: level-triggered, whatever the loop does.

    A stream that is over, broken or finished both ways, can be read and written for ever without waiting. No
    loop needs to be asked about it any more, and libuv's would not answer: it reports an error only once.
    """

    __slots__ = ("_due", "_ends", "_fd", "_over", "_owner", "_reactor", "_reading", "_socket", "_writing")

    def __init__(self, reactor: Reactor, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self._owner: SocketOwner | None = None
        self._socket: object = None
        """What the owner knows the descriptor as, once it is watched."""
        self._reading = False
        self._writing = False
        self._ends = False
        """Whether the reactor tells when the stream is over."""
        self._over = False
        self._due = False
        """Whether a report of a stream that is over is on its way."""

    def attach(self, owner: SocketOwner) -> None:
        """Report to ``owner`` from now on; what was watched for an earlier owner is watched no more."""
        self.stop()
        self._owner = owner

    def watch_end(self) -> None:
        """Have the reactor tell when the stream is over; for connected sockets."""
        self._ends = True
        self._reactor.watch_end(self._fd, self._ended)

    def watch_read(self, enabled: bool, socket_: object) -> None:
        """Call the owner's ``on_readable`` with ``socket_``, or stop."""
        if enabled != self._reading:
            self._reading = enabled
            if enabled:
                owner, self._socket = self._attached(), socket_
                if self._over:
                    self._report_soon()
                else:
                    self._reactor.add_reader(self._fd, owner.socket_turn, owner.on_readable, socket_)
            elif not self._over:
                self._reactor.remove_reader(self._fd)

    def watch_write(self, enabled: bool, socket_: object) -> None:
        """Call the owner's ``on_writable`` with ``socket_``, or stop."""
        if enabled != self._writing:
            self._writing = enabled
            if enabled:
                owner, self._socket = self._attached(), socket_
                if self._over:
                    self._report_soon()
                else:
                    self._reactor.add_writer(self._fd, owner.socket_turn, owner.on_writable, socket_)
            elif not self._over:
                self._reactor.remove_writer(self._fd)

    def moved_to(self, fd: int) -> "Readiness":
        """The same owner's readiness for another descriptor; nothing is watched yet."""
        moved = Readiness(self._reactor, fd)
        moved._owner = self._owner
        return moved

    def stop(self) -> None:
        """Watch nothing and let go of the owner."""
        self.watch_read(enabled=False, socket_=None)
        self.watch_write(enabled=False, socket_=None)
        self._owner = self._socket = None

    def close(self) -> None:
        """Stop for good; needed before the descriptor is closed."""
        self.stop()
        if self._ends:
            self._ends = False
            self._reactor.forget_end(self._fd)

    def _attached(self) -> SocketOwner:
        if self._owner is None:
            self._reading = self._writing = False
            raise RuntimeError("a socket is watched before it is attached to its owner")
        return self._owner

    def _ended(self) -> None:
        """The stream is over: report what is watched from here on."""
        if self._over:
            return
        if self._reading:
            self._reactor.remove_reader(self._fd)
        if self._writing:
            self._reactor.remove_writer(self._fd)
        self._over = True
        if self._reading or self._writing:
            self._report_soon()

    def _report_soon(self) -> None:
        if not self._due:
            self._due = True
            self._reactor.call_soon(self._report)

    def _report(self) -> None:
        """Tell the owner, in a round of the loop, and again in the next while it goes on watching."""
        if self._reading and self._owner is not None:
            self._owner.socket_turn(self._owner.on_readable, self._socket)
        if self._writing and self._owner is not None:
            self._owner.socket_turn(self._owner.on_writable, self._socket)
        self._due = False
        if self._reading or self._writing:
            self._report_soon()


class LoopStreamSocket:
    """A :class:`~actors.runtime.seam.StreamSocket`; takes over a connected, non-blocking socket."""

    __slots__ = ("_local_name", "_peer", "_peer_name", "_readiness", "_resets", "_socket", "recv_into")

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
        """The socket's own method, which does what the seam asks for."""
        self._readiness = Readiness(reactor, sock.fileno())
        self._readiness.watch_end()
        self._local_name = local_name
        self._peer = peer
        self._peer_name = ""

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
        return HangUp.HALF_CLOSED if seen else HangUp.NO

    def path_figures(self) -> PathFigures | None:
        """What the kernel knows of the path; ``None`` where it knows nothing."""
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

    def shutdown_write(self) -> None:
        """Finish sending; an already broken stream is no error."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close in order; idempotent."""
        if self._resets and self._socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ORDERLY_CLOSE)
        self._close()

    def _close(self) -> None:
        self._readiness.close()
        self._socket.close()

    def abort(self) -> None:
        """Close with a reset and drop what is queued; idempotent."""
        if self._socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
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
        if (
            number == errno.ECONNRESET
        ):  # a broken pipe: the other end had finished before, which reading shows
            self.recv_into = self._receive  # type: ignore[assignment] # the slot holds the socket's own

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
