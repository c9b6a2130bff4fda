"""Shapes of meshes: the agents' names, and who dials whom."""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec

from scripts.simulation.scenario import Placement, Scenario, ScenarioError, Topology

Pair = tuple[str, str]


class Map(msgspec.Struct, frozen=True):
    """A mesh as configured."""

    names: tuple[str, ...]
    links: tuple[Pair, ...]
    """Who dials whom, each pair once."""
    endpoints: dict[str, tuple[str, ...]]
    """Routing key to the agents that offer it."""
    listeners: dict[str, tuple[str, ...]]
    """Routing key to the agents that use it."""
    without_relay: tuple[str, ...] = ()
    """Agents that pass nothing on."""

    def dialed_by(self, name: str) -> list[str]:
        """Whom this agent dials."""
        return [other for dialer, other in self.links if dialer == name]

    def neighbours(self) -> dict[str, set[str]]:
        """Each agent to its peers."""
        found: dict[str, set[str]] = {name: set() for name in self.names}
        for one, other in self.links:
            found[one].add(other)
            found[other].add(one)
        return found

    def hops_from(self, name: str) -> dict[str, int]:
        """How many links lead from an agent to each that it reaches."""
        return hop_counts(self.neighbours(), name, without_relay=self.without_relay)


def draw_map(scenario: Scenario, draw: random.Random) -> Map:
    """Lay out a scenario's mesh.

    Raises:
        ScenarioError: the scenario names an agent or a link that this shape does not have.
    """
    names, links = _SHAPES[scenario.topology.shape](scenario.topology, draw)
    endpoints = {s.key: _place(s.endpoints, names, draw) for s in scenario.services}
    listeners = {s.key: _place(s.listeners, names, draw) for s in scenario.services}
    without_relay = _place(scenario.topology.without_relay, names, draw)
    known = {frozenset(link) for link in links}
    for number, group in enumerate(scenario.faults):
        for name in group.agents:
            _require(name, names)
        for pair in group.links:
            if frozenset(pair) not in known:
                raise ScenarioError(f"no link between {pair[0]} and {pair[1]}, at `faults[{number}].links`")
    return Map(tuple(names), tuple(links), endpoints, listeners, without_relay)


def hop_counts(
    neighbours: Mapping[str, Collection[str]],
    source: str,
    max_hops: int = 16,
    *,
    without_relay: Collection[str] = (),
) -> dict[str, int]:
    """How many links lead from ``source`` to each agent it reaches: breadth first."""
    found = {source: 0}
    waiting = deque([source])
    while waiting:
        name = waiting.popleft()
        if found[name] < max_hops and (name == source or name not in without_relay):
            for other in sorted(neighbours[name]):
                if other not in found:
                    found[other] = found[name] + 1
                    waiting.append(other)
    return found


def distances(
    links: Mapping[str, Mapping[str, int]],
    source: str,
    max_hops: int = 16,
    *,
    without_relay: Collection[str] = (),
) -> dict[str, tuple[int, int]]:
    """The fewest links from ``source`` to each agent, and of such paths the shortest round trip.

    Args:
        links: of each agent: to whom, and the round trip.
        source: where all paths start.
        max_hops: links on a path, at most.
        without_relay: agents that no path leads through.
    """
    found: dict[str, tuple[int, int]] = {}
    waiting = [(0, 0, source)]
    while waiting:
        hops, round_trip, name = heapq.heappop(waiting)
        if name not in found:
            found[name] = hops, round_trip
            if hops < max_hops and (name == source or name not in without_relay):
                for other, one_link in links[name].items():
                    heapq.heappush(waiting, (hops + 1, round_trip + one_link, other))
    return found


def _place(placement: Placement, names: list[str], draw: random.Random) -> tuple[str, ...]:
    if isinstance(placement, int):
        return tuple(sorted(draw.sample(names, min(placement, len(names)))))
    for name in placement:
        _require(name, names)
    return tuple(placement)


def _require(name: str, names: Collection[str]) -> None:
    if name not in names:
        some = ", ".join(list(names)[:8])
        raise ScenarioError(
            f"no agent is called {name!r}; there are {some}{' ...' if len(names) > 8 else ''}"
        )


def _chain(topology: Topology, _: random.Random) -> tuple[list[str], list[Pair]]:
    """Branch, relays, hq, each dialing the next."""
    names = ["branch", *(f"relay-{n + 1}" for n in range(topology.agents - 2)), "hq"]
    return names, list(itertools.pairwise(names))


def _diamond(topology: Topology, _: random.Random) -> tuple[list[str], list[Pair]]:
    """Branch and hq, and so many relays side by side between them."""
    relays = [f"relay-{n + 1}" for n in range(topology.agents - 2)]
    return ["branch", *relays, "hq"], [(end, relay) for end in ("branch", "hq") for relay in relays]


def _ring(topology: Topology, _: random.Random) -> tuple[list[str], list[Pair]]:
    """Each dials the next, the last one the first."""
    names = [f"agent-{n + 1}" for n in range(topology.agents)]
    return names, list(zip(names, names[1:] + names[:1], strict=True))


def _star_of_stars(topology: Topology, _: random.Random) -> tuple[list[str], list[Pair]]:
    """A hub in the middle, hubs of its own around it, and agents around those."""
    inner = max(1, round((topology.agents - 1) ** 0.5))
    names, links = ["hub"], []
    for n in range(min(inner, topology.agents - 1)):
        names.append(f"hub-{n + 1}")
        links.append((f"hub-{n + 1}", "hub"))
    for n in range(topology.agents - len(names)):
        hub, name = f"hub-{n % inner + 1}", f"agent-{n + 1}"
        names.append(name)
        links.append((name, hub))
    return names, links


def _random(topology: Topology, draw: random.Random) -> tuple[list[str], list[Pair]]:
    """Each dials ``links_per_agent`` of those before it, drawn, so that the mesh hangs together."""
    names = [f"agent-{n + 1}" for n in range(topology.agents)]
    links: list[Pair] = []
    for index, name in enumerate(names):
        degree = min(index, topology.links_per_agent)
        links.extend((name, other) for other in draw.sample(names[:index], degree))
    return names, links


def _ha_pair(topology: Topology, _: random.Random) -> tuple[list[str], list[Pair]]:
    """Branch, a pair of relays, and behind both all others, called hq-1, hq-2 and so on."""
    relays = ["relay-1", "relay-2"]
    exits = [f"hq-{n + 1}" for n in range(topology.agents - 3)]
    links = [(end, relay) for end in ("branch", *exits) for relay in relays]
    return ["branch", *relays, *exits], links


_Layout = Callable[[Topology, random.Random], tuple[list[str], list[Pair]]]
_SHAPES: Final[dict[str, _Layout]] = {
    "chain": _chain,
    "diamond": _diamond,
    "ring": _ring,
    "star_of_stars": _star_of_stars,
    "random": _random,
    "ha_pair": _ha_pair,
}
