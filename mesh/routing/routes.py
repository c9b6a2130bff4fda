"""Routes: what follows from all records together, for one agent (``graph.py`` says which paths are best)."""

from collections.abc import Collection, Mapping
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from mesh.hops import DEFAULT_MAX_HOPS
from mesh.routing.graph import STEP_AGENTS, Graph, Reach, Steps, finish
from mesh.routing.records import Record
from mesh.routing.shared_paths import PathSearch, SharedPaths
from mesh.trust.identity import NO_AGENT, AgentId

STEP_OFFERS: Final = 2_048
"""Offers of a key looked at in one step: as long as ``STEP_AGENTS``."""


class Candidate(NamedTuple):
    """An agent that offers a key."""

    agent_id: AgentId
    hop_count: int
    rtt_steps: int
    """As in :class:`Reach`."""


class WaysIn(NamedTuple):
    """The peers by which frames of one agent come to another."""

    best: AgentId
    """Of the path that its frames take, whatever lies beyond: its part up to here is a best path, too."""
    equal: frozenset[AgentId]
    """Of all paths of as few links, the best included."""


class InVain(NamedTuple):
    """Agents that offer a key and are no candidates for it."""

    apart: list[Record]
    """Out of reach."""
    barred: list[Record]
    """Without the right to."""


NO_WAY_IN: Final = WaysIn(NO_AGENT, frozenset())
"""Of an agent that is out of reach."""


class RouteSnapshot(msgspec.Struct, frozen=True, dict=True):
    """All routes of one agent at one time; immutable, shared between actors and threads.

    Each question on the data path is one look into a mapping.
    """

    own_id: AgentId
    version: int
    """Rises with each snapshot of one route table."""
    next_hops: Mapping[AgentId, AgentId]
    """Reachable agent to the peer that leads there; without the agent itself."""
    hop_counts: Mapping[AgentId, int]
    """Reachable agent to the links between; the agent itself is at 0."""
    candidates: Mapping[str, tuple[Candidate, ...]]
    """Routing key to the reachable agents that offer it, best first: the nearest, at equal hop count the one
    with the shortest round trip, then by ID; but those that drain come last."""
    records: Mapping[AgentId, Record]
    """Every agent that is known, has not left and has a valid certificate, whether reachable or not."""
    max_hops: int = DEFAULT_MAX_HOPS

    @cached_property
    def _alternates(self) -> dict[AgentId, tuple[AgentId, ...]]:
        """Those that were asked for."""
        return {}

    def alternates(self, destination: AgentId) -> tuple[AgentId, ...]:
        """The first hops to ``destination`` other than the next hop, best first; empty if it is out of reach.

        Each is a peer that passes things on and is no further from the destination than this agent, so it
        does not send them back: loop-free alternates, RFC 5286. Computed when first asked for.
        """
        found = self._alternates.get(destination)
        if found is None:
            found = self._alternates[destination] = tuple(self._find_alternates(destination))
        return found

    def _find_alternates(self, destination: AgentId) -> list[AgentId]:
        hop_count = self.hop_counts.get(destination, 0)
        if not 0 < hop_count < self.max_hops:
            return []
        next_hop = self.next_hops[destination]
        ranked = []
        # A link counts in both directions alike, so one search from the far end finds all neighbours.
        for agent_id, reach in self.graph.search(destination, hop_count).items():
            if self.next_hops.get(agent_id) != agent_id or agent_id in (destination, next_hop):
                continue
            if agent_id in self.graph.transits:
                ranked.append((reach.hop_count, reach.cost + self.graph.transits[agent_id], agent_id))
        return [agent_id for _, _, agent_id in sorted(ranked)]

    @cached_property
    def _ways_in(self) -> dict[AgentId, WaysIn]:
        """Those that were asked for."""
        return {}

    def has_ways_in(self, source: AgentId) -> bool:
        """Whether :meth:`ways_in` has its answer ready: else it searches."""
        return source in self._ways_in or source not in self.next_hops

    def ways_in(self, source: AgentId) -> WaysIn:
        """By which peers frames of ``source`` come here. Computed when first asked for."""
        if source not in self.next_hops:
            return NO_WAY_IN
        found = self._ways_in.get(source)
        if found is None:
            hop_count = self.hop_counts[source]
            within = self.graph.search(source, hop_count)
            found = self._ways_in[source] = WaysIn(
                within[self.own_id].previous,
                frozenset(
                    peer
                    for peer, reach in within.items()
                    if reach.hop_count < hop_count and self.next_hops.get(peer) == peer
                ),
            )
        return found

    @cached_property
    def _ways(self) -> dict[AgentId, tuple[AgentId, ...]]:
        """Those that were asked for."""
        return {}

    def way_to(self, destination: AgentId) -> tuple[AgentId, ...]:
        """The agents between this one and ``destination``, for people; nothing if it is out of reach.

        Computed when first asked for.
        """
        if destination not in self.next_hops:
            return ()
        found = self._ways.get(destination)
        if found is None:
            reached = self.graph.search(self.own_id, self.hop_counts[destination])
            back = [reached[destination].previous]
            while back[-1] != self.own_id:
                back.append(reached[back[-1]].previous)
            found = self._ways[destination] = tuple(reversed(back[:-1]))
        return found

    @cached_property
    def namesakes(self) -> tuple[AgentId, ...]:
        """Other agents that are known by this agent's name."""
        name = self.records[self.own_id].name
        return tuple(
            agent_id for agent_id, other in self.names.items() if other == name and agent_id != self.own_id
        )

    @cached_property
    def names(self) -> Mapping[AgentId, str]:
        """Agents that are known, each with its name.

        Who comes by an invitation is none: the name is that of the agent that it is to become.
        """
        return {
            agent_id: record.name
            for agent_id, record in self.records.items()
            if not record.certificate.is_invitation
        }

    @cached_property
    def usable_count(self) -> int:
        """Pairs of a key and an agent within reach that offers it, as far as this agent may use the key."""
        may_use = self.records[self.own_id].certificate.allows_use
        return sum(len(found) for key, found in self.candidates.items() if may_use(key))

    @cached_property
    def _in_vain(self) -> Mapping[str, InVain]:
        """Who offers each key and is no candidate for it; made when first asked for."""
        found: dict[str, InVain] = {}
        for agent_id, record in self.records.items():
            for key in record.denied_keys:
                found.setdefault(key, InVain([], [])).barred.append(record)
            for key in record.offered_keys if agent_id not in self.hop_counts else ():
                found.setdefault(key, InVain([], [])).apart.append(record)
        return found

    def offering_in_vain(self, key: str) -> InVain:
        """Who offers ``key`` and is no candidate for it."""
        return self._in_vain.get(key, InVain([], []))

    @cached_property
    def reasons(self) -> dict[str, str]:
        """Why a key has no candidate, for those that have been asked for: many listeners ask for one."""
        return {}

    @cached_property
    def graph(self) -> Graph:
        """The links between all agents; made when first asked for."""
        return Graph.of(self.records)

    def paths_from_each(self, sources: Collection[AgentId]) -> PathSearch:
        """How to find the paths from each of ``sources``: many of them cost few searches."""
        return SharedPaths(self.graph, sources, self.max_hops).paths_from


def compute_routes(
    own_id: AgentId, records: dict[AgentId, Record], *, max_hops: int, version: int
) -> RouteSnapshot:
    """The routes of ``own_id``: :func:`computing_routes`, at once."""
    return finish(computing_routes(own_id, records, max_hops=max_hops, version=version))


def computing_routes(
    own_id: AgentId, records: dict[AgentId, Record], *, max_hops: int, version: int
) -> Steps[RouteSnapshot]:
    """The routes of ``own_id``, step by step.

    Args:
        own_id: for whom; it is among the records.
        records: the newest record of each agent that takes part now. The snapshot keeps the mapping, so
            nobody changes it from here on.
        max_hops: links on a path, at most.
        version: of the snapshot.
    """
    graph = yield from Graph.building(records)
    reached = yield from graph.searching(own_id, max_hops)
    candidates = yield from _ranking(reached, records)
    next_hops: dict[AgentId, AgentId] = {}
    hop_counts: dict[AgentId, int] = {}
    for number, (agent_id, reach) in enumerate(reached.items(), 1):
        if not number % STEP_AGENTS:
            yield
        next_hops[agent_id] = reach.first_hop
        hop_counts[agent_id] = reach.hop_count
    next_hops.pop(own_id, None)
    return RouteSnapshot(
        own_id=own_id,
        version=version,
        max_hops=max_hops,
        next_hops=MappingProxyType(next_hops),
        hop_counts=MappingProxyType(hop_counts),
        candidates=MappingProxyType(candidates),
        records=MappingProxyType(records),
    )


def _ranking(
    reached: Mapping[AgentId, Reach], records: Mapping[AgentId, Record]
) -> Steps[dict[str, tuple[Candidate, ...]]]:
    """Who offers each key, best first."""
    offering: dict[tuple[bool, int], list[tuple[int, AgentId]]] = {}
    for number, (agent_id, reach) in enumerate(reached.items(), 1):
        if not number % STEP_AGENTS:
            yield
        record = records[agent_id]
        if record.offered_keys:
            equals = offering.setdefault((record.body.draining, reach.hop_count), [])
            equals.append((reach.cost, agent_id))
    # Sorted once for all keys: each then meets its candidates in order.
    ranked: dict[str, list[Candidate]] = {}
    looked_at = 0
    for (_, hop_count), equals in sorted(offering.items()):
        equals.sort()
        if len(equals) > STEP_AGENTS:
            yield
        for _, agent_id in equals:
            candidate = Candidate(agent_id, hop_count, reached[agent_id].rtt_steps)
            offered_keys = records[agent_id].offered_keys
            for key in offered_keys:
                others = ranked.get(key)
                if others is None:
                    ranked[key] = [candidate]
                else:
                    others.append(candidate)
            looked_at += len(offered_keys)
            if looked_at >= STEP_OFFERS:
                looked_at = 0
                yield
    candidates: dict[str, tuple[Candidate, ...]] = {}
    entries = iter(ranked.items())
    while len(candidates) < len(ranked):
        candidates.update((key, tuple(found)) for key, found in islice(entries, STEP_OFFERS))
        if len(candidates) < len(ranked):
            yield
    return candidates
