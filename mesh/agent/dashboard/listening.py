"""Takes the port of the HTTP side, without what serves there."""

import errno
import logging
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple

from actors.runtime.real.binding import NO_SUCH_FAMILY, bound_at
from actors.runtime.real.native_address import native_address
from mesh.addresses import Place, TcpAddress, listening_places
from mesh.agent.dashboard.tls import TlsFiles
from mesh.agent.files import AgentFileError
from mesh.config.loading import NOTHING_WRITTEN, Written
from mesh.config.schema import HttpSection

_log: Final = logging.getLogger("mesh.http")


class HttpPort(NamedTuple):
    """The port of ``http.address``, and what encrypts there."""

    listening: tuple[socket.socket, ...] = ()
    tls: TlsFiles | None = None

    def close(self) -> None:
        """Let go of it."""
        for bound in self.listening:
            bound.close()


def take_port(section: HttpSection | None, written: Written = NOTHING_WRITTEN) -> HttpPort:
    """What ``http`` says, before the actors start: it is seen whether the agent can stay.

    Args:
        section: ``http``; ``None`` listens nowhere.
        written: what is said in the place of values that came from the environment.

    Raises:
        AgentFileError: the port or a file of ``http.tls`` cannot be used; the text is one line for people.
    """
    tls = tls_of(section)
    return HttpPort(listening_at(section, written), tls)


def tls_of(section: HttpSection | None) -> TlsFiles | None:
    """What encrypts, if anything does.

    Raises:
        AgentFileError: a file cannot be used; the text is one line for people.
    """
    return None if section is None or section.tls is None else TlsFiles(section.tls)


def listening_at(section: HttpSection | None, written: Written) -> tuple[socket.socket, ...]:
    """Its listening sockets.

    Raises:
        AgentFileError: the port cannot be used; the text is one line for people.
    """
    if section is None:
        return ()
    try:
        return listen(section.address)
    except OSError as error:
        hint = "; does another agent run on this machine?" if error.errno == errno.EADDRINUSE else ""
        address = str(section.address)
        why = (error.strerror or str(error)).replace(address, written.get("http.address", address))
        raise AgentFileError(f"http.address: {why}{hint}") from None


def listen(address: TcpAddress) -> tuple[socket.socket, ...]:
    """Listening sockets: only listening shows whether the port is free (SO_REUSEADDR lets two bind it).

    Args:
        address: where; the rule of :mod:`mesh.addresses` says which sockets that makes. Port 0 lets the
            kernel choose, the same for all.

    Raises:
        OSError: the address cannot be bound; the text says which and why, the ``errno`` is the kernel's.
    """
    try:
        places = listening_places(address)
    except ValueError as error:
        raise OSError(errno.EADDRNOTAVAIL, f"cannot listen on {address}: {error}") from error
    try:
        if not address.host:
            return (_listening_everywhere(address.port, places),)
        return _listening_at(places, address.port)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error


def _listening_everywhere(port: int, places: Sequence[Place]) -> socket.socket:
    ipv4, ipv6 = places
    if socket.has_dualstack_ipv6():
        try:
            return _bound(ipv6, port, ipv6_only=False)
        except OSError as error:
            if error.errno not in NO_SUCH_FAMILY:
                raise
    return _bound(ipv4, port)


def _listening_at(places: Sequence[Place], port: int) -> tuple[socket.socket, ...]:
    bound, missing = bound_at(places, port, _bound)
    for place, error in missing.items():
        _log.info("this machine has no %s (%s): http.address is there without it", place.host, error.strerror)
    return tuple(bound)


def _bound(place: Place, port: int, *, ipv6_only: bool = True) -> socket.socket:
    family, where = native_address(TcpAddress(place.host, port))
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(ipv6_only))
        bound.bind(where)
        bound.listen()
    except BaseException:
        bound.close()
        raise
    return bound
