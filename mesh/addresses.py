"""Addresses as people write them: ``host:port``, ``:port``, ``[::1]:port`` and ``unix:/path``.

One rule says where a local port is opened, whoever opens it (listeners, acceptors, HTTP):

    :5432, *:5432       every interface, IPv4 and IPv6
    localhost:5432      127.0.0.1 and ::1, as ssh does
    0.0.0.0:5432        every interface, IPv4 only
    [::]:5432           every interface, IPv6 only
    another literal     that address alone
"""

import enum
import functools
import ipaddress
import re
from typing import Final, TypeAlias

import msgspec

from mesh.address_mistakes import MAX_PORT, mistake

MAX_UNIX_PATH_BYTES: Final = 107
"""``sun_path`` is 108 bytes with its terminating zero: unix(7)."""


class TcpAddress(msgspec.Struct, frozen=True, order=True):
    """A host (name, IPv4 or IPv6 literal without brackets; empty means all interfaces) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(msgspec.Struct, frozen=True, order=True, tag=True):
    """A unix socket by the path of its file."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


SocketAddress: TypeAlias = TcpAddress | UnixAddress


class Family(enum.Enum):
    """A version of IP."""

    IPV4 = 4
    IPV6 = 6


class Place(msgspec.Struct, frozen=True, order=True):
    """Where one socket is bound: a literal of this machine, or all of a family (``0.0.0.0``, ``::``)."""

    family: Family
    host: str

    def meets(self, other: "Place") -> bool:
        """Whether two sockets with one port cannot be bound at both."""
        if self.family is not other.family:
            return False
        return self.host == other.host or bool({self.host, other.host} & _UNSPECIFIED)


_UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound
_EVERYWHERE: Final = (Place(Family.IPV4, "0.0.0.0"), Place(Family.IPV6, "::"))  # noqa: S104 - asked for
_LOOPBACK: Final = (Place(Family.IPV4, "127.0.0.1"), Place(Family.IPV6, "::1"))

_HOST_AND_PORT: Final = re.compile(
    r"""(?:\[(?P<ipv6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[0-9A-Za-z._~+-]{1,15})?)\]|(?P<host>(?![0-9]+:)[^\[\]:\s/@"'`,;${}]*)):(?P<port>[0-9]{1,9})"""
)
"""The interface of a link-local address has what RFC 6874 leaves unescaped, or +: nothing that a
configuration would take for something else."""

_IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@functools.lru_cache(maxsize=1024)
def is_ipv4(host: str) -> bool:
    """Whether ``host`` is an IPv4 literal in its usual form, which means the same to everybody.

    Each connection to a target asks, mostly of the same few hosts.
    """
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def is_localhost(host: str) -> bool:
    """Whether ``host`` is ``localhost`` or a name below it, which need no look-up: RFC 6761, section 6.3."""
    name = host.lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")


def listening_places(address: TcpAddress) -> tuple[Place, ...]:
    """Where a local port at ``address`` is opened; the rule is that of this module.

    Raises:
        ValueError: nothing can listen there; the message says what was expected.
    """
    if not address.host:
        return _EVERYWHERE
    if is_localhost(address.host):
        return _LOOPBACK
    literal = _literal(address.host)
    if literal is None and address.host.rpartition(".")[2].isdigit():
        raise ValueError(f"expected an IPv4 address of four numbers up to 255, not {address.host!r}")
    if literal is None:
        raise ValueError(
            f"expected an IP address of this machine, localhost, or no host for every interface, "
            f"before the port; the name {address.host!r} is not looked up"
        )
    _check_can_listen(literal, address.port)
    return (_place(literal),)


def cannot_both_listen(one: SocketAddress, other: SocketAddress) -> bool:
    """Whether two local ports cannot be open together. Both addresses can be listened on by themselves."""
    if isinstance(one, UnixAddress) or isinstance(other, UnixAddress):
        return one == other
    if one.port != other.port or one.port == 0:  # for 0 the system finds each a port of its own
        return False
    return any(place.meets(another) for place in listening_places(one) for another in listening_places(other))


def surely_reaches(target: SocketAddress, listening: SocketAddress) -> bool:
    """Whether a connection to ``target`` from this machine ends at the local port ``listening``.

    Judged by what is written, without a look-up and without knowing the machine's addresses: a name, or a
    literal that may be another machine's, reaches only what listens on that very literal.
    """
    if isinstance(target, UnixAddress) or isinstance(listening, UnixAddress):
        return target == listening
    if target.port != listening.port:
        return False
    if is_localhost(target.host):
        places: tuple[Place, ...] = _LOOPBACK
    else:
        literal = _literal(target.host)
        if literal is None:
            return False
        mapped = literal.ipv4_mapped if isinstance(literal, ipaddress.IPv6Address) else None
        place = _place(mapped or literal)
        if place.host in _UNSPECIFIED:  # Linux takes a connection to these for one to loopback
            place = next(own for own in _LOOPBACK if own.family is place.family)
        places = (place,)
    return any(
        place == own or (own.host in _UNSPECIFIED and place.meets(own) and _is_loopback(place))
        for place in places
        for own in listening_places(listening)
    )


def _literal(host: str) -> _IpAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _place(literal: _IpAddress) -> Place:
    return Place(Family(literal.version), str(literal))


def _is_loopback(place: Place) -> bool:
    return ipaddress.ip_address(place.host).is_loopback


def _check_can_listen(literal: _IpAddress, port: int) -> None:
    if literal.is_multicast or str(literal) == "255.255.255.255":
        raise ValueError(f"expected an address of this machine before the port; {literal} is one of many")
    if isinstance(literal, ipaddress.IPv6Address) and literal.ipv4_mapped is not None:
        raise ValueError(
            f"expected the IPv4 address as such, {TcpAddress(str(literal.ipv4_mapped), port)}; "
            "an IPv6 socket cannot listen on it"
        )
    _check_scope(literal, port)


def _check_scope(literal: _IpAddress | None, port: int) -> None:
    if isinstance(literal, ipaddress.IPv6Address) and literal.is_link_local and not literal.scope_id:
        raise ValueError(f"expected a link-local address with its interface, such as [{literal}%eth0]:{port}")


def parse_target(text: str) -> SocketAddress:
    """The address of a service: ``host:port``, ``[v6]:port`` or ``unix:/path``.

    Raises:
        ValueError: the text is none of these; the message says what was expected.
    """
    if text.startswith("unix:"):
        return _parse_unix(text)
    host, port = _split(text, is_local=False)
    _check_scope(_literal(host), port)
    return TcpAddress(host, port)


def parse_listen(text: str) -> TcpAddress:
    """The address of a local port: ``host:port``, ``:port`` or ``*:port`` (every interface), ``[v6]:port``.

    Port 0 lets the kernel choose.

    Raises:
        ValueError: the text is none of these; the message says what was expected.
    """
    host, port = _split(text, is_local=True)
    return TcpAddress("" if host == "*" else host, port)


def parse_listen_or_path(text: str) -> SocketAddress:
    """As :func:`parse_listen`, or the path of a unix socket: ``unix:/path`` or ``/path``.

    Raises:
        ValueError: the text is none of these; the message says what was expected.
    """
    if text.startswith("/"):
        return _parse_unix(f"unix:{text}")
    return _parse_unix(text) if text.startswith("unix:") else parse_listen(text)


def _parse_unix(text: str) -> UnixAddress:
    path = text.removeprefix("unix:")
    if not path.startswith("/"):
        raise ValueError("expected unix:/path with an absolute path, which begins with /")
    if len(path.encode()) > MAX_UNIX_PATH_BYTES or "\0" in path:
        raise ValueError(f"expected a unix socket path of at most {MAX_UNIX_PATH_BYTES} bytes")
    return UnixAddress(path)


def _split(text: str, *, is_local: bool) -> tuple[str, int]:
    match = _HOST_AND_PORT.fullmatch(text)
    lowest_port = 0 if is_local else 1  # 0 lets the system choose
    if match is not None and (match["host"] or match["ipv6"] or is_local):
        host, port = match["ipv6"] or match["host"] or "", int(match["port"])
        if lowest_port <= port <= MAX_PORT and (match["ipv6"] is None or _literal(host) is not None):
            return host, port
    raise ValueError(f"expected {mistake(text, is_local=is_local, lowest_port=lowest_port)}")
