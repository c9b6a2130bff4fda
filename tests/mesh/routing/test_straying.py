"""A frame comes astray if its source's best path ends with another peer; that costs few searches."""

import pytest
from hypothesis import given

from mesh.routing.graph import Graph
from mesh.routing.routes import compute_routes
from mesh.routing.straying import Straying
from mesh.routing.ways_back import SEARCH_BURST, SEARCH_RATE, open_budgets
from tests.examples import examples
from tests.mesh.routing.graph_company import agent, mesh, random_meshes

OWN, NEXT, EQUAL, LONGER, FAR, HOSTILE = (agent(number) for number in range(1, 7))
RECORDS = mesh((1, 2, 0), (1, 3, 1), (1, 4, 0), (2, 5, 0), (3, 5, 1), (4, 7, 0), (7, 5, 0), (1, 6, 0))
"""From 1 to 5 by 2 or 3 it is two links, by 4 and 7 three; 6 leads nowhere."""


def routes(records=RECORDS, version=1):
    return compute_routes(OWN, dict(records), max_hops=16, version=version)


def by(peer, snapshot=None):
    made = Straying(peer, open_budgets())
    made.follow(snapshot or routes())
    return made


@pytest.mark.parametrize(
    ("peer", "source", "is_astray"),
    [
        (NEXT, FAR, False),
        (EQUAL, FAR, True),
        (LONGER, FAR, True),
        (HOSTILE, FAR, True),
        (HOSTILE, NEXT, True),
        (HOSTILE, HOSTILE, False),
        (LONGER, agent(7), False),
        (HOSTILE, agent(99), False),
        (agent(99), agent(99), False),
    ],
)
def test_who_is_on_the_way_of_whom(peer, source, is_astray):
    known = by(peer)
    assert known.is_astray(source, 0.0) is is_astray
    assert known.is_astray(source, 0.0) is is_astray


def test_nothing_comes_astray_until_there_are_routes():
    assert not Straying(HOSTILE, open_budgets()).is_astray(FAR, 0.0)


@examples(0.5)
@given(random_meshes())
def test_nothing_comes_astray_that_follows_the_routes(records):
    for own in records:
        snapshot = compute_routes(own, dict(records), max_hops=16, version=1)
        peers = {peer: Straying(peer, open_budgets()) for peer in records}
        for each in peers.values():
            each.follow(snapshot)
        for source in records:
            for path in Graph.of(records).paths_from(source, 16).values():
                if own in path[1:]:
                    assert not peers[path[path.index(own) - 1]].is_astray(source, 0.0)


def test_other_routes_are_judged_anew():
    known = by(EQUAL)
    assert known.is_astray(FAR, 0.0)
    known.follow(routes({each: RECORDS[each] for each in RECORDS if each != NEXT}, version=2))
    assert not known.is_astray(FAR, 0.0)


def crowd():
    """100 agents behind 10, which 2 and 3 lead to, both in as few links; the best way is by 2."""
    return mesh(
        (1, 2, 0), (1, 3, 0), (2, 10, 0), (3, 10, 0), *((10, number, 0) for number in range(100, 200))
    )


def test_searches_are_few_and_what_is_not_judged_is_astray():
    snapshot = routes(crowd())
    known = by(EQUAL, snapshot)
    assert all(known.is_astray(agent(number), 0.0) for number in range(100, 200))
    assert len(snapshot._ways_in) == SEARCH_BURST
    assert all(known.is_astray(agent(number), 1.0) for number in range(100, 200))
    assert len(snapshot._ways_in) == SEARCH_BURST + SEARCH_RATE


def test_beyond_that_a_verdict_of_former_routes_stands():
    """From 5 to 1 by 2 and 6, whose IDs come first; from 1 to 5 by 3 and 4."""
    records = mesh((5, 2, 0), (2, 6, 0), (6, 1, 0), (5, 4, 0), (4, 3, 0), (3, 1, 0))
    budgets = open_budgets()
    known = Straying(HOSTILE, budgets)
    known.follow(routes(records))
    assert not known.is_astray(FAR, 0.0)
    assert budgets.of(HOSTILE, 0.0).searches.take(0.0, SEARCH_BURST - 1)
    second = routes(records, version=2)
    known.follow(second)
    assert not known.is_astray(FAR, 0.0)
    assert not second.has_ways_in(FAR)


def test_a_bounded_number_of_verdicts_is_remembered():
    known = Straying(agent(2), open_budgets(), max_former=50)
    known.follow(routes(crowd()))
    for number in range(100, 200):
        known.is_astray(agent(number), 0.0)
        known.is_astray(agent(250), 0.0)
    assert len(known.verdicts) == 100
    for version in (2, 3):
        known.follow(routes(crowd(), version=version))
        known.is_astray(agent(100), 0.0)
    assert len(known._former) == 1


def test_routes_that_are_told_again_change_nothing():
    snapshot = routes()
    known = by(EQUAL, snapshot)
    assert known.is_astray(FAR, 0.0)
    known.follow(snapshot)
    assert known.verdicts == {FAR: True}
