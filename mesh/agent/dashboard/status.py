"""What the dashboard shows, as values, and where it gets them: the only door between HTTP and the actors."""

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Final, Protocol

import msgspec

from actors.key_meters import KeyMeter
from actors.peer_meters import PeerMeter
from actors.root.phases import Phase
from mesh.agent.audit.standing import TrailStanding
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.findings import Finding
from mesh.alarms import AlarmCount
from mesh.routing.agent_views import AgentView
from mesh.routing.pairings import UnmatchedEndpoint, UnmatchedListener
from mesh.routing.shared_paths import PathSearch
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId
from mesh.trust.revocations import NOBODY_REVOKED, Revocations

RUNNING: Final = Phase.RUNNING.value


class StatusUnavailable(Exception):  # noqa: N818 - it names a condition of the agent, told to the client as such
    """The actors did not answer in time, or are gone; the text is shown to the client."""


class NoAnswer(StatusUnavailable):
    """The actors have not answered yet: they may be busy, and what they said last may still do."""


class PeerStatus(msgspec.Struct, frozen=True):
    """One peer: linked, or being dialed."""

    agent_id: AgentId | None
    """``None`` while it is not known who answers at ``address``."""
    name: str
    state: str
    """``connected``, or what else is going on (``dialing``, ``waiting``, ...)."""
    rtt_ms: float | None
    """Last measured round-trip time; ``None`` before the first."""
    is_dialer: bool
    """Whether this agent dialed the peer (and not the other way round)."""
    address: str
    problem: str | None = None
    """What is wrong with the path to it, and what to do."""
    since_unix_s: float | None = None
    """Since when it is connected, or not."""
    clock_ahead_s: float | None = None
    """How far its clock was ahead of this machine's when the link came up; ``None`` if nobody knows."""


class AsideExit(msgspec.Struct, frozen=True):
    """An exit that a listener has set aside, as it failed and has not served since."""

    agent_id: AgentId
    name: str
    reason: str
    since_unix_s: float
    until_unix_s: float
    """When it is tried again though others may serve."""


class ServiceStatus(msgspec.Struct, frozen=True):
    """A listener or an endpoint of this agent, whatever the mesh knows of it."""

    key: str
    address: str
    """Where a listener is, or the target of an endpoint."""
    state: ServiceState
    since_unix_s: float | None = None
    """Since when it is so; ``None`` if nobody knows."""
    reason: str = ""
    """Why, unless all is well."""
    aside: tuple[AsideExit, ...] = ()
    configured: str = ""
    """The address as it is configured: the system may have chosen the port."""
    refused_clients: int = 0
    """The latest clients in a row that nobody would serve."""


class Measured(msgspec.Struct, frozen=True):
    """What is counted of keys and peers. The actors go on counting in it."""

    listened: Mapping[str, KeyMeter] = {}
    """By key: of those whose clients this agent lets in."""
    served: Mapping[str, KeyMeter] = {}
    """By key: of those that this agent offers."""
    peers: Mapping[AgentId, PeerMeter] = {}
    """Of those with a link."""


class SocksStatus(msgspec.Struct, frozen=True):
    """One local port whose clients name the key."""

    address: str
    problem: str | None
    """Why it is not open; ``None`` if it is."""


class Stats(msgspec.Struct, frozen=True):
    """What this agent holds now. All of it is zero again, but the actors, when nobody is connected."""

    stream_count: int
    """Streams held by this agent, as ingress or as exit, those still opening included."""
    open_connections: int
    """Connections that are established."""
    actors: int
    unacknowledged_segments: int
    counters: Mapping[str, int] = {}
    """More figures by name; a name that ends in ``_total`` only ever rises."""


class MemberView(AgentView, Protocol):
    """What is shown of an agent's record."""

    @property
    def certificate(self) -> Certificate:
        """What the agent may do, and until when."""
        ...

    @property
    def round_trips(self) -> Mapping[AgentId, int]:
        """Its peers, each with :func:`~mesh.rtt_steps.rtt_step`."""
        ...

    @property
    def carries_transit(self) -> bool:
        """Whether others' connections may pass through it now."""
        ...

    @property
    def draining(self) -> bool:
        """Whether it asks the mesh to prefer others."""
        ...

    @property
    def version(self) -> str | None:
        """Of its software; ``None`` if it does not tell."""
        ...


class RouteView(Protocol):
    """What the dashboard reads of a route snapshot; see :class:`mesh.routing.routes.RouteSnapshot`."""

    @property
    def own_id(self) -> AgentId:
        """The agent whose view this is."""
        ...

    @property
    def usable_count(self) -> int:
        """Pairs of a routing key and an exit agent that this agent reaches and may use."""
        ...

    @property
    def records(self) -> Mapping[AgentId, MemberView]:
        """The newest record of every agent, the own one included."""
        ...

    @property
    def names(self) -> Mapping[AgentId, str]:
        """Those of them that are more than the holder of an invitation, each with its name."""
        ...

    @property
    def hop_counts(self) -> Mapping[AgentId, int]:
        """Links to each agent that this one reaches; itself is at 0."""
        ...

    def paths_from_each(self, sources: Collection[AgentId]) -> PathSearch:
        """How to find the paths from each of ``sources``."""
        ...


class DashboardSnapshot(msgspec.Struct, frozen=True, dict=True):
    """One consistent answer of the actors."""

    agent_id: AgentId
    name: str
    instance: bytes
    peers: tuple[PeerStatus, ...]
    stats: Stats
    routes: RouteView
    portless: tuple[UnmatchedListener, ...] = ()
    """This agent's listeners that have no port, and so are in no record."""
    withheld: tuple[UnmatchedEndpoint, ...] = ()
    """This agent's endpoints whose key is not offered, and so is in no record."""
    socks: tuple[SocksStatus, ...] = ()
    """This agent's SOCKS listeners, but for the one in its data directory."""
    disbelieved: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Keys whose offers this agent's listeners all ignore, each with the reason; follows from ``routes``."""
    problems: tuple[Finding, ...] = ()
    """Why this agent is not ready to serve (a listener's port is taken, ...); empty when it is."""
    warnings: tuple[Finding, ...] = ()
    """What somebody should look at though this agent serves."""
    listeners: tuple[ServiceStatus, ...] = ()
    """This agent's own, in the order of the configuration."""
    endpoints: tuple[ServiceStatus, ...] = ()
    """This agent's own, in the order of the configuration."""
    named: tuple[ServiceStatus, ...] = ()
    """Keys that SOCKS clients have asked for by name lately."""
    measured: Measured = Measured()
    phase: str = RUNNING
    """What the agent is about, for people; see :class:`actors.root.phases.Phase`."""
    started_unix_s: float = 0.0
    certificate_ends_unix_s: float = 0.0
    now_unix_s: float = 0.0
    """When the actors gave this answer."""
    draining: bool = False
    """Whether the mesh is asked to prefer others; that is one of the ``problems``, too."""
    awaits_at: tuple[str, ...] = ()
    """Where this agent accepts links."""
    revocations: Revocations = NOBODY_REVOKED
    """Whom the mesh lets in no more."""
    authorities: frozenset[bytes] = frozenset()
    """Public keys of those that this agent trusts."""
    alarms: tuple[AlarmCount, ...] = ()
    """What members have done to others, as this agent has seen it, in the order of first alarms."""

    @cached_property
    def own_targets(self) -> Mapping[str, str]:
        """Where this agent's services are, by key: its record may hide that from others."""
        return {each.key: each.address for each in self.endpoints}

    audit: tuple[TrailStanding, ...] = ()
    """What is written down for good."""


class StatusSource(Protocol):
    """Asks the actors."""

    def dashboard_snapshot(self, timeout_s: float) -> DashboardSnapshot:
        """The state of now; called on a thread of the dashboard's own, one call at a time.

        Raises:
            NoAnswer: none within ``timeout_s`` seconds.
            StatusUnavailable: the actors are gone, or being started anew.
        """
        ...
