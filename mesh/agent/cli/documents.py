"""The dashboard's document, as commands read it; see :mod:`mesh.agent.dashboard.document`."""

import msgspec


class Me(msgspec.Struct, frozen=True):
    """The agent that answers."""

    id: str
    short_id: str
    display_name: str
    version: str


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


class Rows(msgspec.Struct, frozen=True):
    """Which rows of its lists a document has."""

    next_offset: int | None


class Document(msgspec.Struct, frozen=True):
    """All of them, or one page."""

    agent: Me
    ready: bool
    age_s: float
    rows: Rows
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    peers: tuple[Peer, ...]
    forward_routes: tuple[Route, ...]
    unmatched_listeners: tuple[Listener, ...]
    unmatched_endpoints: tuple[Endpoint, ...]
    draining: bool = False

    def with_page(self, page: "Document") -> "Document":
        """This and the rows of the next page."""
        return Document(
            agent=self.agent,
            ready=self.ready,
            age_s=self.age_s,
            rows=page.rows,
            problems=self.problems + page.problems,
            warnings=self.warnings + page.warnings,
            peers=self.peers + page.peers,
            forward_routes=self.forward_routes + page.forward_routes,
            unmatched_listeners=self.unmatched_listeners + page.unmatched_listeners,
            unmatched_endpoints=self.unmatched_endpoints + page.unmatched_endpoints,
            draining=self.draining,
        )
