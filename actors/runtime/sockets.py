"""Real sockets behind the seam's interfaces: non-blocking, watched by a reactor."""

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias, cast

from actors.runtime.descriptors import Descriptors
from actors.runtime.resolver import is_ipv4
from actors.runtime.seam import HangUp, Octets, SocketOptions, SocketOwner, Timer
from mesh.addresses import SocketAddress, TcpAddress, UnixAddress

IOV_MAX: Final = os.sysconf("SC_IOV_MAX")
"""Buffers in one ``sendmsg``; more are an error, so the rest waits for the next."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds
_ORDERLY_CLOSE: Final = struct.pack("ii", 0, 0)
_HANG_UP_EVENTS: Final = select.POLLRDHUP | select.POLLHUP | select.POLLERR

CLIENT_GONE: Final = frozenset(
    {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET}
    | {errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EPERM}
)
"""What ``accept`` reports of one client that is gone or was forbidden: accept(2), "Error handling"."""

DEFAULT_OPTIONS: Final = SocketOptions()

Sockaddr: TypeAlias = Any
"""Python's own form of an address: a tuple for TCP, a path for unix sockets."""


class Reactor(Protocol):
    """What reports readiness of descriptors: a :class:`~actors.runtime.loop.LoopDispatcher`."""

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

    def call_later(self, delay_s: float, callback: Callable[..., None], *arguments: object) -> Timer:
        """Call ``callback`` once, in ``delay_s`` seconds."""
        ...


class TurnTaker(SocketOwner, Protocol):
    """A socket owner whose reports run as turns: an :class:`~actors.runtime.actor.Actor`."""

    def socket_turn(self, callback: Callable[..., None], *arguments: object) -> None:
        """Run ``callback`` as a turn of its own; never raises."""
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
    if options.send_buffer_octets is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer_octets)
    if options.receive_buffer_octets is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer_octets)
    if sock.family != socket.AF_UNIX:
        if options.reset_if_abandoned:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if options.no_delay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.not_sent_low_water_octets is not None:
            low_water = options.not_sent_low_water_octets
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, low_water)


class Readiness:
    """Which readiness of one descriptor the loop reports to its owner."""

    __slots__ = ("_fd", "_owner", "_reactor", "_reading", "_writing")

    def __init__(self, reactor: Reactor, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self._owner: TurnTaker | None = None
        self._reading = False
        self._writing = False

    def attach(self, owner: SocketOwner) -> None:
        """Report to ``owner`` from now on; what was watched for an earlier owner is watched no more."""
        self.stop()
        self._owner = cast("TurnTaker", owner)

    def watch_read(self, enabled: bool, socket_: object) -> None:
        """Call the owner's ``on_readable`` with ``socket_``, or stop."""
        if enabled != self._reading:
            self._reading = enabled
            if enabled:
                owner = self._attached()
                self._reactor.add_reader(self._fd, owner.socket_turn, owner.on_readable, socket_)
            else:
                self._reactor.remove_reader(self._fd)

    def watch_write(self, enabled: bool, socket_: object) -> None:
        """Call the owner's ``on_writable`` with ``socket_``, or stop."""
        if enabled != self._writing:
            self._writing = enabled
            if enabled:
                owner = self._attached()
                self._reactor.add_writer(self._fd, owner.socket_turn, owner.on_writable, socket_)
            else:
                self._reactor.remove_writer(self._fd)

    def moved_to(self, fd: int) -> "Readiness":
        """The same owner's readiness for another descriptor; nothing is watched yet."""
        moved = Readiness(self._reactor, fd)
        moved._owner = self._owner
        return moved

    def stop(self) -> None:
        """Watch nothing and let go of the owner; needed before the descriptor is closed."""
        self.watch_read(enabled=False, socket_=None)
        self.watch_write(enabled=False, socket_=None)
        self._owner = None

    def _attached(self) -> TurnTaker:
        if self._owner is None:
            raise RuntimeError("a socket is watched before it is attached to its owner")
        return self._owner


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

    def send(self, buffers: Sequence[Octets]) -> int:
        """Send from ``buffers`` in order, gathered; return the octets taken.

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
        self._readiness.stop()
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
