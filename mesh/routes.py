"""Routes: what follows from all records together.

A link counts only when both ends report it, at the worse of the two round trips. A path may pass through
agents that relay, are permitted to, and are not about to leave; it may start and end anywhere. The best path
has the fewest links, then the shortest round trip, then the smallest IDs from its start on. Every tail of a
best path is itself the best path from where it starts, so agents that hold the same records forward along one
and the same path although each looks only at its own next hop.
"""

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from mesh.identity import AgentId
from mesh.records import Record

DEFAULT_MAX_HOPS: Final = 16


class Reach(NamedTuple):
    """How one agent is reached from the source of a search."""

    hop_count: int
    rtt_steps: int
    """Round trip of the whole path, in steps of half a millisecond, as quantised link by link."""
    first_hop: AgentId
    """The first agent after the source; the source itself where that is the destination."""
    previous: AgentId
    """The last agent before the destination; the source itself where that is the destination."""


class Candidate(NamedTuple):
    """An agent that offers a key."""

    agent_id: AgentId
    hop_count: int
    rtt_steps: int
    """As in :class:`Reach`."""


class Graph:
    """The links that both ends report, and who passes things on; immutable.

    Args:
        records: the newest record of each agent.
    """

    __slots__ = ("_links", "_transits")

    def __init__(self, records: Mapping[AgentId, Record]) -> None:
        self._links: dict[AgentId, tuple[tuple[AgentId, int], ...]] = {}
        for agent_id, record in records.items():
            links = []
            for peer_id, step in record.round_trips.items():
                peer = records.get(peer_id)
                if peer is not None and agent_id in peer.round_trips:
                    links.append((peer_id, 1 << max(step, peer.round_trips[agent_id])))
            self._links[agent_id] = tuple(links)
        self._transits = frozenset(agent_id for agent_id, record in records.items() if record.carries_transit)

    def search(self, source: AgentId, max_hops: int) -> dict[AgentId, Reach]:
        """The best path from ``source`` to each agent that at most ``max_hops`` links lead to, nearest first.

        ``source`` itself is the first entry; without a record of it there is none.
        """
        if source not in self._links:
            return {}
        reached = {source: Reach(0, 0, source, source)}
        layer = [source]  # in the order of their paths, compared ID by ID
        for hop_count in range(1, max_hops + 1):
            best: dict[AgentId, tuple[int, int]] = {}  # round trip, rank of the agent before
            for rank, agent_id in enumerate(layer):
                if agent_id != source and agent_id not in self._transits:
                    continue
                rtt_steps = reached[agent_id].rtt_steps
                for peer_id, link_steps in self._links[agent_id]:
                    if peer_id in reached:
                        continue
                    offer = (rtt_steps + link_steps, rank)
                    if peer_id not in best or offer < best[peer_id]:
                        best[peer_id] = offer
            if not best:
                break
            following = sorted((rank, peer_id, rtt_steps) for peer_id, (rtt_steps, rank) in best.items())
            for rank, peer_id, rtt_steps in following:
                previous = layer[rank]
                first_hop = peer_id if previous == source else reached[previous].first_hop
                reached[peer_id] = Reach(hop_count, rtt_steps, first_hop, previous)
            layer = [peer_id for _, peer_id, _ in following]
        return reached

    def paths_from(
        self, source: AgentId, max_hops: int = DEFAULT_MAX_HOPS
    ) -> dict[AgentId, tuple[AgentId, ...]]:
        """Each agent that ``source`` reaches (itself included) to the path there, both ends included."""
        paths: dict[AgentId, tuple[AgentId, ...]] = {}
        for agent_id, reach in self.search(source, max_hops).items():
            # Nearest first, so the path to the agent before is known.
            paths[agent_id] = (*paths[reach.previous], agent_id) if paths else (agent_id,)
        return paths


def paths_from(
    records: Mapping[AgentId, Record], source: AgentId, max_hops: int = DEFAULT_MAX_HOPS
) -> dict[AgentId, tuple[AgentId, ...]]:
    """Each agent that ``source`` reaches (itself included) to the path there, both ends included.

    Whoever asks for many sources does better with one :class:`Graph`, or :meth:`RouteSnapshot.paths_from`.
    """
    return Graph(records).paths_from(source, max_hops)


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
    with the shortest round trip, then by ID; but those about to leave come last."""
    records: Mapping[AgentId, Record]
    """Every agent that is known, has not left and has a valid certificate, whether reachable or not."""
    max_hops: int = DEFAULT_MAX_HOPS

    @cached_property
    def graph(self) -> Graph:
        """The links between all agents; made when first asked for."""
        return Graph(self.records)

    def paths_from(self, source: AgentId) -> dict[AgentId, tuple[AgentId, ...]]:
        """Each agent that ``source`` reaches (itself included) to the path there, both ends included."""
        return self.graph.paths_from(source, self.max_hops)


def compute_routes(
    own_id: AgentId, records: dict[AgentId, Record], *, max_hops: int, version: int
) -> RouteSnapshot:
    """The routes of ``own_id``.

    Args:
        own_id: for whom; it is among the records.
        records: the newest record of each agent that takes part now. The snapshot keeps the mapping, so
        nobody
            changes it from here on.
        max_hops: links on a path, at most.
        version: of the snapshot.
    """
    graph = Graph(records)
    reached = graph.search(own_id, max_hops)
    ranked: dict[str, list[tuple[bool, int, int, AgentId]]] = {}
    for agent_id, reach in reached.items():
        record = records[agent_id]
        for key in record.offered_keys:
            rank = (record.body.draining, reach.hop_count, reach.rtt_steps, agent_id)
            ranked.setdefault(key, []).append(rank)
    candidates = {
        key: tuple(
            Candidate(agent_id, hop_count, rtt_steps) for _, hop_count, rtt_steps, agent_id in sorted(ranks)
        )
        for key, ranks in ranked.items()
    }
    return RouteSnapshot(
        own_id=own_id,
        version=version,
        max_hops=max_hops,
        next_hops=MappingProxyType(
            {agent_id: reach.first_hop for agent_id, reach in reached.items() if agent_id != own_id}
        ),
        hop_counts=MappingProxyType({agent_id: reach.hop_count for agent_id, reach in reached.items()}),
        candidates=MappingProxyType(candidates),
        records=MappingProxyType(records),
    )
