"""Addresses as people write them: ``host:port``, ``:port``, ``[::1]:port`` and ``unix:/path``."""

from typing import Final, TypeAlias

import msgspec

MAX_PORT: Final = 65_535
MAX_UNIX_PATH_OCTETS: Final = 107
"""``sun_path`` is 108 octets with its terminating zero: unix(7)."""


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


def parse_target(text: str) -> SocketAddress:
    """The address of a service: ``host:port``, ``[v6]:port`` or ``unix:/path``.

    Raises:
        ValueError: the text is none of these; the message says what was expected.
    """
    if text.startswith("unix:"):
        return _parse_unix(text)
    host, port = _split(text, lowest_port=1)
    if not host:
        raise ValueError("expected host:port, [ipv6]:port or unix:/path; the host is missing")
    return TcpAddress(host, port)


def parse_listen(text: str) -> TcpAddress:
    """The address of a local port: ``host:port``, ``:port`` (all interfaces) or ``[v6]:port``.

    Port 0 lets the kernel choose.

    Raises:
        ValueError: the text is none of these; the message says what was expected.
    """
    host, port = _split(text, lowest_port=0)
    return TcpAddress(host, port)


def _parse_unix(text: str) -> UnixAddress:
    path = text.removeprefix("unix:")
    if not path.startswith("/"):
        raise ValueError("expected unix:/path with an absolute path")
    if len(path.encode()) > MAX_UNIX_PATH_OCTETS or "\0" in path:
        raise ValueError(f"expected a unix socket path of at most {MAX_UNIX_PATH_OCTETS} octets")
    return UnixAddress(path)


def _split(text: str, *, lowest_port: int) -> tuple[str, int]:
    if "://" in text:
        raise ValueError("expected host:port, found a URL; leave out the scheme and the path")
    host, separator, port_text = text.rpartition(":")
    if not separator:
        raise ValueError("expected host:port; the port is missing")
    if host.startswith("["):
        if not host.endswith("]") or ":" not in host:
            raise ValueError("expected [ipv6]:port; the bracket is not closed")
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("expected an IPv6 address in brackets: [::1]:port")
    if any(character.isspace() or character in "/@" for character in host):
        raise ValueError(f"expected a host name or address before the port, found {host!r}")
    is_number = port_text.isascii() and port_text.isdigit()
    if not is_number or not lowest_port <= int(port_text) <= MAX_PORT:
        raise ValueError(f"expected a port from {lowest_port} to {MAX_PORT}, found {port_text!r}")
    return host, int(port_text)
