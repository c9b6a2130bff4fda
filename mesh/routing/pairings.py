"""Which listener reaches which endpoint, over all agents of the mesh, and why the others do not.

Pure: takes one immutable route snapshot and returns plain values. It costs one path search for each agent
with a usable listener, so it belongs on a reader's thread, not on the route table's.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

from mesh.trust.identity import AgentId

NO_OFFER: Final = "no agent offers this key"
NO_LISTENER: Final = "no agent listens for this key"
NO_USE: Final = "the agent's certificate does not permit it to use this key"
NO_REGISTER: Final = "the agent's certificate does not permit it to register this key"
CUT_OFF: Final = "no path leads to this agent at present"


class EndpointView(Protocol):
    """An endpoint as its agent advertises it."""

    @property
    def key(self) -> str:
        """The routing key."""
        ...

    @property
    def target(self) -> str | None:
        """The service's address; ``None`` where its agent hides it."""
        ...


class ListenerView(Protocol):
    """A listener as its agent advertises it."""

    @property
    def key(self) -> str:
        """The routing key."""
        ...

    @property
    def address(self) -> str:
        """The bound address, for people."""
        ...


class GrantView(Protocol):
    """What a certificate permits its agent."""

    def allows_register(self, key: str) -> bool:
        """Whether the agent may offer an endpoint for ``key``."""
        ...

    def allows_use(self, key: str) -> bool:
        """Whether the agent may open connections to ``key``."""
        ...


class AgentView(Protocol):
    """What the pairings need of an agent's record."""

    @property
    def agent_id(self) -> AgentId:
        """The agent's ID."""
        ...

    @property
    def name(self) -> str:
        """The agent's display name."""
        ...

    @property
    def certificate(self) -> GrantView:
        """What the agent may do."""
        ...

    @property
    def endpoints(self) -> Iterable[EndpointView]:
        """What the agent offers."""
        ...

    @property
    def listeners(self) -> Iterable[ListenerView]:
        """What the agent listens for."""
        ...


class Pairing(msgspec.Struct, frozen=True):
    """A listener and an endpoint that it can reach now."""

    key: str
    ingress_id: AgentId
    ingress_name: str
    listener_address: str
    exit_id: AgentId
    exit_name: str
    target: str | None
    path_ids: tuple[AgentId, ...]
    """Every agent on the way, ingress first, exit last; one where both ends are the same agent."""
    path_names: tuple[str, ...]
    """Display names along ``path_ids``."""

    @property
    def hop_count(self) -> int:
        """Links between ingress and exit."""
        return len(self.path_ids) - 1


class UnmatchedListener(msgspec.Struct, frozen=True):
    """A listener that reaches no endpoint."""

    key: str
    agent_id: AgentId
    agent_name: str
    address: str
    reason: str


class UnmatchedEndpoint(msgspec.Struct, frozen=True):
    """An endpoint that no listener reaches."""

    key: str
    agent_id: AgentId
    agent_name: str
    target: str | None
    reason: str


class Pairings(msgspec.Struct, frozen=True):
    """All pairings of the mesh as one agent knows it, each list in a stable order."""

    matched: tuple[Pairing, ...]
    unmatched_listeners: tuple[UnmatchedListener, ...]
    unmatched_endpoints: tuple[UnmatchedEndpoint, ...]


Paths: TypeAlias = Mapping[AgentId, tuple[AgentId, ...]]
PathSearch: TypeAlias = Callable[[AgentId], Paths]
"""Paths from one agent to all it reaches, itself included: exit to (ingress, ..., exit)."""


def find_pairings(own_id: AgentId, agents: Mapping[AgentId, AgentView], paths_from: PathSearch) -> Pairings:
    """Pair every listener with every endpoint of its key that it may use and can reach.

    Args:
        own_id: the agent that asks. What it cannot reach, it cannot judge either: agents outside its part of
            the mesh are listed as unmatched, whatever they said before they were cut off.
        agents: the newest record of every agent, the own one included.
        paths_from: the path search over these records; called at most once for each agent.
    """
    reachable = paths_from(own_id).keys() | {own_id}
    offers: dict[str, list[tuple[AgentView, EndpointView]]] = {}
    wishes: dict[str, list[tuple[AgentView, ListenerView]]] = {}
    for agent in agents.values():
        # A key once: a record that repeats it would be paired with each listener as often.
        for endpoint in {endpoint.key: endpoint for endpoint in agent.endpoints}.values():
            offers.setdefault(endpoint.key, []).append((agent, endpoint))
        for listener in agent.listeners:
            wishes.setdefault(listener.key, []).append((agent, listener))

    names = {agent_id: agent.name for agent_id, agent in agents.items()}
    searched: dict[AgentId, Paths] = {}
    matched: list[Pairing] = []
    for key, listeners in wishes.items():
        for agent, listener in listeners:
            if agent.agent_id not in reachable or not agent.certificate.allows_use(key):
                continue
            for exit_agent, endpoint in offers.get(key, ()):
                if not exit_agent.certificate.allows_register(key):
                    continue
                if agent.agent_id not in searched:
                    searched[agent.agent_id] = paths_from(agent.agent_id)
                path = _path(searched[agent.agent_id], agent.agent_id, exit_agent.agent_id)
                if path is None:
                    continue
                pairing = Pairing(
                    key=key,
                    ingress_id=agent.agent_id,
                    ingress_name=agent.name,
                    listener_address=listener.address,
                    exit_id=exit_agent.agent_id,
                    exit_name=exit_agent.name,
                    target=endpoint.target,
                    path_ids=path,
                    path_names=tuple(names.get(step, step.hex()[:8]) for step in path),
                )
                matched.append(pairing)

    served = {(pairing.ingress_id, pairing.key, pairing.listener_address) for pairing in matched}
    used = {(pairing.exit_id, pairing.key, pairing.target) for pairing in matched}
    idle_listeners = [
        UnmatchedListener(
            key=key,
            agent_id=agent.agent_id,
            agent_name=agent.name,
            address=listener.address,
            reason=_listener_reason(agent, key, offers.get(key, ()), reachable),
        )
        for key, listeners in wishes.items()
        for agent, listener in listeners
        if (agent.agent_id, key, listener.address) not in served
    ]
    idle_endpoints = [
        UnmatchedEndpoint(
            key=key,
            agent_id=agent.agent_id,
            agent_name=agent.name,
            target=endpoint.target,
            reason=_endpoint_reason(agent, key, wishes.get(key, ()), reachable),
        )
        for key, endpoints in offers.items()
        for agent, endpoint in endpoints
        if (agent.agent_id, key, endpoint.target) not in used
    ]
    return Pairings(
        matched=tuple(sorted(matched, key=_pairing_order)),
        unmatched_listeners=tuple(sorted(idle_listeners, key=listener_order)),
        unmatched_endpoints=tuple(sorted(idle_endpoints, key=_endpoint_order)),
    )


def _path(paths: Paths, ingress: AgentId, exit_id: AgentId) -> tuple[AgentId, ...] | None:
    """The path between two agents; an agent always reaches itself, even without a link."""
    return (ingress,) if ingress == exit_id else paths.get(exit_id)


def _listener_reason(
    agent: AgentView,
    key: str,
    offers: Iterable[tuple[AgentView, EndpointView]],
    reachable: Iterable[AgentId],
) -> str:
    if agent.agent_id not in reachable:
        return CUT_OFF
    if not agent.certificate.allows_use(key):
        return NO_USE
    exits = {offer.agent_id: offer for offer, _ in offers}.values()
    barred = _names(other for other in exits if not other.certificate.allows_register(key))
    apart = _names(other for other in exits if other.certificate.allows_register(key))
    reasons = []
    if apart:
        reasons.append(f"offered by {apart}, but no path leads there")
    if barred:
        reasons.append(f"offered by {barred}, whose certificate does not permit it")
    return "; ".join(reasons) or NO_OFFER


def _endpoint_reason(
    agent: AgentView,
    key: str,
    wishes: Iterable[tuple[AgentView, ListenerView]],
    reachable: Iterable[AgentId],
) -> str:
    if agent.agent_id not in reachable:
        return CUT_OFF
    if not agent.certificate.allows_register(key):
        return NO_REGISTER
    ingresses = {wish.agent_id: wish for wish, _ in wishes}.values()
    barred = _names(other for other in ingresses if not other.certificate.allows_use(key))
    apart = _names(other for other in ingresses if other.certificate.allows_use(key))
    reasons = []
    if apart:
        reasons.append(f"{apart} listens for it, but no path leads here from there")
    if barred:
        reasons.append(f"{barred} listens for it, but its certificate does not permit that")
    return "; ".join(reasons) or NO_LISTENER


def _names(agents: Iterable[AgentView]) -> str:
    return ", ".join(sorted(agent.name for agent in agents))


def _pairing_order(pairing: Pairing) -> tuple[object, ...]:
    return (
        pairing.key,
        pairing.ingress_name,
        pairing.ingress_id,
        pairing.listener_address,
        pairing.hop_count,
        pairing.exit_name,
        pairing.exit_id,
        pairing.target or "",
    )


def listener_order(listener: UnmatchedListener) -> tuple[object, ...]:
    """The order in which listeners are shown."""
    return (listener.key, listener.agent_name, listener.agent_id, listener.address)


def _endpoint_order(endpoint: UnmatchedEndpoint) -> tuple[object, ...]:
    return (endpoint.key, endpoint.agent_name, endpoint.agent_id, endpoint.target or "")
