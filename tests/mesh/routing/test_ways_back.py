"""Which OPENs a relay passes on: all that come by a shortest way back to their source, few of the others."""

import pytest

from mesh.routing.routes import compute_routes
from mesh.routing.ways_back import ROUNDABOUT_BURST, ROUNDABOUT_RATE, SEARCH_BURST, WaysBack
from tests.mesh.routing.test_routes import agent, mesh

OWN, NEXT, EQUAL, LONGER, FAR, HOSTILE = (agent(number) for number in range(1, 7))
RECORDS = mesh((1, 2, 0), (1, 3, 1), (1, 4, 0), (2, 5, 0), (3, 5, 1), (4, 7, 0), (7, 5, 0), (1, 6, 0))
"""From 1 to 5 by 2 or 3 it is two links, by 4 and 7 three; 6 leads nowhere."""


def routes():
    return compute_routes(OWN, dict(RECORDS), max_hops=16, version=1)


def ways_back(peer):
    made = WaysBack(peer)
    made.routes = routes()
    return made


def passed(ways, sources, now=0.0, count=20_000):
    return sum(ways.may_pass(sources[number % len(sources)], now) for number in range(count))


@pytest.mark.parametrize("peer", [NEXT, EQUAL])
def test_all_pass_that_come_by_a_shortest_way(peer):
    assert passed(ways_back(peer), [FAR]) == 20_000


def test_all_pass_that_a_peer_sends_for_itself_wherever_routes_lead():
    assert passed(ways_back(agent(9)), [agent(9)]) == 20_000


def test_all_pass_until_there_are_routes():
    assert passed(WaysBack(HOSTILE), [FAR]) == 20_000


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
    passed(ways, [FAR])
    assert passed(ways, [LONGER], float(ROUNDABOUT_BURST)) == ROUNDABOUT_BURST
    assert passed(ways, [FAR], float(ROUNDABOUT_BURST)) == 20_000


def test_searches_are_few():
    far = {number: (10, number, 0) for number in range(100, 200)}
    records = mesh((1, 10, 0), (1, 6, 0), *far.values())
    ways = WaysBack(HOSTILE)
    ways.routes = compute_routes(OWN, records, max_hops=16, version=1)
    passed(ways, [agent(number) for number in far])
    assert len(ways.routes._shortest) == SEARCH_BURST


def test_shortest_ways():
    assert routes().shortest(FAR) == {NEXT, EQUAL}
    assert routes().shortest(NEXT) == {NEXT}
    assert routes().shortest(agent(9)) == routes().shortest(OWN) == frozenset()
