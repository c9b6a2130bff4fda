"""A simulated machine's kernel: its address, its ports and its descriptors."""

import errno
import ipaddress
from collections.abc import Callable
from typing import Final, Protocol

from actors.runtime.descriptors import spare_descriptors
from actors.runtime.seam import PLAIN_OPTIONS, ClientTurnedAwayError, SocketOptions, SocketOwner
from actors.runtime.virtual.clock import Trace, VirtualClock
from actors.runtime.virtual.listening import VirtualListeningSocket
from actors.runtime.virtual.os_error import os_error
from actors.runtime.virtual.streams import VirtualStreamSocket
from mesh.addresses import Family, Place, SocketAddress, TcpAddress, UnixAddress, listening_places

EPHEMERAL_PORTS: Final = range(32_768, 61_000)
"""Linux's ``ip_local_port_range``."""

LOOPBACK: Final = "127.0.0.1"
_EVERY: Final = {place.family: place for place in listening_places(TcpAddress("", 0))}
"""All of a family's addresses."""


class Turns(Protocol):
    """What runs the actors of a host."""

    def post_turn(self, owner: SocketOwner, report: Callable[[int], None], attachment: int) -> None:
        """Run ``report``, which tells ``owner`` of a socket, as a turn of the owner's."""
        ...


class VirtualHost:
    """One simulated machine's kernel: its address, ports and descriptors. It outlives its agent's process."""

    def __init__(self, clock: VirtualClock, trace: Trace, name: str, literal: str) -> None:
        self.clock = clock
        self.trace = trace
        self.name = name
        self.literal: Final = literal
        """The host's address, as in ``10.0.0.1``."""
        self.descriptor_limit: int | None = None
        """How many sockets the host's process may hold; ``None`` is no limit."""
        self.turns: Turns | None = None
        self.listeners: dict[tuple[Place | str, int], VirtualListeningSocket] = {}
        """By place and port, or by a unix socket's path and 0; one that has several places stands at each."""
        self.streams: dict[VirtualStreamSocket, None] = {}
        """Ends of connections that are open here, accepted or not, in the order in which they were made."""
        self._open_sockets = 0
        self._next_ephemeral = 0

    @property
    def open_sockets(self) -> int:
        """Descriptors that the process holds: to be 0 once all its actors have ended."""
        return self._open_sockets

    def post_turn(self, owner: SocketOwner, report: Callable[[int], None], attachment: int) -> None:
        """Run ``report`` as a turn of ``owner``'s; a process that has ended takes no more turns."""
        if self.turns is not None:
            self.turns.post_turn(owner, report, attachment)

    def open_descriptor(self) -> None:
        """Count a descriptor.

        Raises:
            OSError: ``EMFILE``, the limit is reached.
        """
        if self.descriptor_limit is not None and self._open_sockets >= self.descriptor_limit:
            raise os_error(errno.EMFILE)
        self._open_sockets += 1

    def require_room(self, options: SocketOptions) -> None:
        """See that there is a descriptor for a socket with such options.

        Raises:
            OSError: ``EMFILE``, there is none.
        """
        limit = self.descriptor_limit
        if limit is not None:
            spare = spare_descriptors(limit) if options.leaves_spare else 0
            if self._open_sockets >= limit - spare:
                raise os_error(errno.EMFILE)

    def admit(self, client: VirtualStreamSocket, options: SocketOptions) -> None:
        """Take a descriptor for an accepted client.

        Raises:
            ClientTurnedAwayError: none is left; the client has been reset.
        """
        try:
            self.require_room(options)
        except OSError as error:
            client.abort()
            raise ClientTurnedAwayError(error.errno, error.strerror) from None
        client.open_descriptor()
        client.configure(options)

    def close_descriptor(self) -> None:
        """Count one less."""
        self._open_sockets -= 1

    def forget(self, socket: VirtualStreamSocket) -> None:
        """``socket`` has been closed."""
        self.streams.pop(socket, None)

    def release_port(self, socket: VirtualListeningSocket) -> None:
        """``socket`` no longer holds its port."""
        self.listeners = {key: holder for key, holder in self.listeners.items() if holder is not socket}

    def ephemeral_port(self) -> int:
        """A free port from the ephemeral range."""
        taken = {port for _, port in self.listeners}
        for _ in EPHEMERAL_PORTS:
            port = EPHEMERAL_PORTS[self._next_ephemeral % len(EPHEMERAL_PORTS)]
            self._next_ephemeral += 1
            if port not in taken:
                return port
        raise os_error(errno.EADDRINUSE)

    def bind(self, address: SocketAddress, options: SocketOptions = PLAIN_OPTIONS) -> VirtualListeningSocket:
        """Bind a socket, parked.

        Raises:
            OSError: ``EADDRINUSE``, ``EADDRNOTAVAIL`` or ``EMFILE``.
        """
        if isinstance(address, UnixAddress):
            keys: list[tuple[Place | str, int]] = [(address.path, 0)]
            name, port = str(address), 0
            conflict = keys[0] in self.listeners
        else:
            places = self._places(address)
            port = address.port or self.ephemeral_port()
            keys = [(place, port) for place in places]
            name = str(TcpAddress(address.host or "0.0.0.0", port))  # noqa: S104
            conflict = any(
                isinstance(held, Place) and port == taken and place.meets(held)
                for held, taken in self.listeners
                for place in places
            )
        if conflict:
            raise os_error(errno.EADDRINUSE)
        socket = VirtualListeningSocket(self, name, port, options)
        self.listeners |= dict.fromkeys(keys, socket)
        return socket

    def listener_for(self, address: SocketAddress, *, local: bool) -> VirtualListeningSocket | None:
        """Who takes a connection to ``address`` of this host; ``None`` if all refuse."""
        match address:
            case UnixAddress(path=path):
                found = self.listeners.get((path, 0))
            case TcpAddress(host=host, port=port):
                place = _loopback_place(host) if local and is_loopback(host) else self._own_place
                found = self.listeners.get((place, port)) or self.listeners.get((_EVERY[place.family], port))
        return found if found is not None and found.is_listening else None

    def refusal(self, address: SocketAddress) -> int:
        """The ``errno`` that a connect to ``address`` fails with where nobody listens there."""
        absent = isinstance(address, UnixAddress) and (address.path, 0) not in self.listeners
        return errno.ENOENT if absent else errno.ECONNREFUSED

    @property
    def _own_place(self) -> Place:
        return Place(Family.IPV4, self.literal)

    def _places(self, address: TcpAddress) -> tuple[Place, ...]:
        if address.host == self.name:
            return (self._own_place,)
        try:
            places = listening_places(address)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from error
        if not all(is_loopback(place.host) or place == self._own_place for place in places):
            raise os_error(errno.EADDRNOTAVAIL)
        return places


def is_loopback(address: str) -> bool:
    """Whether ``address`` means the host itself, whichever that is.

    On Linux, connecting to 0.0.0.0 does, too.
    """
    return address in {"localhost", "::1", "", "0.0.0.0", "::"} or address.startswith("127.")  # noqa: S104


def _loopback_place(host: str) -> Place:
    """Where a connection to ``host``, which means the host itself, arrives."""
    if host.startswith("127."):
        return Place(Family.IPV4, host)
    return Place(Family.IPV6, "::1") if ":" in host else Place(Family.IPV4, LOOPBACK)


def is_literal(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address and not a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
