"""Paths from many agents: the same as those of a search from each, for fewer searches."""

from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.routing import shared_paths
from mesh.routing.graph import Graph
from mesh.routing.shared_paths import SharedPaths
from mesh.trust.identity import AgentId
from tests.mesh.routing.graph_company import agent, mesh, random_meshes


class CountedGraph(Graph):
    """Counts the searches through it."""

    searches = 0

    def searching(self, source: AgentId, max_hops: int):
        self.searches += 1
        return super().searching(source, max_hops)


def spokes(hubs: int, each: int) -> tuple[CountedGraph, list[AgentId]]:
    """Relays in a chain, and agents with one link, to one of them."""
    chain = [(hub, hub + 1, 0) for hub in range(hubs - 1)]
    leaves = [(number % hubs, hubs + number, 0) for number in range(hubs * each)]
    graph = CountedGraph.of(mesh(*chain, *leaves))
    return graph, [agent(leaf) for _, leaf, _ in leaves]


def found(paths: SharedPaths, sources: list[AgentId]) -> Iterator[list[tuple[AgentId, tuple[AgentId, ...]]]]:
    for source in sources:
        yield list(paths.paths_from(source).items())


@given(random_meshes(), st.integers(0, 6))
def test_paths_by_way_of_relays_are_those_of_a_search_and_in_its_order(records, max_hops):
    graph = Graph.of(records)
    sources = [*records, agent(99)]
    expected = [list(graph.paths_from(source, max_hops).items()) for source in sources]
    assert list(found(SharedPaths(graph, sources, max_hops), sources)) == expected
    with mock.patch.object(SharedPaths, "_worthwhile", lambda self, _: frozenset(self._graph.transits)):
        shared = SharedPaths(graph, sources, max_hops)
    assert list(found(shared, sources)) == expected
    for source, paths in zip(sources, expected, strict=True):
        assert [shared.paths_from(source).get(each) for each in sources] == [
            dict(paths).get(each) for each in sources
        ]


@pytest.mark.interpreted
@pytest.mark.parametrize("each", [2, 20])
def test_searches_grow_with_the_relays_and_not_with_the_agents_at_them(each: int):
    graph, leaves = spokes(10, each)
    shared = SharedPaths(graph, leaves, 16)
    assert [len(paths) for paths in found(shared, leaves)] == [10 + 10 * each] * len(leaves)
    assert graph.searches == 10


@pytest.mark.interpreted
def test_an_agent_with_a_relay_of_its_own_is_searched_from_itself():
    graph, leaves = spokes(10, 1)
    assert len(list(found(SharedPaths(graph, leaves, 16), leaves))) == graph.searches == 10
    everybody = CountedGraph.of(mesh(*[(one, other, 0) for one in range(9) for other in range(one)]))
    everyone = [agent(number) for number in range(9)]
    assert len(list(found(SharedPaths(everybody, everyone, 16), everyone))) == everybody.searches == 9


@pytest.mark.interpreted
def test_relays_that_are_in_no_demand_are_not_searched_from():
    graph, leaves = spokes(10, 5)
    assert len(list(found(SharedPaths(graph, leaves[::10], 16), leaves[::10]))) == 5
    assert graph.searches == 1


@pytest.mark.interpreted
def test_what_is_kept_of_searches_is_bounded(monkeypatch):
    graph, leaves = spokes(10, 5)
    monkeypatch.setattr(shared_paths, "MAX_HELD", 3 * 60)
    shared = SharedPaths(graph, leaves, 16)
    assert [len(paths) for paths in found(shared, leaves)] == [60] * 50
    assert graph.searches == 3 + 7 * 5
