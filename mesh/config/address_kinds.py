"""The kinds of address that a configuration has; see ``kinds.py``."""

from ipaddress import IPv4Network
from typing import Final

import msgspec

from mesh.addresses import (
    SocketAddress,
    TcpAddress,
    UnixAddress,
    listening_places,
    parse_listen,
    parse_listen_or_path,
    parse_target,
)
from mesh.config.host_names import ascii_host
from mesh.config.kinds import Context, Scalar
from mesh.config.problems import quoted

LOOPBACK: Final = IPv4Network("127.0.0.0/8")

LONGEST_PREFIX: Final = 24


class EmptyHostError(ValueError):
    """A variable was to be the host and is empty; the text repeats what stands in the file only."""


class Target(msgspec.Struct, frozen=True):
    """The address of a service."""

    expected: str = "host:port, [ipv6]:port or unix:/path"

    def parse(self, scalar: Scalar, context: Context) -> SocketAddress:
        """The address."""
        del context
        address = parse_target(scalar.text)
        if isinstance(address, TcpAddress):
            return TcpAddress(ascii_host(address.host), address.port)
        return address


class Dial(msgspec.Struct, frozen=True):
    """The address of another agent."""

    expected: str = "host:port or [ipv6]:port"

    def parse(self, scalar: Scalar, context: Context) -> TcpAddress:
        """The address."""
        del context
        address = parse_target(scalar.text)
        if isinstance(address, UnixAddress):
            raise ValueError(f"{self.expected}; links run over TCP")  # noqa: TRY004 - a wrong value, not a wrong type
        return TcpAddress(ascii_host(address.host), address.port)


class LoopbackSubnet(msgspec.Struct, frozen=True):
    """A part of 127.0.0.0/8."""

    expected: str = "a subnet of 127.0.0.0/8 with 254 addresses or more, such as 127.64.0.0/16"

    def parse(self, scalar: Scalar, context: Context) -> IPv4Network:
        """The subnet."""
        del context
        try:
            subnet = IPv4Network(scalar.text)
        except ValueError:
            raise ValueError(self.expected) from None
        if not subnet.subnet_of(LOOPBACK) or subnet.prefixlen > LONGEST_PREFIX:
            raise ValueError(self.expected)
        return subnet


class HostName(msgspec.Struct, frozen=True):
    """A host name without a port, as a browser sends it."""

    expected: str = "a host name without a port, such as mesh.example.com"

    def parse(self, scalar: Scalar, context: Context) -> str:
        """The name in ASCII and lower case."""
        del context
        text = scalar.text
        if not text or set(text) & set(":/@*"):
            raise ValueError(self.expected)
        try:
            return ascii_host(text).lower().removesuffix(".")
        except ValueError:
            raise ValueError(self.expected) from None


class ListenOrPath(msgspec.Struct, frozen=True):
    """A local port as :class:`Listen` takes it, or the path of a unix socket."""

    expected: str = "host:port, :port, [ipv6]:port, unix:/path or a path that begins with /"

    def parse(self, scalar: Scalar, context: Context) -> SocketAddress:
        """The address."""
        if scalar.text.startswith(("/", "unix:")):
            return parse_listen_or_path(scalar.text)
        return Listen().parse(scalar, context)


class Listen(msgspec.Struct, frozen=True):
    """A local port; where it is opened is the rule of :mod:`mesh.addresses`."""

    default_host: str = ""
    """What no host means; ``*`` means every interface whatever stands here."""
    expected: str = "host:port, :port or [ipv6]:port"

    def parse(self, scalar: Scalar, context: Context) -> TcpAddress:
        """The address."""
        del context
        address = parse_listen(scalar.text)
        if scalar.text.startswith(":"):
            if scalar.written and not scalar.written.startswith(":"):
                raise EmptyHostError(f"a host before the port; {quoted(scalar.written)} leaves it empty")
            return TcpAddress(self.default_host, address.port)
        listening_places(address)
        return address
