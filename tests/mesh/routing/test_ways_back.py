"""Which OPENs a relay passes on: all that come by the best way from their source, few of the others."""

import pytest
from hypothesis import given

from mesh.connection.open_admission import INGRESS_RATE
from mesh.routing.graph import Graph
from mesh.routing.routes import NO_WAY_IN, WaysIn, compute_routes
from mesh.routing.ways_back import (
    EQUAL_BURST,
    EQUAL_RATE,
    ROUNDABOUT_BURST,
    ROUNDABOUT_RATE,
    SEARCH_BURST,
    WaysBack,
    open_budgets,
)
from tests.mesh.routing.graph_company import agent, mesh, random_meshes

OWN, NEXT, EQUAL, LONGER, FAR, HOSTILE = (agent(number) for number in range(1, 7))
RECORDS = mesh((1, 2, 0), (1, 3, 1), (1, 4, 0), (2, 5, 0), (3, 5, 1), (4, 7, 0), (7, 5, 0), (1, 6, 0))
"""From 1 to 5 by 2 or 3 it is two links, by 4 and 7 three; 6 leads nowhere."""


def routes():
    return compute_routes(OWN, dict(RECORDS), max_hops=16, version=1)


def ways_back(peer):
    made = WaysBack(peer, open_budgets())
    made.routes = routes()
    return made


def passed(ways, sources, now=0.0, count=20_000):
    return sum(ways.may_pass(sources[number % len(sources)], now) for number in range(count))


def test_all_pass_that_come_by_the_best_way():
    assert passed(ways_back(NEXT), [FAR]) == 20_000


def test_some_pass_that_come_by_a_way_of_as_few_links():
    ways = ways_back(EQUAL)
    assert passed(ways, [FAR]) == EQUAL_BURST + ROUNDABOUT_BURST
    assert passed(ways, [FAR], 1.0) == EQUAL_RATE + ROUNDABOUT_RATE
    assert EQUAL_RATE + ROUNDABOUT_RATE <= INGRESS_RATE / 2


def test_all_pass_of_one_whose_best_way_here_is_not_the_best_way_back():
    """From 5 to 1 by 2 and 6, whose IDs come first; from 1 to 5 by 3 and 4."""
    records = mesh((5, 2, 0), (2, 6, 0), (6, 1, 0), (5, 4, 0), (4, 3, 0), (3, 1, 0))
    assert compute_routes(OWN, records, max_hops=16, version=1).next_hops[FAR] == agent(3)
    for peer, count in ((6, 20_000), (3, 20_000), (2, ROUNDABOUT_BURST)):
        ways = WaysBack(agent(peer), open_budgets())
        ways.routes = compute_routes(OWN, records, max_hops=16, version=1)
        assert passed(ways, [FAR]) == count


@given(random_meshes())
def test_the_best_way_in_is_that_of_all_frames_of_a_source_wherever_they_go(records):
    all_paths = {source: Graph.of(records).paths_from(source, 16) for source in records}
    for own in records:
        snapshot = compute_routes(own, dict(records), max_hops=16, version=1)
        for source, paths in all_paths.items():
            for path in paths.values():
                if own in path[1:]:
                    best, equal = snapshot.ways_in(source)
                    assert path[path.index(own) - 1] == best
                    assert best in equal


def test_all_pass_that_a_peer_sends_for_itself_wherever_routes_lead():
    assert passed(ways_back(agent(9)), [agent(9)]) == 20_000


def test_all_pass_until_there_are_routes():
    assert passed(WaysBack(HOSTILE, open_budgets()), [FAR]) == 20_000


@pytest.mark.parametrize("peer", [LONGER, HOSTILE])
@pytest.mark.parametrize(
    "sources", [[FAR], [NEXT], [OWN], [FAR, NEXT, EQUAL], [agent(n) for n in range(100, 199)]]
)
def test_few_pass_that_come_by_a_way_round_whosever_name_they_bear(peer, sources):
    ways = ways_back(peer)
    assert passed(ways, sources) == ROUNDABOUT_BURST
    assert passed(ways, sources, 1.0) == ROUNDABOUT_RATE


def test_a_flood_in_others_names_leaves_a_peer_its_own():
    ways = ways_back(HOSTILE)
    passed(ways, [FAR])
    assert passed(ways, [HOSTILE]) == 20_000


def test_what_comes_by_an_equal_way_leaves_the_share_to_others():
    ways = ways_back(EQUAL)
    passed(ways, [FAR], count=100)
    assert passed(ways, [LONGER], float(ROUNDABOUT_BURST)) == ROUNDABOUT_BURST
    assert passed(ways, [FAR], float(ROUNDABOUT_BURST)) == EQUAL_BURST


def test_searches_are_few():
    far = {number: (10, number, 0) for number in range(100, 200)}
    records = mesh((1, 10, 0), (1, 6, 0), *far.values())
    ways = WaysBack(HOSTILE, open_budgets())
    ways.routes = compute_routes(OWN, records, max_hops=16, version=1)
    passed(ways, [agent(number) for number in far])
    assert len(ways.routes._ways_in) == SEARCH_BURST


def test_ways_in():
    assert routes().ways_in(FAR) == WaysIn(NEXT, frozenset({NEXT, EQUAL}))
    assert routes().ways_in(NEXT) == WaysIn(NEXT, frozenset({NEXT}))
    assert routes().ways_in(agent(9)) == routes().ways_in(OWN) == NO_WAY_IN


def test_a_new_link_begins_no_new_burst():
    budgets = open_budgets()
    went = 0
    for _ in range(100):
        ways = WaysBack(HOSTILE, budgets)
        ways.routes = routes()
        went += passed(ways, [FAR], count=1_000)
    assert went == ROUNDABOUT_BURST
