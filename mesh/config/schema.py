"""The configuration: every section and key, its kind, its default and what it means.

Field names carry units (``timeout_s``); the key in the file is the field's encoded name (``timeout``).
``docs/CONFIGURATION.md`` describes the same keys for users.
"""

import math
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import msgspec

from mesh.addresses import SocketAddress, TcpAddress
from mesh.config import address_kinds, kinds, token_kinds
from mesh.config.secret import Secret
from mesh.hops import DEFAULT_MAX_HOPS
from mesh.trust.identity import AgentId

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("text", "json")
MESH: Final = "mesh"
GRANTED: Final = "granted"
VISIBILITIES: Final = (MESH, GRANTED)
"""To whom an endpoint or listener is shown."""

SYSTEM: Final = "system"
CONGESTION_CONTROLS: Final = (SYSTEM, "bbr", "cubic", "reno")
PROXY_VERSIONS: Final = ("v2",)
KEY_MODES: Final = ("owner", "group")
DEFAULT_HTTP_ADDRESS: Final = TcpAddress("127.0.0.1", 8080)

_LogLevel: TypeAlias = Annotated[str, kinds.Choice(LOG_LEVELS)]
_MIB: Final = 1024**2
_TIB: Final = 1024**4


class AgentSection(msgspec.Struct, frozen=True, kw_only=True):
    """``agent``: who this agent is."""

    name: Annotated[str, kinds.Name()] = ""
    """Display name; the host name where absent."""
    data_dir: Annotated[Path, kinds.FilePath()] | None = None
    """Where the identity key lives. Absent: ``data/<name>`` with ``trust``, a new key each start without."""
    key_mode: Annotated[str, kinds.Choice(KEY_MODES)] = "owner"
    """Who may read the identity key."""
    drain_timeout_s: Annotated[float, kinds.Duration(0.0, 3600.0)] = msgspec.field(
        default=10.0, name="drain_timeout"
    )
    """How long a shutdown waits for what is under way."""
    relay: Annotated[bool, kinds.Boolean()] = True
    """Whether others' traffic may pass through this agent."""


class TrustSection(msgspec.Struct, frozen=True, kw_only=True):
    """``trust``: who is admitted to this mesh, and what admits this agent."""

    authorities: tuple[Annotated[bytes, kinds.PublicKey()], ...]
    """Public keys whose certificates admit an agent."""
    certificate: Annotated[Path, kinds.FilePath()]
    """File with this agent's own certificate."""


class AcceptSection(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``accept``: where other agents reach this one."""

    address: Annotated[TcpAddress, address_kinds.Listen()]


class PeerSection(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``peers``: an agent that this one dials, and redials for ever."""

    address: Annotated[TcpAddress, address_kinds.Dial()]
    id: Annotated[AgentId, kinds.PinnedAgent()] | None = None
    """The only agent that is accepted there; absent, any that an authority admits."""


class HealthCheckSection(msgspec.Struct, frozen=True, kw_only=True):
    """``health_check`` of an endpoint: how it is seen whether the target accepts connections."""

    interval_s: Annotated[float, kinds.Duration(0.1, 86400.0)] = msgspec.field(default=5.0, name="interval")
    """From the start of one check to the start of the next."""
    timeout_s: Annotated[float, kinds.Duration(0.1, 3600.0)] = msgspec.field(default=2.0, name="timeout")
    """A check that has no answer for so long has failed."""
    unhealthy_after: Annotated[int, kinds.Integer(1, 1000)] = 3
    """Failures in a row that withdraw the key."""
    healthy_after: Annotated[int, kinds.Integer(1, 1000)] = 2
    """Passes in a row that bring it back."""


class EndpointSection(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``forward.endpoints``: a service near this agent."""

    key: Annotated[str, kinds.RoutingKey()]
    target: Annotated[SocketAddress, address_kinds.Target()]
    max_connections: Annotated[int, kinds.Integer(0, 1_000_000_000, " (0 is unlimited)")] = 0
    """At one time, from the whole mesh; 0 is unlimited."""
    allow: tuple[Annotated[str, kinds.AgentOrGroup()], ...] = ()
    """Agents and groups that may use it; absent, all whose certificates let them use the key."""
    proxy_protocol: Annotated[str, kinds.Choice(PROXY_VERSIONS)] = ""
    """The header by which the target is told who connects; absent, it is told nothing."""
    source_address: Annotated[IPv4Network, address_kinds.LoopbackSubnet()] | None = None
    """From which loopback addresses the target is connected to, one for each agent; absent, from any."""
    show_target: Annotated[bool, kinds.Boolean()] = False
    """Whether the whole mesh is told where the service is; else this agent only, and who may manage it."""
    visibility: Annotated[str, kinds.Choice(VISIBILITIES)] = MESH
    """Who sees it: the whole mesh, or those only that may use it (``granted``)."""
    health_check: HealthCheckSection | None = None
    """Absent, the key is offered whether its target is up or not."""


class ListenerSection(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``forward.listeners``: a local port or unix socket for a service elsewhere."""

    key: Annotated[str, kinds.RoutingKey()]
    address: Annotated[SocketAddress, address_kinds.ListenOrPath()]
    max_connections: Annotated[int, kinds.Integer(0, 1_000_000_000, " (0 is unlimited)")] = 0
    """At one time; 0 is unlimited."""
    agents: tuple[Annotated[str, kinds.AgentOrGroup()], ...] = ()
    """Agents and groups that are believed to offer it; absent, all whose certificates let them offer it."""
    visibility: Annotated[str, kinds.Choice(VISIBILITIES)] = MESH
    """Who sees it: the whole mesh, or those only that may use its key or offer it (``granted``)."""
    early_data: Annotated[bool, kinds.Boolean()] = True
    """Whether what a client says at once may go along with the opening of its connection."""


class SocksSection(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``forward.socks``: a local port or unix socket whose clients name the key (SOCKS5)."""

    address: Annotated[SocketAddress, address_kinds.ListenOrPath()]
    user: Annotated[str, kinds.SocksUser()] = ""
    """What a client must call itself; absent, anybody may come."""
    password: Annotated[Secret, kinds.Password()] | None = None
    """What it must know."""
    max_connections: Annotated[int, kinds.Integer(0, 1_000_000_000, " (0 is unlimited)")] = 0
    """At one time, for all keys together; 0 is unlimited."""


class ForwardSection(msgspec.Struct, frozen=True, kw_only=True):
    """``forward``: services and local ports."""

    endpoints: tuple[EndpointSection, ...] = ()
    listeners: tuple[ListenerSection, ...] = ()
    socks: tuple[SocksSection, ...] = ()


class TokenSection(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``http.tokens``: a program or person that may read or change by ``http.address``."""

    name: Annotated[str, kinds.Name()]
    """For the log."""
    hash: Annotated[bytes, token_kinds.TokenHash()]
    """SHA-256 of the token, which nobody but its bearer has."""
    scope: Annotated[str, kinds.Choice(token_kinds.SCOPES)] = token_kinds.CHANGE
    """What it is good for; who may change may read."""
    expires_unix_s: Annotated[float, token_kinds.Moment()] = msgspec.field(default=math.inf, name="expires")
    """From when on it is good for nothing; absent, never."""


class TlsSection(msgspec.Struct, frozen=True, kw_only=True):
    """``http.tls``: for clients of ``http.address``; the files are read again when they change."""

    certificate: Annotated[Path, kinds.FilePath()]
    """In PEM, with what is between it and a root."""
    key: Annotated[Path, kinds.FilePath()]
    """Its private key, in PEM, without a passphrase."""


class HttpSection(msgspec.Struct, frozen=True, kw_only=True):
    """``http``: the dashboard and health endpoints; absent, there are none."""

    address: Annotated[TcpAddress, address_kinds.Listen(default_host=DEFAULT_HTTP_ADDRESS.host)] = (
        DEFAULT_HTTP_ADDRESS
    )
    allowed_hosts: tuple[Annotated[str, address_kinds.HostName()], ...] = ()
    """Names by which clients may ask, besides addresses and ``localhost``."""
    tokens: tuple[TokenSection, ...] = ()
    """Who may change this agent here; nobody if there is none."""
    tls: TlsSection | None = None
    """Absent, what is asked and answered can be read on the way."""


class ConnectionsSection(msgspec.Struct, frozen=True, kw_only=True):
    """``connections``: how long links and connections wait, and how links send."""

    timeout_s: Annotated[float, kinds.Duration(0.1, 3600.0)] = msgspec.field(default=3.0, name="timeout")
    """A link whose peer is silent for so long is dead."""
    open_timeout_s: Annotated[float, kinds.Duration(0.1, 3600.0)] = msgspec.field(
        default=10.0, name="open_timeout"
    )
    """The budget for opening a connection, over all candidates."""
    reroute_timeout_s: Annotated[float, kinds.Duration(0.1, 86400.0)] = msgspec.field(
        default=30.0, name="reroute_timeout"
    )
    """A connection whose other end cannot be reached for so long is reset. Below 3 s it may end before it has
    found another path."""
    idle_probe_s: Annotated[float, kinds.Duration(0.1, 86400.0)] = msgspec.field(
        default=60.0, name="idle_probe"
    )
    """How often an idle connection asks whether its other end is still there."""
    congestion_control: Annotated[str, kinds.Choice(CONGESTION_CONTROLS)] = SYSTEM
    """The kernel's algorithm that links send by; ``system`` is the one of all its TCP connections."""


class RoutingSection(msgspec.Struct, frozen=True, kw_only=True):
    """``routing``: how the mesh's records live and how long a path may be."""

    advertise_interval_s: Annotated[float, kinds.Duration(0.1, 86400.0)] = msgspec.field(
        default=120.0, name="advertise_interval"
    )
    """How often this agent's record is refreshed; changes are flooded at once."""
    route_ttl_s: Annotated[float, kinds.Duration(0.2, 7 * 86400.0)] = msgspec.field(
        default=300.0, name="route_ttl"
    )
    """A record that is not refreshed for so long is forgotten."""
    max_hops: Annotated[int, kinds.Integer(1, 64)] = DEFAULT_MAX_HOPS
    """Links on a path, at most."""


class LimitsSection(msgspec.Struct, frozen=True, kw_only=True):
    """``limits``: what this agent spends on others."""

    stream_buffer_bytes: Annotated[int, kinds.Size(_MIB, _TIB)] = msgspec.field(
        default=256 * _MIB, name="stream_buffer"
    )
    """Memory for windows and send buffers of all connections that begin or end here."""
    relay_buffer_bytes: Annotated[int, kinds.Size(_MIB, _TIB)] = msgspec.field(
        default=64 * _MIB, name="relay_buffer"
    )
    """Memory for data that waits to be sent, on all links together."""
    pending_opens: Annotated[int, kinds.Integer(1, 1_000_000)] = 4096
    """Connections that other agents are opening to endpoints here, at one time."""
    unauthenticated_links: Annotated[int, kinds.Integer(1, 100_000)] = 1024
    """Arrivals on the acceptor that have not shown an authority yet, at one time; and as many again that
    have, but no certificate yet."""


class LevelsSection(msgspec.Struct, frozen=True, kw_only=True):
    """``logging.levels``: a level for each subsystem; absent, ``logging.level`` holds."""

    agent: _LogLevel | None = None
    """Start, stop, configuration, certificates."""
    runtime: _LogLevel | None = None
    """Dispatchers, supervision, actors that crash."""
    links: _LogLevel | None = None
    """Dialing, accepting, handshakes, links to peers."""
    routes: _LogLevel | None = None
    """Records and paths."""
    connections: _LogLevel | None = None
    """Tunneled connections."""
    forward: _LogLevel | None = None
    """Listeners and endpoints."""
    http: _LogLevel | None = None
    """The dashboard and its server."""


SUBSYSTEMS: Final = LevelsSection.__struct_fields__
"""The names that a logger has after ``mesh.``."""


class LoggingSection(msgspec.Struct, frozen=True, kw_only=True):
    """``logging``: what is logged, and how."""

    level: _LogLevel = "info"
    format: Annotated[str, kinds.Choice(LOG_FORMATS)] = "text"
    connections: Annotated[int, kinds.Integer(0, 100_000)] = 3
    """Lines a second about connections that have ended, for each key; the rest is counted."""
    levels: LevelsSection = LevelsSection()


class AuditSection(msgspec.Struct, frozen=True, kw_only=True):
    """``audit``: what is written down for good in the data directory."""

    changes: Annotated[bool, kinds.Boolean()] = True
    """Who had this agent change what."""
    connections: Annotated[bool, kinds.Boolean()] = False
    """Who was connected to what."""
    file_bytes: Annotated[int, kinds.Size(64 * 1024, 1024**3)] = msgspec.field(
        default=8 * _MIB, name="file_size"
    )
    """A file of so many is followed by another."""
    files: Annotated[int, kinds.Integer(2, 10_000)] = 16
    """That are kept of each kind."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration: paths are absolute, durations are seconds, sizes are bytes."""

    agent: AgentSection = AgentSection()
    trust: TrustSection | None = None
    accept: tuple[AcceptSection, ...] = ()
    peers: tuple[PeerSection, ...] = ()
    forward: ForwardSection = ForwardSection()
    http: HttpSection | None = None
    connections: ConnectionsSection = ConnectionsSection()
    routing: RoutingSection = RoutingSection()
    limits: LimitsSection = LimitsSection()
    logging: LoggingSection = LoggingSection()
    audit: AuditSection = AuditSection()
