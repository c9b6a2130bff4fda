"""What an agent is made from, and what it calls those of its parts that have a port."""

import msgspec

from mesh.addresses import SocketAddress, TcpAddress
from mesh.connection.target_health import HealthCheckSettings
from mesh.routing.records import RecordReader
from mesh.routing.router import RoutingSettings
from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.identity import Identity


class EndpointSetup(msgspec.Struct, frozen=True):
    """One service near this agent."""

    key: str
    target: SocketAddress
    max_connections: int = 0
    health_check: HealthCheckSettings | None = None


class ListenerSetup(msgspec.Struct, frozen=True):
    """One local port for a service elsewhere."""

    key: str
    address: TcpAddress
    max_connections: int = 0


class AgentSetup(msgspec.Struct, frozen=True):
    """All that an agent is made from: its configuration and its credentials, judged already."""

    identity: Identity
    certificate: Certificate
    certificate_wire: bytes
    trust: TrustStore
    relays: bool = True
    accept: tuple[TcpAddress, ...] = ()
    peers: tuple[TcpAddress, ...] = ()
    endpoints: tuple[EndpointSetup, ...] = ()
    listeners: tuple[ListenerSetup, ...] = ()
    routing: RoutingSettings = RoutingSettings()
    timeout_s: float = 3.0
    open_timeout_s: float = 10.0
    reroute_timeout_s: float = 30.0
    idle_probe_s: float = 60.0
    stream_buffer_bytes: int = 256 * 1024 * 1024
    relay_buffer_bytes: int = 64 * 1024 * 1024
    pending_opens: int = 4096
    unauthenticated_links: int = 64
    reader: RecordReader = RecordReader()


def acceptor_name(address: TcpAddress, number: int) -> str:
    """The only acceptor with this name; it is the ``number``-th of the configuration, from 1."""
    return f"acceptor {address}{_nth(address, number)}"


def listener_name(key: str, address: TcpAddress, number: int) -> str:
    """The only listener with this name; it is the ``number``-th of the configuration, from 1."""
    return f"listener {key} {address}{_nth(address, number)}"


def _nth(address: TcpAddress, number: int) -> str:
    # Where the system chooses the port, several may have key and address in common.
    return "" if address.port else f" ({number})"
