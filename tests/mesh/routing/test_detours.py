"""Which first hop a connection takes, once some have failed."""

import pytest

from mesh.routing.detours import (
    FIRST_SUSPICION_S,
    MAX_SUSPICION_S,
    MAX_SUSPICIONS,
    SHORT_SUSPICION_S,
    Detours,
    Proof,
)
from mesh.routing.routes import compute_routes
from tests.mesh.routing.test_routes import agent, mesh

OWN, NEXT, OTHER, THIRD, FAR = (agent(number) for number in (1, 2, 3, 4, 5))
THREE_WAYS = mesh((1, 2, 0), (1, 3, 1), (1, 4, 2), (2, 5, 0), (3, 5, 1), (4, 5, 2))


def routes(records, version=1):
    return compute_routes(OWN, dict(records), max_hops=16, version=version)


@pytest.fixture
def told():
    return []


@pytest.fixture
def detours(told):
    made = Detours(lambda destination, hop: told.append((destination, hop)))
    made.routes_changed(routes(THREE_WAYS))
    return made


def test_nothing_has_failed(detours):
    assert detours.start("one", FAR, 0.0) is None
    assert "one" not in detours
    detours.proved("one", 0.0, Proof.LOST)


def test_each_first_hop_has_its_turn_and_the_first_again(detours, told):
    taken = [detours.failed("one", FAR, float(at)) for at in range(5)]
    assert taken == [OTHER, THIRD, NEXT, OTHER, NEXT]
    assert told == []  # it may be the other end's fault


def test_what_was_left_is_suspected_once_another_works(detours, told):
    detours.failed("one", FAR, 0.0)
    detours.failed("one", FAR, 2.0)
    detours.proved("one", 3.0, Proof.LOST)
    assert told == [(FAR, NEXT), (FAR, OTHER)]
    assert detours.start("two", FAR, 4.0) == THIRD
    assert "two" in detours
    detours.proved("one", 5.0, Proof.LOST)
    assert len(told) == 2


def test_a_suspicion_is_for_one_destination(detours):
    detours.failed("one", FAR, 0.0)
    detours.proved("one", 1.0, Proof.LOST)
    assert detours.start("two", NEXT, 2.0) is None


def test_where_all_are_suspected_the_usual_one_is_taken(detours):
    for _ in range(3):
        detours.failed("one", FAR, 0.0)
        detours.proved("one", 0.0, Proof.LOST)
    assert detours.start("two", FAR, 1.0) is None


def test_it_takes_two_where_one_proves_nothing(detours, told):
    for name, at in (("one", 0.0), ("two", 100.0), ("three", 101.0)):
        detours.failed(name, FAR, at)
        detours.proved(name, at, Proof.CHANCE)
    assert told == [(FAR, NEXT)]
    assert detours.start("four", FAR, 100.0) == OTHER


def suspicion_s(detours, at, proof=Proof.LOST):
    """Fail the usual first hop; how long it is suspected from then on, in steps of a second."""
    detours.failed("probe", FAR, at)
    detours.proved("probe", at, proof)
    detours.forget("probe")
    lasted = 0
    while detours.start("look", FAR, at + lasted) is not None:
        lasted += 1
    return lasted


def test_suspicions_back_off_and_are_forgiven(detours):
    at, spans = 0.0, []
    for _ in range(6):
        spans.append(suspicion_s(detours, at))
        at += spans[-1] + 1.0
    assert spans == [30, 60, 120, 240, 480, 600]
    assert spans[0] == FIRST_SUSPICION_S
    assert spans[-1] == MAX_SUSPICION_S
    assert suspicion_s(detours, at + MAX_SUSPICION_S) == FIRST_SUSPICION_S


def test_a_hop_that_may_have_stood_still_is_suspected_for_a_moment_unless_it_does_so_again(detours, told):
    at, spans = 0.0, []
    for _ in range(5):
        spans.append(suspicion_s(detours, at, Proof.SILENT))
        at += spans[-1] + FIRST_SUSPICION_S - 1.0
    assert spans == [4, 8, 16, 32, 64]
    assert spans[0] == SHORT_SUSPICION_S
    assert suspicion_s(detours, at + spans[-1], Proof.SILENT) == SHORT_SUSPICION_S
    assert len(told) == 6


def test_a_hop_that_is_suspected_for_a_moment_is_for_longer_once_it_is_sure(detours, told):
    for name, at, proof in (("one", 0.0, Proof.SILENT), ("two", 0.0, Proof.SILENT), ("one", 1.0, Proof.LOST)):
        detours.forget(name)
        detours.failed(name, FAR, at)
        detours.proved(name, at, proof)
    assert detours.start("three", FAR, 1.0 + FIRST_SUSPICION_S - 0.1) == OTHER
    assert detours.start("three", FAR, 1.0 + FIRST_SUSPICION_S) is None
    assert told == [(FAR, NEXT)]


def test_there_is_room_for_so_many(detours):
    for number in range(MAX_SUSPICIONS + 10):
        detours._suspect(FAR, agent(number % 250)[:-2] + number.to_bytes(2, "big"), 0.0, FIRST_SUSPICION_S)
    assert len(detours._suspicions) == MAX_SUSPICIONS


def test_a_hop_that_would_send_things_back_by_new_routes_is_left(detours):
    assert detours.failed("one", FAR, 0.0) == OTHER
    assert detours.routes_changed(routes(THREE_WAYS)) == []
    without = mesh((1, 2, 0), (1, 3, 1), (1, 4, 2), (2, 5, 0), (4, 5, 2))
    assert detours.routes_changed(routes(without)) == ["one"]


def test_a_hop_without_a_link_is_left(detours):
    detours.failed("one", FAR, 0.0)
    assert detours.stale({NEXT, OTHER}) == []
    assert detours.stale({NEXT}) == ["one"]
    detours.forget("one")
    assert detours.stale({NEXT}) == []


def test_without_another_way_there_is_none(detours):
    detours.routes_changed(routes(mesh((1, 2, 0), (2, 5, 0))))
    assert detours.failed("one", FAR, 0.0) is None
    assert detours.failed("two", agent(9), 0.0) is None
