"""What the API says of agents, links, keys, routes and certificates. IDs are whole, in hexadecimal digits."""

import msgspec


class AgentRow(msgspec.Struct, frozen=True):
    """An agent of the mesh."""

    id: str
    short_id: str
    name: str
    is_local: bool
    is_peer: bool
    """Whether there is a link to it."""
    hop_count: int | None
    """Links between; ``null`` if it is out of reach."""
    carries_transit: bool
    """Whether others' connections may pass through it now."""
    draining: bool
    """Whether it asks the mesh to prefer others."""
    links: int
    """To other agents."""
    endpoints: int
    listeners: int
    keys: tuple[str, ...]
    """Some of those that it offers; ``services`` has all."""
    certificate_not_after: int
    """Unix seconds."""
    version: str | None
    """Of its software; ``null`` if it does not tell."""


class LinkRow(msgspec.Struct, frozen=True):
    """A link between two agents, as one of them tells the mesh."""

    from_id: str
    from_name: str
    to_id: str
    to_name: str
    rtt_at_most_ms: float
    """Round trip, in steps that double."""


class OfferRow(msgspec.Struct, frozen=True):
    """An agent that offers a key."""

    agent_id: str
    agent: str
    target: str | None
    hop_count: int | None
    problem: str | None
    """Why no listener reaches it; ``null`` if one does."""


class ListenedRow(msgspec.Struct, frozen=True):
    """A listener for a key."""

    agent_id: str
    agent: str
    address: str
    problem: str | None
    """Why it refuses clients; ``null`` if it does not."""
    exit_id: str | None
    exit: str | None
    """The agent to which it leads first."""
    hop_count: int | None
    """From the listener to there."""
    path: tuple[str, ...]
    """The names of all agents on the way there, both ends included."""


class ServiceRow(msgspec.Struct, frozen=True):
    """A key of the mesh."""

    key: str
    offers: tuple[OfferRow, ...]
    """The nearest first."""
    offer_count: int
    listeners: tuple[ListenedRow, ...]
    listener_count: int


class RouteRow(msgspec.Struct, frozen=True):
    """A listener and an endpoint that it reaches."""

    key: str
    ingress_id: str
    ingress: str
    listener_address: str
    exit_id: str
    exit: str
    target: str | None
    hop_count: int
    path_ids: tuple[str, ...]
    path: tuple[str, ...]


class CertificateRow(msgspec.Struct, frozen=True):
    """A certificate by which an agent was admitted."""

    agent_id: str
    name: str
    is_local: bool
    public_key: str
    authority: str
    not_before: int
    """Unix seconds."""
    not_after: int
    may_register: tuple[str, ...]
    may_use: tuple[str, ...]
    may_relay: bool
    may_manage: bool
    groups: tuple[str, ...] = ()
    may_issue: bool = False
    """Whether it lets the agent sign certificates of others."""
    issuer_id: str | None = None
    """The agent that signed; ``null`` if the authority did."""
    issuer: str | None = None
    """Its name."""
