"""The best paths from many agents, with fewer searches than agents.

The tail of a best path is itself a best path (``graph.py``). So the best paths from an agent are found among
those of the relays that it is linked to, one link longer each; and many agents are mostly linked to the same
few relays. A relay is searched from once for all of these, if that is less work than a search from each.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import groupby
from typing import Final, TypeAlias

from mesh.routing.graph import Graph, Reach, paths_along
from mesh.trust.identity import AgentId

Paths: TypeAlias = Mapping[AgentId, tuple[AgentId, ...]]
"""From one agent to all it reaches, nearest first, itself included: destination to every agent on the way,
both ends included."""

PathSearch: TypeAlias = Callable[[AgentId], Paths]
"""Paths from one agent."""

MAX_HELD: Final = 250_000
"""Entries of searches that are kept for others, about 50 MB: in a mesh of a thousand agents those of 250
relays. Agents at others are searched from one by one."""

Found: TypeAlias = dict[AgentId, Reach]
"""The result of a search from a relay."""


class SharedPaths:
    """Searches for paths from many agents of one graph.

    Args:
        graph: of the mesh.
        sources: the agents that are going to be asked for, mostly.
        max_hops: links on a path, at most.
    """

    __slots__ = ("_graph", "_max_hops", "_relays", "_searched")

    def __init__(self, graph: Graph, sources: Collection[AgentId], max_hops: int) -> None:
        self._graph = graph
        self._max_hops = max_hops
        self._searched: dict[AgentId, Found] = {}
        """What was found from each relay."""
        self._relays = self._worthwhile(sources)
        """The relays to search from, once each."""

    def paths_from(self, source: AgentId) -> Paths:
        """Each agent that ``source`` reaches to the path there."""
        if source in self._relays:
            return paths_along(self._search(source))
        relays = self._relays_of(source)
        if source not in self._graph.links or not self._relays.issuperset(relays):
            return self._graph.paths_from(source, self._max_hops)
        links = dict(self._graph.links.get(source, ()))
        passing = self._graph.transits
        through = {relay: (links[relay] + passing[relay], self._search(relay)) for relay in sorted(relays)}
        return _PathsThrough(source, links, through, self._max_hops)

    def _search(self, relay: AgentId) -> Found:
        found = self._searched.get(relay)
        if found is None:
            found = self._searched[relay] = self._graph.search(relay, self._max_hops)
        return found

    def _relays_of(self, source: AgentId) -> list[AgentId]:
        return [peer for peer, _ in self._graph.links.get(source, ()) if peer in self._graph.transits]

    def _worthwhile(self, sources: Collection[AgentId]) -> frozenset[AgentId]:
        """The relays of those sources for whom their share of the searches is less than one of their own."""
        relays_of = {source: self._relays_of(source) for source in sources}
        demand = Counter(relay for relays in relays_of.values() for relay in relays)
        wanted = Counter(
            relay
            for relays in relays_of.values()
            if sum(1 / demand[relay] for relay in relays) < 1
            for relay in relays
        )
        room = MAX_HELD // max(1, len(self._graph.links))
        return frozenset(relay for relay, _ in wanted.most_common(room))


class _PathsThrough(Mapping[AgentId, tuple[AgentId, ...]]):
    """The best paths of an agent by way of its relays; each is put together when it is asked for.

    Args:
        source: where the paths begin.
        links: to its peers, with the round trip of each in steps.
        through: those of the peers that pass things on, the smallest ID first: what it costs to get to them
            and through, and what was found from there.
        max_hops: links on a path, at most.
    """

    __slots__ = ("_known", "_links", "_max_hops", "_source", "_through")

    def __init__(
        self,
        source: AgentId,
        links: Mapping[AgentId, int],
        through: Mapping[AgentId, tuple[int, Found]],
        max_hops: int,
    ) -> None:
        self._source = source
        self._links = links
        self._through = through
        self._max_hops = max_hops
        self._known: dict[AgentId, tuple[AgentId, ...]] = {source: (source,)}
        """Those that were asked for."""

    def __getitem__(self, destination: AgentId) -> tuple[AgentId, ...]:
        path = self._known.get(destination)
        if path is None:
            path = self._known[destination] = self._put_together(destination)
        return path

    def _put_together(self, destination: AgentId) -> tuple[AgentId, ...]:
        if destination in self._links and self._max_hops:
            return (self._source, destination)
        relay, hop_count = self._best(destination)
        if not 0 < hop_count <= self._max_hops:
            raise KeyError(destination)
        found, step = self._through[relay][1], destination
        backwards = [step]
        while step != relay:
            step = found[step].previous
            backwards.append(step)
        return (self._source, *reversed(backwards))

    def __iter__(self) -> Iterator[AgentId]:
        """Nearest first, then in the order of the paths, as a search from here finds them."""
        yield self._source
        if self._max_hops:
            yield from sorted(self._links)
        layers = {
            relay: groupby(found.items(), key=lambda entry: entry[1].hop_count)
            for relay, (_, found) in self._through.items()
        }
        for hop_count in range(1, self._max_hops + 1):
            for relay, layers_of_relay in layers.items():
                _, layer = next(layers_of_relay, (0, ()))
                for destination, _ in layer:
                    if destination == self._source or destination in self._links:
                        continue
                    if self._best(destination) == (relay, hop_count):
                        yield destination

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _best(self, destination: AgentId) -> tuple[AgentId, int]:
        """The relay that the best path begins with, and the links on it: 0 if there is none."""
        best, best_relay = (0, 0), self._source
        for relay, (cost, found) in self._through.items():
            reach = found.get(destination)
            if reach is not None:
                length = reach.hop_count + 1, reach.cost + cost
                if not best[0] or length < best:  # of equals the relay of the smallest ID, which comes first
                    best, best_relay = length, relay
        return best_relay, best[0]
