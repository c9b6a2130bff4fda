"""First hops other than the next hop that do not send things back."""

from hypothesis import given
from hypothesis import strategies as st

from mesh.routing.routes import compute_routes
from tests.examples import examples
from tests.mesh.routing.test_routes import agent, mesh


def alternates(records, source, destination, max_hops=16):
    snapshot = compute_routes(agent(source), records, max_hops=max_hops, version=1)
    return [hop[0] for hop in snapshot.alternates(agent(destination))]


def test_of_two_equal_ways_the_other_one():
    diamond = mesh((1, 2, 0), (1, 3, 1), (2, 4, 0), (3, 4, 1))
    assert alternates(diamond, 1, 4) == [3]


def test_a_longer_way_is_one_if_it_does_not_lead_back():
    # 1 - 2 - 5, and 1 - 3 - 4 - 5: from 3 it is two links, as from 1.
    assert alternates(mesh((1, 2, 0), (2, 5, 0), (1, 3, 0), (3, 4, 0), (4, 5, 0)), 1, 5) == [3]
    # A link more, and 3 would be nearer by way of 1.
    longer = mesh((1, 2, 0), (2, 6, 0), (1, 3, 0), (3, 4, 0), (4, 5, 0), (5, 6, 0))
    assert alternates(longer, 1, 6) == []


def test_round_trips_decide_among_equals():
    wide = mesh((1, 2, 0), (1, 3, 0), (1, 4, 0), (2, 5, 0), (3, 5, 6), (4, 5, 3))
    assert alternates(wide, 1, 5) == [4, 3]


def test_a_peer_that_does_not_relay_is_none():
    for changes in ({"relays": False}, {"may_relay": False}):
        assert alternates(mesh((1, 2, 0), (1, 3, 1), (2, 4, 0), (3, 4, 1), agent_3=changes), 1, 4) == []


def test_a_peer_that_drains_comes_behind_its_equals():
    wide = mesh((1, 2, 0), (1, 3, 1), (1, 4, 5), (2, 5, 0), (3, 5, 1), (4, 5, 5), agent_3={"draining": True})
    assert alternates(wide, 1, 5) == [4, 3]


def test_a_peer_may_be_reached_by_another():
    assert alternates(mesh((1, 2, 0), (1, 3, 0), (2, 3, 0)), 1, 2) == [3]


def test_no_way_is_longer_than_max_hops():
    diamond = mesh((1, 2, 0), (2, 5, 0), (1, 3, 0), (3, 4, 0), (4, 5, 0))
    assert alternates(diamond, 1, 5, max_hops=3) == [3]
    assert alternates(diamond, 1, 5, max_hops=2) == []


def test_out_of_reach_and_this_agent_itself_have_none():
    records = mesh((1, 2, 0), (3, 4, 0))
    assert alternates(records, 1, 4) == alternates(records, 1, 1) == alternates(records, 1, 9) == []


@examples(2)
@given(st.sets(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3)), max_size=20))
def test_whoever_follows_the_next_hops_from_an_alternate_never_comes_back(drawn):
    links = {(min(a, b), max(a, b)): step for a, b, step in drawn if a != b}
    records = mesh(*((one, other, step) for (one, other), step in links.items()))
    tables = {
        source: compute_routes(source, dict(records), max_hops=16, version=1).next_hops for source in records
    }
    for source in records:
        snapshot = compute_routes(source, dict(records), max_hops=16, version=1)
        for destination in tables[source]:
            for alternate in snapshot.alternates(destination):
                passed, hop = [source], alternate
                while hop != destination:
                    assert hop not in passed
                    passed.append(hop)
                    hop = tables[hop][destination]
