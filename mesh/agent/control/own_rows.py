"""What the API says of the agent itself, for both of its ends. IDs are whole, in hexadecimal digits."""

from datetime import datetime

import msgspec

from mesh.agent.dashboard.states import ServiceState
from mesh.agent.findings import Severity
from mesh.agent.origin import Origin
from mesh.agent.software import Build


class OwnAgent(msgspec.Struct, frozen=True):
    """The agent that answers."""

    id: str
    short_id: str
    name: str
    version: str
    """Of its software."""
    phase: str
    since: datetime
    """When it was started."""
    certificate_ends: datetime
    certificate_days_left: float
    awaits_at: tuple[str, ...]
    """Where it accepts links."""
    build: Build = Build.INTERPRETED
    """Whether the core of its software was compiled ahead of time; before agents told, none was."""


class FindingRow(msgspec.Struct, frozen=True):
    """Something that is wrong."""

    severity: Severity
    what: str
    remedy: str
    """What to do; empty if it is plain, or stands in ``what``."""
    since: datetime | None


class SocksRow(msgspec.Struct, frozen=True):
    """A local port whose clients name the key."""

    address: str
    problem: str | None
    """Why it is not open; ``null`` if it is."""


class AuditRow(msgspec.Struct, frozen=True):
    """A trail of the audit log."""

    trail: str
    head: str
    """As ``mesh audit verify --head`` takes it, to be noted elsewhere; empty before the first entry."""
    written: int
    """Entries since the start."""
    lost: int
    """Entries since the start that could not be written."""


class Status(msgspec.Struct, frozen=True):
    """How an agent is."""

    agent: OwnAgent
    ready: bool
    draining: bool
    """Whether the mesh is asked to prefer others; that is one of the findings, too."""
    as_of: datetime
    age_s: float
    """How old this is: 0 unless the agent is busy."""
    findings: tuple[FindingRow, ...]
    """The problems first; one that is ready has none but warnings."""
    socks: tuple[SocksRow, ...]
    audit: tuple[AuditRow, ...]
    descriptors: int
    """That are in use."""
    descriptor_limit: int
    """Of the process; -1 if there is none."""
    revocation_lists_missing: int = 0
    """Lists of which a peer says that it has a newer one than this agent."""


class AsideRow(msgspec.Struct, frozen=True):
    """An exit that a listener has set aside, as it failed and has not served since."""

    agent_id: str
    agent: str
    reason: str
    since: datetime
    until: datetime
    """When it is tried again though others may serve."""


class ExitRow(msgspec.Struct, frozen=True):
    """An endpoint that a listener reaches."""

    agent_id: str
    agent: str
    target: str | None
    hop_count: int


class EndpointRow(msgspec.Struct, frozen=True):
    """An endpoint of this agent."""

    key: str
    target: str
    max_connections: int
    """At one time; 0 is any number."""
    allow: tuple[str, ...]
    """Agents that may use it; all if there is none."""
    visibility: str
    """Who sees it: ``mesh``, or ``granted`` for those only that may use it."""
    origin: Origin
    state: ServiceState
    since: datetime | None
    problem: str | None
    """Why the key is not offered now; ``null`` if it is."""
    listeners: int
    """In the mesh, that lead here."""


class ListenerRow(msgspec.Struct, frozen=True):
    """A listener of this agent."""

    key: str
    address: str
    """As it is configured, and named to take it out."""
    opened_at: str
    """The same with the port that the system has chosen."""
    max_connections: int
    """At one time; 0 is any number."""
    agents: tuple[str, ...]
    """Agents that are believed to offer the key; all if there is none."""
    visibility: str
    """Who sees it: ``mesh``, or ``granted`` for those only that may use its key or offer it."""
    origin: Origin
    state: ServiceState
    since: datetime | None
    problem: str | None
    """Why it refuses clients, or which agents are not believed; ``null`` if nothing is wrong."""
    exits: tuple[ExitRow, ...]
    """To which it leads, the nearest first; some of them if there are many."""
    set_aside: tuple[AsideRow, ...]


class PeerRow(msgspec.Struct, frozen=True):
    """A peer of this agent, or an address that it dials."""

    id: str | None
    short_id: str | None
    name: str
    state: str
    since: datetime | None
    rtt_ms: float | None
    is_dialer: bool
    """Whether this agent dialed the other."""
    address: str
    problem: str | None
    clock_ahead_s: float | None = None
    """How far its clock was ahead of this machine's when the link came up, about; ``null`` if unknown."""
