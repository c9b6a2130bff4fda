"""Whether another runs with this agent's key: not for longer than it does, and never unseen."""

import pytest

from mesh.routing.overtakers import MAX_OVERTAKERS, OVERTAKEN_FREELY, TWIN_SHOWN_S, Overtakers
from mesh.trust.identity import Instance

OWN, OTHER, THIRD = (Instance(bytes([number]) * 16) for number in range(3))
TTL_S = 300.0


def overtaken_twice(by: Instance, now: float) -> Overtakers:
    others = Overtakers(OWN)
    assert not others.met(by, 1, now)
    assert not others.any_runs(now, TTL_S), "it may be of a run before"
    assert others.met(by, 2, now)
    assert others.any_runs(now, TTL_S)
    return others


def test_one_that_withdraws_is_gone_at_once_and_warned_of_for_a_while():
    others = overtaken_twice(OTHER, 100.0)
    assert others.left(OTHER)
    assert not others.any_runs(100.0, TTL_S)
    assert others.any_ran(100.0 + TWIN_SHOWN_S - 1)
    assert not others.any_ran(100.0 + TWIN_SHOWN_S)


@pytest.mark.parametrize(("ttl_s", "until_s"), [(TTL_S, TTL_S), (86_400.0, TWIN_SHOWN_S)])
def test_one_that_is_not_renewed_is_gone_once_its_record_is_forgotten(ttl_s, until_s):
    others = overtaken_twice(OTHER, 100.0)
    others.met(OTHER, 3, 130.0)
    assert others.any_runs(130.0 + until_s - 1, ttl_s)
    assert not others.any_runs(130.0 + until_s, ttl_s)


def test_that_one_leaves_hides_no_other():
    others = overtaken_twice(OTHER, 100.0)
    others.met(THIRD, OVERTAKEN_FREELY + 1, 101.0)
    assert others.left(OTHER)
    assert others.any_runs(101.0, TTL_S)
    assert others.left(THIRD)
    assert not others.any_runs(101.0, TTL_S)


def test_one_that_speaks_on_after_it_has_withdrawn_is_there_again():
    others = overtaken_twice(OTHER, 100.0)
    others.left(OTHER)
    assert others.met(OTHER, 1, 700.0)
    assert others.any_runs(700.0, TTL_S)


def test_a_copy_of_this_run_cannot_be_withdrawn():
    others = Overtakers(OWN)
    others.met(OWN, 1, 0.0)
    assert not others.left(OWN)
    assert others.any_runs(0.0, TTL_S)


def test_what_is_remembered_does_not_grow_with_instances():
    others = Overtakers(OWN)
    for number in range(1_000):
        others.met(Instance(number.to_bytes(16, "big")), OVERTAKEN_FREELY + 1, float(number))
        assert len(others._running) <= MAX_OVERTAKERS
        assert len(others._met) <= MAX_OVERTAKERS
    assert others.any_runs(999.0 + TTL_S - 1, TTL_S), "the latest is the last that is let go"
