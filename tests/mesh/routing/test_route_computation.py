import math

import msgspec
import pytest

from mesh.link.bodies import WireRecord
from mesh.routing.effects import Effects
from mesh.routing.records import EndpointEntry
from mesh.routing.route_computation import MIN_COMPUTE_INTERVAL_S
from mesh.routing.router import RouteTableState
from mesh.trust.certificates import CERTIFICATE_POLL_S
from tests.mesh.routing.route_table_company import (
    ALICE,
    IDENTITIES,
    OWN,
    UNIX,
    certificate_of,
    hear,
    linked,
    wire_of,
)


def pair_wire(state: RouteTableState, sequence: int = 0, **changes) -> WireRecord:
    """A record of the second agent that reports its link to the first."""
    back = (msgspec.structs.replace(state.snapshot.records[OWN.id].body.neighbours[0], id=OWN.id),)
    return wire_of(IDENTITIES[1], sequence=sequence, **({"neighbours": back} | changes))


def test_routes_are_computed_at_once_and_then_at_intervals():
    state = linked(ALICE)
    first = hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    assert first.snapshot is not None
    assert dict(first.snapshot.next_hops) == {ALICE: ALICE}
    for step in range(1, 6):
        change = pair_wire(state, sequence=step, endpoints=(EndpointEntry(f"key-{step}", None),))
        now = step * MIN_COMPUTE_INTERVAL_S / 10
        assert hear(state, ALICE, (change,), now, UNIX).snapshot is None
    assert state.deadline() == pytest.approx(MIN_COMPUTE_INTERVAL_S)
    assert state.tick(0.9 * MIN_COMPUTE_INTERVAL_S, UNIX).snapshot is None
    second = state.tick(MIN_COMPUTE_INTERVAL_S, UNIX).snapshot
    assert second is not None
    assert list(second.candidates) == ["key-5"]
    assert second.version == first.snapshot.version + 1
    assert state.snapshot is second


def test_a_refresh_computes_nothing():
    state = linked(ALICE)
    hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    computed = state.counts().routes_computed_total
    hear(state, ALICE, (pair_wire(state, sequence=1),), 5.0, UNIX)
    state.tick(6.0, UNIX)
    assert state.counts().routes_computed_total == computed


def test_a_lost_link_leaves_the_own_routes_before_its_record_may_go_out():
    state = linked(ALICE)
    hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    state.set_endpoints((EndpointEntry("a", None),), 1.0, UNIX)
    effects = state.link_down(ALICE, 1.02, UNIX)
    assert effects.sends == []
    assert effects.snapshot is not None
    assert effects.snapshot.next_hops == {}


def test_an_expired_record_leaves_the_routes():
    state = linked(ALICE)
    hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    state.tick(120.0, UNIX)
    state.tick(240.0, UNIX)
    assert state.deadline() <= 300.0
    snapshot = state.tick(300.0, UNIX).snapshot
    assert snapshot is not None
    assert set(snapshot.records) == {OWN.id}


def test_a_certificate_that_ends_between_computations_is_waited_for_and_not_asked_about():
    state = linked(ALICE)
    ends = UNIX + 5.0
    certificate = certificate_of(IDENTITIES[1], until=5.0)
    hear(state, ALICE, (pair_wire(state, certificate=certificate),), 0.0, UNIX)
    just_before = 5.0 - MIN_COMPUTE_INTERVAL_S / 2
    change = pair_wire(state, sequence=1, certificate=certificate, endpoints=(EndpointEntry("a", None),))
    assert hear(state, ALICE, (change,), just_before, UNIX + just_before).snapshot is not None
    assert state.tick(5.0, ends).snapshot is None
    assert state.deadline() == pytest.approx(just_before + MIN_COMPUTE_INTERVAL_S)
    found = state.tick(state.deadline(), ends).snapshot
    assert found is not None
    assert list(found.candidates) == []


def test_an_expired_certificate_leaves_the_routes_even_when_the_clock_is_set():
    state = linked(ALICE, advertise_interval_s=1e6)
    certificate = certificate_of(IDENTITIES[1], until=100.0)
    wire = pair_wire(state, certificate=certificate)
    hear(state, ALICE, (wire,), 0.0, UNIX)
    assert state.deadline() <= CERTIFICATE_POLL_S
    assert state.tick(CERTIFICATE_POLL_S, UNIX + CERTIFICATE_POLL_S).snapshot is None
    assert state.deadline() == 100.0
    # The wall clock was set back by 20 s meanwhile.
    assert state.tick(100.0, UNIX + 80.0).snapshot is None
    assert state.deadline() == pytest.approx(120.0)
    snapshot = state.tick(120.0, UNIX + 100.0).snapshot
    assert snapshot is not None
    assert ALICE not in snapshot.records


def test_a_tick_with_nothing_due_does_nothing():
    state = linked(ALICE)
    assert state.tick(0.0, UNIX) == Effects()


@pytest.mark.interpreted
def test_routes_of_a_large_mesh_are_computed_between_other_work(monkeypatch):
    monkeypatch.setattr("mesh.routing.graph.STEP_AGENTS", 1)
    state = linked(ALICE)
    while state.deadline() <= -30.0:
        state.tick(-30.0, UNIX)
    first = hear(state, ALICE, (pair_wire(state),), 0.0, UNIX)
    assert first.snapshot is None
    assert state.deadline() == -math.inf
    # What changes meanwhile waits for the computation after this one.
    state.set_endpoints((EndpointEntry("my-api", None),), 0.0, UNIX)
    snapshots = []
    for turn in range(100):
        if state.deadline() > turn * MIN_COMPUTE_INTERVAL_S:
            break
        snapshots.append(state.tick(turn * MIN_COMPUTE_INTERVAL_S, UNIX).snapshot)
    found = [snapshot for snapshot in snapshots if snapshot is not None]
    assert [list(snapshot.candidates) for snapshot in found] == [[], ["my-api"]]
    assert dict(found[0].next_hops) == {ALICE: ALICE}
    assert state.snapshot is found[-1]
    assert len(snapshots) > len(found)
