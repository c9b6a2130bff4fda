"""The dashboard's document, as commands read it; see :mod:`mesh.agent.dashboard.document`."""

from datetime import datetime

import msgspec

from mesh.agent.dashboard.states import ServiceState
from mesh.agent.findings import Severity


class Me(msgspec.Struct, frozen=True):
    """The agent that answers."""

    id: str
    short_id: str
    display_name: str
    version: str
    phase: str
    since: datetime
    certificate_ends: datetime
    certificate_days_left: float
    awaits_at: tuple[str, ...]


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong."""

    severity: Severity
    what: str
    remedy: str
    since: datetime | None


class AsideExit(msgspec.Struct, frozen=True):
    """An exit that a listener has set aside."""

    agent: str
    reason: str
    since: datetime
    until: datetime


class Service(msgspec.Struct, frozen=True):
    """One of its own listeners or endpoints."""

    key: str
    address: str
    state: ServiceState
    since: datetime | None
    reason: str
    set_aside: tuple[AsideExit, ...]


class Peer(msgspec.Struct, frozen=True):
    """One of its peers, or an address that it dials."""

    id: str | None
    short_id: str | None
    display_name: str
    state: str
    rtt_ms: float | None
    is_dialer: bool
    address: str
    problem: str | None
    since: datetime | None


class Route(msgspec.Struct, frozen=True):
    """A listener and an endpoint of its key."""

    key: str
    ingress_agent: str
    ingress_agent_id: str
    listener_address: str
    exit_agent: str
    exit_agent_id: str
    target: str
    hop_count: int
    path_display: tuple[str, ...]


class Listener(msgspec.Struct, frozen=True):
    """One without an endpoint."""

    key: str
    agent: str
    agent_id: str
    listener_address: str
    reason: str


class Endpoint(msgspec.Struct, frozen=True):
    """One without a listener."""

    key: str
    agent: str
    agent_id: str
    target: str
    reason: str


class Socks(msgspec.Struct, frozen=True):
    """A local port whose clients name the key."""

    address: str
    problem: str | None


class Rows(msgspec.Struct, frozen=True):
    """Which rows of its lists a document has."""

    next_offset: int | None


class Document(msgspec.Struct, frozen=True):
    """All of them, or one page."""

    agent: Me
    ready: bool
    as_of: datetime
    age_s: float
    rows: Rows
    findings: tuple[Finding, ...]
    listeners: tuple[Service, ...]
    endpoints: tuple[Service, ...]
    peers: tuple[Peer, ...]
    forward_routes: tuple[Route, ...]
    unmatched_listeners: tuple[Listener, ...]
    unmatched_endpoints: tuple[Endpoint, ...]
    draining: bool = False
    socks: tuple[Socks, ...] = ()

    def with_page(self, page: "Document") -> "Document":
        """This and the rows of the next page."""
        return Document(
            agent=self.agent,
            ready=self.ready,
            as_of=self.as_of,
            age_s=self.age_s,
            rows=page.rows,
            findings=self.findings + page.findings,
            listeners=self.listeners + page.listeners,
            endpoints=self.endpoints + page.endpoints,
            peers=self.peers + page.peers,
            socks=self.socks,
            forward_routes=self.forward_routes + page.forward_routes,
            unmatched_listeners=self.unmatched_listeners + page.unmatched_listeners,
            unmatched_endpoints=self.unmatched_endpoints + page.unmatched_endpoints,
            draining=self.draining,
        )
