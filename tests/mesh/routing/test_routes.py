from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.routing.graph import Graph
from mesh.routing.routes import Candidate, compute_routes, computing_routes
from tests.mesh.routing.graph_company import agent, mesh, random_meshes, record_of

# -- the reference: every simple path, compared as the rule says -------------------------------------------


def link_cost(records, one, other):
    """What a link costs; None where the two ends do not both report it."""
    if other not in records or one not in records[other].round_trips or other not in records[one].round_trips:
        return None
    return 2 ** max(records[one].round_trips[other], records[other].round_trips[one])


def all_paths(records, path, max_hops):
    yield path
    last = path[-1]
    may_pass = len(path) == 1 or (records[last].body.relays and records[last].certificate.may_relay)
    if may_pass and len(path) <= max_hops:
        for following in records:
            if following not in path and link_cost(records, last, following) is not None:
                yield from all_paths(records, (*path, following), max_hops)


def path_cost(records, path):
    return sum(link_cost(records, one, other) for one, other in pairwise(path))


def draining_between(records, path):
    return sum(records[each].body.draining for each in path[1:-1])


def best_paths(records, source, max_hops):
    best = {}
    for path in all_paths(records, (source,), max_hops):
        rank = (len(path), draining_between(records, path), path_cost(records, path), path)
        if path[-1] not in best or rank < best[path[-1]]:
            best[path[-1]] = rank
    return {destination: path for destination, (*_, path) in best.items()}


@given(random_meshes(), st.integers(1, 6))
def test_paths_are_those_of_a_search_through_all_paths(records, max_hops):
    for source in records:
        assert Graph.of(records).paths_from(source, max_hops) == best_paths(records, source, max_hops)


@given(random_meshes(), st.integers(1, 6))
def test_hop_by_hop_forwarding_follows_the_path_of_the_ingress(records, max_hops):
    snapshots = {
        source: compute_routes(source, dict(records), max_hops=max_hops, version=1) for source in records
    }
    for source, snapshot in snapshots.items():
        for destination, path in snapshot.graph.paths_from(source, snapshot.max_hops).items():
            walked = [source]
            while walked[-1] != destination:
                walked.append(snapshots[walked[-1]].next_hops[destination])
                assert len(walked) <= len(path)
            assert tuple(walked) == path
            assert snapshot.hop_counts[destination] == len(path) - 1


@given(random_meshes())
def test_candidates_are_ranked_by_leaving_hops_round_trip_and_id(records):
    own = agent(0)
    snapshot = compute_routes(own, dict(records), max_hops=16, version=1)
    reference = best_paths(records, own, 16)
    for key in ("a", "b"):
        ranked = sorted(
            (
                records[exit_id].body.draining,
                len(path) - 1,
                draining_between(records, path),
                path_cost(records, path),
                exit_id,
            )
            for exit_id, path in reference.items()
            if key in records[exit_id].offered_keys
        )
        expected = tuple(Candidate(exit_id, hops, cost) for _, hops, _, cost, exit_id in ranked)
        assert snapshot.candidates.get(key, ()) == expected
    assert set(snapshot.hop_counts) == set(reference)
    assert set(snapshot.next_hops) == set(reference) - {own}


# -- the rules one by one -----------------------------------------------------------------------------------


def test_a_link_counts_only_when_both_ends_report_it():
    records = {agent(1): record_of(1, {2: 0}), agent(2): record_of(2, {})}
    assert Graph.of(records).paths_from(agent(1)) == {agent(1): (agent(1),)}


def test_fewest_hops_win_over_the_shortest_round_trip():
    records = mesh((1, 2, 0), (2, 3, 0), (1, 3, 9))
    assert Graph.of(records).paths_from(agent(1))[agent(3)] == (agent(1), agent(3))


def test_at_equal_hops_the_whole_round_trip_decides_not_the_number_of_doublings():
    # 2**1 + 2**7 by way of 2; 2**4 + 2**5 by way of 3, although the steps add up to more.
    records = mesh((1, 2, 1), (2, 4, 7), (1, 3, 4), (3, 4, 5))
    assert Graph.of(records).paths_from(agent(1))[agent(4)] == (agent(1), agent(3), agent(4))


def test_the_worse_of_two_reports_counts():
    records = mesh((1, 2, 1), (2, 4, 1), (1, 3, 1), (3, 4, 1))
    records[agent(4)] = record_of(4, {2: 8, 3: 1})
    assert Graph.of(records).paths_from(agent(1))[agent(4)] == (agent(1), agent(3), agent(4))


@pytest.mark.parametrize("bar", [{"relays": False}, {"may_relay": False}])
def test_who_does_not_relay_is_still_an_end(bar):
    records = mesh((1, 2, 0), (2, 3, 0), agent_2=bar)
    assert set(Graph.of(records).paths_from(agent(1))) == {agent(1), agent(2)}
    assert set(Graph.of(records).paths_from(agent(2))) == {agent(1), agent(2), agent(3)}


def test_a_draining_relay_is_gone_around_where_that_takes_no_more_links():
    links = ((1, 2, 0), (2, 4, 0), (1, 3, 5), (3, 4, 5))
    drains = {"agent_2": {"draining": True}}
    assert Graph.of(mesh(*links)).paths_from(agent(1))[agent(4)][1] == agent(2)
    assert Graph.of(mesh(*links, **drains)).paths_from(agent(1))[agent(4)][1] == agent(3)
    longer = ((1, 2, 0), (2, 4, 0), (1, 3, 0), (3, 5, 0), (5, 4, 0))
    assert Graph.of(mesh(*longer, **drains)).paths_from(agent(1))[agent(4)][1] == agent(2)


def test_what_draining_costs_is_no_round_trip():
    links = ((1, 2, 1), (2, 4, 2))
    drains = {"agent_2": {"draining": True}, "agent_4": {"keys": ("db",)}}
    snapshot = compute_routes(agent(1), mesh(*links, **drains), max_hops=16, version=1)
    assert snapshot.candidates["db"] == (Candidate(agent(4), 2, 6),)


def test_a_relay_that_is_about_to_end_is_gone_around_however_long_that_way_is():
    links = ((1, 2, 0), (2, 4, 0), (1, 3, 5), (3, 5, 5), (5, 4, 5))
    ends = {"agent_2": {"draining": True, "relays": False}}
    assert len(Graph.of(mesh(*links, **ends)).paths_from(agent(1))[agent(4)]) == 4


def test_no_path_is_longer_than_max_hops():
    records = mesh(*((number, number + 1, 0) for number in range(1, 20)))
    assert len(Graph.of(records).paths_from(agent(1))) == 17
    assert len(Graph.of(records).paths_from(agent(1), 3)) == 4
    snapshot = compute_routes(agent(1), dict(records), max_hops=3, version=1)
    assert set(snapshot.graph.paths_from(agent(4), snapshot.max_hops)) == {
        agent(number) for number in range(1, 8)
    }


def test_an_unknown_source_reaches_nobody():
    assert Graph.of(mesh((1, 2, 0))).search(agent(9), 16) == {}
    assert Graph.of(mesh((1, 2, 0))).paths_from(agent(9)) == {}


def test_the_agent_itself_is_the_first_candidate():
    records = mesh((1, 2, 0), agent_1={"keys": ("db",)}, agent_2={"keys": ("db",)})
    snapshot = compute_routes(agent(1), records, max_hops=16, version=5)
    assert snapshot.candidates["db"] == (Candidate(agent(1), 0, 0), Candidate(agent(2), 1, 1))
    assert snapshot.version == 5


def test_a_leaving_exit_is_the_last_resort():
    records = mesh(
        (1, 2, 0), (1, 3, 9), agent_2={"keys": ("db",), "draining": True}, agent_3={"keys": ("db",)}
    )
    snapshot = compute_routes(agent(1), records, max_hops=16, version=1)
    assert [candidate.agent_id for candidate in snapshot.candidates["db"]] == [agent(3), agent(2)]


def test_who_is_cut_off_is_known_but_no_candidate():
    records = mesh((1, 2, 0), (3, 4, 0), agent_3={"keys": ("db",)})
    snapshot = compute_routes(agent(1), records, max_hops=16, version=1)
    assert "db" not in snapshot.candidates
    assert agent(3) in snapshot.records
    assert agent(3) not in snapshot.next_hops


def test_a_snapshot_cannot_be_changed():
    snapshot = compute_routes(agent(1), mesh((1, 2, 0)), max_hops=16, version=1)
    for mapping in (snapshot.next_hops, snapshot.hop_counts, snapshot.candidates, snapshot.records):
        with pytest.raises(TypeError):
            mapping["key"] = None
    with pytest.raises(AttributeError):
        snapshot.version = 2


# -- step by step --------------------------------------------------------------------------------------------


@pytest.mark.interpreted
@given(random_meshes())
def test_routes_are_the_same_however_small_the_steps(records):
    at_once = compute_routes(agent(0), dict(records), max_hops=16, version=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mesh.routing.graph.STEP_AGENTS", 1)
        patch.setattr("mesh.routing.routes.STEP_AGENTS", 1)
        patch.setattr("mesh.routing.routes.STEP_OFFERS", 1)
        stepwise = compute_routes(agent(0), dict(records), max_hops=16, version=1)
    for field in ("next_hops", "hop_counts", "candidates"):
        assert list(getattr(stepwise, field).items()) == list(getattr(at_once, field).items())


@pytest.mark.interpreted
def test_a_small_mesh_takes_one_step_and_a_large_one_many(monkeypatch):
    star = [(0, number, 0) for number in range(1, 200)]
    assert list(computing_routes(agent(0), mesh(*star), max_hops=16, version=1)) == []
    monkeypatch.setattr("mesh.routing.graph.STEP_AGENTS", 20)
    monkeypatch.setattr("mesh.routing.routes.STEP_AGENTS", 20)
    assert len(list(computing_routes(agent(0), mesh(*star), max_hops=16, version=1))) > 2 * 200 / 20
