"""Where a local port is opened on the real kernel: on one socket, or on one for each of two families.

``localhost`` is 127.0.0.1 and ::1, as the rule in :mod:`mesh.addresses` says. Its two sockets are one for
their owner: they park and listen together, and where the kernel chooses the port it is the same for both.
"""

import contextlib
import errno
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from actors.runtime.real.listening import (
    LoopListeningSocket,
    bound_for_good,
)
from actors.runtime.real.native_address import native_address
from actors.runtime.real.readiness import Reactor
from actors.runtime.real.unix_listening import LoopUnixListeningSocket
from actors.runtime.seam import SocketOptions, SocketOwner, StreamSocket
from mesh.addresses import Place, SocketAddress, TcpAddress, UnixAddress, listening_places

logger = logging.getLogger(__name__)

PORT_ATTEMPTS: Final = 16
"""The port that the kernel chose for one family may be taken in the other; then it is asked for another."""

NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""What socket(2) or bind(2) says where this machine has no IPv6, or none on its loopback."""


class LoopTwinListeningSocket:
    """A :class:`~actors.runtime.seam.ListeningSocket` over several that have one port."""

    __slots__ = ("_name", "_parts", "_port")

    def __init__(self, parts: Sequence[LoopListeningSocket], name: str) -> None:
        self._parts = deque(parts)
        self._port = parts[0].port
        self._name = name
        for part in parts:
            part.stand_for(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    @property
    def local_name(self) -> str:
        """The address as it was asked for, with its chosen port."""
        return self._name

    @property
    def port(self) -> int:
        """The port, the same for all."""
        return self._port

    def attach(self, owner: SocketOwner) -> None:
        """Report clients to ``owner``, an actor of this dispatcher."""
        for part in self._parts:
            part.attach(owner)

    def listen(self) -> None:
        """Let clients in everywhere, or nowhere. Idempotent.

        Raises:
            OSError: another socket listens at one of the places; ``EBADF``, it is closed.
        """
        self._require_open()
        try:
            for part in self._parts:
                part.listen()
        except OSError:
            for part in self._parts:
                with contextlib.suppress(OSError):
                    part.park()
            raise

    def park(self) -> None:
        """Refuse clients, those that wait included, without giving up the port. Idempotent.

        Raises:
            OSError: the port was lost.
        """
        for part in self._parts:
            part.park()

    @property
    def may_have_more(self) -> bool:
        """There may be some at the other place."""
        return True

    def accept(self) -> StreamSocket:
        """Take the next client, from the places in turn: a flood at one holds up nobody at the other.

        Raises:
            BlockingIOError: none waits.
            OSError: ``EMFILE`` and the like; the caller pauses.
        """
        self._require_open()
        for _ in range(len(self._parts)):
            part = self._parts[0]
            self._parts.rotate(-1)
            with contextlib.suppress(BlockingIOError):
                return part.accept()
        raise BlockingIOError(errno.EAGAIN, "no client waits")

    def watch_read(self, enabled: bool) -> None:
        """Report waiting clients from now on, or pause."""
        for part in self._parts:
            part.watch_read(enabled)

    def close(self) -> None:
        """Give up the port; idempotent."""
        for part in self._parts:
            part.close()
        self._parts.clear()  # they know this object, too: no cycle is left behind

    def _require_open(self) -> None:
        if not self._parts:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class Binder:
    """Binds for one dispatcher, and says once if a family is missing."""

    __slots__ = ("_missing", "_reactor")

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._missing: set[Place] = set()

    def bind(
        self, address: SocketAddress, options: SocketOptions
    ) -> LoopListeningSocket | LoopTwinListeningSocket:
        """Bind a socket, parked; :mod:`mesh.addresses` says which places an address means.

        Raises:
            OSError: the address is taken or not ours, or the host is neither an IP literal nor ``localhost``.
        """
        if isinstance(address, UnixAddress):
            return LoopUnixListeningSocket(self._reactor, address.path, options)
        try:
            places = listening_places(address)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from error
        if not address.host:
            return LoopListeningSocket(self._reactor, self._bound_everywhere(address.port, places), options)
        bound, missing = bound_at(places, address.port, _bound_alone)
        for place, reason in missing.items():
            self._tell_missing(place, reason)
        parts = [LoopListeningSocket(self._reactor, sock, options) for sock in bound]
        if len(parts) == 1:
            return parts[0]
        return LoopTwinListeningSocket(parts, str(TcpAddress(address.host, parts[0].port)))

    def _bound_everywhere(self, port: int, places: Sequence[Place]) -> socket.socket:
        """One socket for both families; IPv6's alone where there is IPv6, as that takes IPv4 clients too."""
        ipv4, ipv6 = places
        try:
            return bound_for_good(socket.AF_INET6, (ipv6.host, port), ipv6_only=False)
        except OSError as error:
            if error.errno not in NO_SUCH_FAMILY:
                raise
            self._tell_missing(ipv6, error)
        return bound_for_good(socket.AF_INET, (ipv4.host, port), ipv6_only=True)

    def _tell_missing(self, place: Place, error: OSError) -> None:
        if place not in self._missing:
            self._missing.add(place)
            logger.info(
                "this machine has no %s (%s): ports are opened for the other family alone",
                place.host,
                error.strerror,
            )


def bound_at(
    places: Sequence[Place], port: int, bind_one: Callable[[Place, int], socket.socket]
) -> tuple[list[socket.socket], dict[Place, OSError]]:
    """A socket for each place that this machine has, all with one port; and what it does not have, with why.

    Args:
        places: of one listening address.
        port: 0 lets the kernel choose.
        bind_one: binds at one place and port.

    Raises:
        OSError: one of the places is taken, or this machine has none of them.
    """
    for _ in range(PORT_ATTEMPTS - 1):
        with contextlib.suppress(_PortTakenElsewhereError):
            return _bound_once(places, port, bind_one)
    return _bound_once(places, port, bind_one)


def _bound_once(
    places: Sequence[Place], port: int, bind_one: Callable[[Place, int], socket.socket]
) -> tuple[list[socket.socket], dict[Place, OSError]]:
    bound: list[socket.socket] = []
    missing: dict[Place, OSError] = {}
    with contextlib.ExitStack() as undo:
        for place in places:
            shared_port = bound[0].getsockname()[1] if bound else port
            try:
                bound.append(undo.enter_context(bind_one(place, shared_port)))
            except OSError as error:
                if error.errno in NO_SUCH_FAMILY:
                    missing[place] = error
                elif bound and port == 0 and error.errno == errno.EADDRINUSE:
                    raise _PortTakenElsewhereError(error.errno, error.strerror) from error
                elif len(places) > 1:
                    where = TcpAddress(place.host, shared_port)
                    raise OSError(error.errno, f"{error.strerror} at {where}") from error
                else:
                    raise
        if not bound:
            raise next(iter(missing.values()))
        undo.pop_all()
    return bound, missing


def _bound_alone(place: Place, port: int) -> socket.socket:
    family, sockaddr = native_address(TcpAddress(place.host, port))
    return bound_for_good(family, sockaddr, ipv6_only=True)


class _PortTakenElsewhereError(OSError):
    """The port that the kernel chose for one family is taken in the other."""
