"""The links of the mesh, and searches for the best paths along them.

A link counts only when both ends report it, at the worse of the two round trips. A path may pass through
agents that relay and are permitted to; it may start and end anywhere. The best path has the fewest links,
then passes through the fewest agents that drain, then has the shortest round trip, then the smallest IDs from
its start on. Every tail of a best path is itself the best path from where it starts, so agents that hold the
same records forward along one and the same path although each looks only at its own next hop.

What takes long in a large mesh is a generator, one step at a time (``Steps``): whoever has other work
does it in between. ``finish`` takes all steps at once.
"""

from collections.abc import Generator, Mapping
from typing import Final, NamedTuple, TypeAlias, TypeVar

from mesh.hops import DEFAULT_MAX_HOPS
from mesh.routing.records import Record
from mesh.trust.identity import AgentId

STEP_AGENTS: Final = 256
"""Agents looked at in one step of a computation: some 0.4 ms, so that data need not wait."""

DRAINING_COST: Final = 1 << 32
"""Of passing through an agent that drains, in steps of round trip: more than any path takes."""

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""A computation that stops after each step; it returns its result."""


def finish(steps: Steps[T]) -> T:
    """The result, after all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


class Reach(NamedTuple):
    """How one agent is reached from the source of a search."""

    hop_count: int
    cost: int
    """Of paths of equally many links the one that costs least is taken."""
    first_hop: AgentId
    """The first agent after the source; the source itself where that is the destination."""
    previous: AgentId
    """The last agent before the destination; the source itself where that is the destination."""

    @property
    def rtt_steps(self) -> int:
        """Round trip of the whole path, in steps of half a millisecond, as quantised link by link."""
        return self.cost % DRAINING_COST


class Graph:
    """The links that both ends report, and who passes things on; immutable.

    Args:
        links: of each agent: to whom, and the round trip in steps.
        transits: who passes things on, and what that costs beside the round trip.
    """

    __slots__ = ("links", "transits")

    def __init__(
        self, links: Mapping[AgentId, tuple[tuple[AgentId, int], ...]], transits: Mapping[AgentId, int]
    ) -> None:
        self.links = links
        self.transits = transits

    @classmethod
    def building(cls, records: Mapping[AgentId, Record]) -> "Steps[Graph]":
        """The graph that the newest record of each agent makes; nobody changes ``records`` meanwhile."""
        links_of: dict[AgentId, tuple[tuple[AgentId, int], ...]] = {}
        transits: dict[AgentId, int] = {}
        for number, (agent_id, record) in enumerate(records.items(), 1):
            links = []
            for peer_id, step in record.round_trips.items():
                peer = records.get(peer_id)
                if peer is not None and agent_id in peer.round_trips:
                    links.append((peer_id, 1 << max(step, peer.round_trips[agent_id])))
            links_of[agent_id] = tuple(links)
            if record.carries_transit:
                transits[agent_id] = DRAINING_COST if record.body.draining else 0
            if not number % STEP_AGENTS:
                yield
        return cls(links_of, transits)

    @classmethod
    def of(cls, records: Mapping[AgentId, Record]) -> "Graph":
        """The graph that the newest record of each agent makes."""
        return finish(cls.building(records))

    def search(self, source: AgentId, max_hops: int) -> dict[AgentId, Reach]:
        """The best path from ``source`` to each agent that at most ``max_hops`` links lead to, nearest first.

        ``source`` itself is the first entry; without a record of it there is none.
        """
        return finish(self.searching(source, max_hops))

    def searching(self, source: AgentId, max_hops: int) -> Steps[dict[AgentId, Reach]]:
        """:meth:`search`, step by step."""
        if source not in self.links:
            return {}
        reached = {source: Reach(0, 0, source, source)}
        layer = [source]  # in the order of their paths, compared ID by ID
        for hop_count in range(1, max_hops + 1):
            best: dict[AgentId, tuple[int, int]] = {}  # cost, rank of the agent before
            for rank, agent_id in enumerate(layer):
                if rank % STEP_AGENTS == STEP_AGENTS - 1:
                    yield
                passing = self.transits.get(agent_id) if agent_id != source else 0
                if passing is None:
                    continue
                cost = reached[agent_id].cost + passing
                for peer_id, link_steps in self.links[agent_id]:
                    if peer_id in reached:
                        continue
                    offer = (cost + link_steps, rank)
                    if peer_id not in best or offer < best[peer_id]:
                        best[peer_id] = offer
            if not best:
                break
            following = sorted((rank, peer_id, cost) for peer_id, (cost, rank) in best.items())
            if len(following) > STEP_AGENTS:
                yield
            for number, (rank, peer_id, cost) in enumerate(following, 1):
                if not number % STEP_AGENTS:
                    yield
                previous = layer[rank]
                first_hop = peer_id if previous == source else reached[previous].first_hop
                reached[peer_id] = Reach(hop_count, cost, first_hop, previous)
            layer = [peer_id for _, peer_id, _ in following]
        return reached

    def paths_from(
        self, source: AgentId, max_hops: int = DEFAULT_MAX_HOPS
    ) -> dict[AgentId, tuple[AgentId, ...]]:
        """Each agent that ``source`` reaches (itself included) to the path there, both ends included."""
        return paths_along(self.search(source, max_hops))


def paths_along(reached: Mapping[AgentId, Reach]) -> dict[AgentId, tuple[AgentId, ...]]:
    """The paths that a search has found, in its order."""
    paths: dict[AgentId, tuple[AgentId, ...]] = {}
    for agent_id, reach in reached.items():
        # Nearest first, so the path to the agent before is known.
        paths[agent_id] = (*paths[reach.previous], agent_id) if paths else (agent_id,)
    return paths
