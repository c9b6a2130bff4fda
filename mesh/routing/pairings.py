"""Which listener reaches which endpoint, over all agents of the mesh, and why the others do not.

Pure: takes one immutable route snapshot and returns plain values. It costs at most one path search for each
agent with a usable listener, so it belongs on a reader's thread, not on the route table's.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from heapq import nsmallest
from itertools import chain, islice
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from mesh.routing.agent_views import AgentView
from mesh.routing.counterparts import ENDPOINT_WORDS, LISTENER_WORDS, MAX_GUESSES, Side, with_likely_key
from mesh.routing.shared_paths import Paths, PathSearch
from mesh.trust.identity import AgentId

MAX_EXITS_SHOWN: Final = 8
"""Exits that each listener is paired with: the nearest, which its connections try first. One record may name
10,000 listeners, and many agents may offer their key; all of these with all of those are not for people."""

MAX_EXITS_COMPARED: Final = 64
"""Exits of a key that are all looked at for each agent that listens for it."""

MAX_INGRESSES_COMPARED: Final = 64
"""Agents that listen for a key among whose paths an exit of it is looked for, until it is said to be out of
reach: what none of these reaches is cut off, but for the oddest of meshes."""


NOTHING_OWN: Final[Mapping[str, str]] = MappingProxyType({})


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
    """The pairings of the mesh as one agent knows it, each list in a stable order."""

    matched: tuple[Pairing, ...] = ()
    left_out: int = 0
    """How many more there are at the most: of each listener only the nearest exits are listed."""
    unmatched_listeners: tuple[UnmatchedListener, ...] = ()
    unmatched_endpoints: tuple[UnmatchedEndpoint, ...] = ()


PathSearches: TypeAlias = Callable[[Collection[AgentId]], PathSearch]
"""Given the agents that are to be asked for, how to find the paths from each."""


def find_pairings(
    own_id: AgentId,
    agents: Mapping[AgentId, AgentView],
    paths_from_each: PathSearches,
    own_targets: Mapping[str, str] = NOTHING_OWN,
) -> Pairings:
    """Pair every listener with the nearest endpoints of its key that it may use and can reach.

    Args:
        own_id: the agent that asks. What it cannot reach, it cannot judge either: agents outside its part of
            the mesh are listed as unmatched, whatever they said before they were cut off.
        agents: the newest record of every agent, the own one included.
        paths_from_each: path searches over these records.
        own_targets: where the services of the agent that asks are, by key, which its record may hide.
    """
    own_paths = paths_from_each((own_id,))(own_id)
    reachable = own_paths.keys() | {own_id}
    keys, keys_of = _by_key(agents.values())
    for name, target in own_targets.items():
        if name in keys and own_id in keys[name].targets:
            keys[name].targets[own_id] = target
    sources = dict.fromkeys(
        each
        for each, names in keys_of.items()
        if each in reachable and each != own_id and any(keys[name].is_offered_to(each) for name in names)
    )
    paths_from = paths_from_each(sources)
    offered = [name for name, key in keys.items() if not reachable.isdisjoint(key.exits.permitted)]
    matched: list[Pairing] = []
    idle_listeners: list[UnmatchedListener] = []
    left_out = 0
    for agent in (agents[agent_id] for agent_id in keys_of):
        # Of one agent at a time: those of all together would be too many to hold.
        paths = own_paths if agent.agent_id == own_id else {}
        if agent.agent_id in sources:
            paths = paths_from(agent.agent_id)
        for name in keys_of[agent.agent_id]:
            key = keys[name]
            found: list[tuple[tuple[AgentId, ...], AgentView]] = []
            if agent.agent_id in reachable and agent.agent_id in key.ingresses.permitted:
                found, more = key.nearest_exits(agent.agent_id, paths, reachable)
                left_out += more * len(key.addresses[agent.agent_id])
            for address in key.addresses[agent.agent_id]:
                for path, exit_agent in found:
                    pairing = Pairing(
                        key=name,
                        ingress_id=agent.agent_id,
                        ingress_name=agent.name,
                        listener_address=address,
                        exit_id=exit_agent.agent_id,
                        exit_name=exit_agent.name,
                        target=key.targets[exit_agent.agent_id],
                        path_ids=path,
                        path_names=tuple(_name(agents, step) for step in path),
                    )
                    matched.append(pairing)
                if not found:
                    reason = key.ingresses.why_unmatched(agent, key.exits, reachable)
                    if agent.agent_id == own_id and len(idle_listeners) < MAX_GUESSES:
                        reason = with_likely_key(reason, name, offered)
                    idle_listeners.append(
                        UnmatchedListener(name, agent.agent_id, agent.name, address, reason)
                    )
    idle_endpoints = [
        UnmatchedEndpoint(
            key=name,
            agent_id=agent_id,
            agent_name=agents[agent_id].name,
            target=key.targets[agent_id],
            reason=key.exits.why_unmatched(agents[agent_id], key.ingresses, reachable),
        )
        for name, key in keys.items()
        for agent_id in chain(key.unreached, key.exits.barred)
    ]
    return Pairings(
        matched=tuple(sorted(matched, key=_pairing_order)),
        left_out=left_out,
        unmatched_listeners=tuple(sorted(idle_listeners, key=listener_order)),
        unmatched_endpoints=tuple(sorted(idle_endpoints, key=endpoint_order)),
    )


class _Key:
    """Who listens for one key, and who offers it."""

    def __init__(self) -> None:
        self.ingresses: Side[AgentView] = Side(LISTENER_WORDS)
        self.exits: Side[AgentView] = Side(ENDPOINT_WORDS)
        self.addresses: dict[AgentId, dict[str, None]] = {}
        """Of the listeners of each agent, each once."""
        self.targets: dict[AgentId, str | None] = {}
        """Of the endpoint of each agent."""
        self.unreached: dict[AgentId, None] = {}
        """Those that may offer it and that no listener has been found to reach."""
        self._near: dict[AgentId, AgentView] | None = None
        """Of very many that may offer it, those within this agent's own reach; the others only count."""
        self._searched = 0
        """Agents that listen for it whose paths were looked through for these."""

    def is_offered_to(self, ingress: AgentId) -> bool:
        """Whether ``ingress`` may listen for it, and somebody may offer it."""
        return ingress in self.ingresses.permitted and bool(self.exits.permitted)

    def nearest_exits(
        self, ingress: AgentId, paths: Paths, reachable: Container[AgentId]
    ) -> tuple[list[tuple[tuple[AgentId, ...], AgentView]], int]:
        """The nearest exits for ``ingress`` with the paths there, and how many more offer the key."""
        exits = self.exits.permitted
        if len(exits) > MAX_EXITS_COMPARED:
            if self._near is None:
                self._near = {each: exit_ for each, exit_ in exits.items() if each in reachable}
            exits = self._near
        if len(exits) <= MAX_EXITS_COMPARED:
            found = [
                (path, exits[each]) for each in exits if (path := _path(paths, ingress, each)) is not None
            ]
            more = max(0, len(found) - MAX_EXITS_SHOWN)
            found = nsmallest(MAX_EXITS_SHOWN, found, key=_exit_order)
        else:
            # Of so many the nearest come soon on the way through all agents, and the others only count.
            way = chain((ingress,), (each for each in paths if each != ingress))
            nearest = islice((each for each in way if each in exits), MAX_EXITS_SHOWN)
            found = [(_path(paths, ingress, each) or (), exits[each]) for each in nearest]
            more = len(exits) - len(found) if found else 0
        if self.unreached and self._searched < MAX_INGRESSES_COMPARED:
            self._searched += 1
            self.unreached = {each: None for each in self.unreached if _path(paths, ingress, each) is None}
        return found, more


def _by_key(agents: Iterable[AgentView]) -> tuple[dict[str, _Key], dict[AgentId, dict[str, None]]]:
    """All keys, and for which of them each agent listens. A certificate is asked once for each key."""
    keys: defaultdict[str, _Key] = defaultdict(_Key)
    keys_of: dict[AgentId, dict[str, None]] = {}
    for agent in agents:
        # A key once: a record that repeats it would be paired with each listener as often.
        for name, target in {endpoint.key: endpoint.target for endpoint in agent.endpoints}.items():
            key = keys[name]
            key.targets[agent.agent_id] = target
            key.exits.add(agent, is_permitted=agent.certificate.allows_register(name))
        for listener in agent.listeners:
            key = keys[listener.key]
            if agent.agent_id not in key.addresses:
                key.addresses[agent.agent_id] = {}
                key.ingresses.add(agent, is_permitted=agent.certificate.allows_use(listener.key))
                keys_of.setdefault(agent.agent_id, {})[listener.key] = None
            key.addresses[agent.agent_id][listener.address] = None
    for key in keys.values():
        key.unreached = dict.fromkeys(key.exits.permitted)
    return keys, keys_of


def _path(paths: Paths, ingress: AgentId, exit_id: AgentId) -> tuple[AgentId, ...] | None:
    """The path between two agents; an agent always reaches itself, even without a link."""
    return (ingress,) if ingress == exit_id else paths.get(exit_id)


def _name(agents: Mapping[AgentId, AgentView], agent_id: AgentId) -> str:
    agent = agents.get(agent_id)
    return agent_id.hex()[:8] if agent is None else agent.name


def _exit_order(found: tuple[tuple[AgentId, ...], AgentView]) -> tuple[object, ...]:
    path, exit_agent = found
    return (len(path), exit_agent.name, exit_agent.agent_id)


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


def endpoint_order(endpoint: UnmatchedEndpoint) -> tuple[object, ...]:
    """The order in which endpoints are shown."""
    return (endpoint.key, endpoint.agent_name, endpoint.agent_id, endpoint.target or "")
