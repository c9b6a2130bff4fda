"""Which pair sessions there are at either end, for how long, and that one full OPEN at a time asks."""

from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.pair_session import PairSession
from mesh.connection.pair_sessions import (
    ASK_PATIENCE_S,
    EXIT_GRACE_S,
    KEPT_OF_INGRESS,
    MAX_AGENTS,
    PAIR_AGE_S,
    PAIR_CONNECTIONS,
    ExitPairs,
    IngressPairs,
    PairLimits,
    PairSessions,
)
from mesh.connection.party import Party
from mesh.trust.identity import AgentId, Instance

LIMITS = PairLimits()


def party(number, instance=0):
    name = number.to_bytes(2, "big") * 8
    return Party(AgentId(name), Instance(bytes((instance,)) * 16), name * 2)


def session(seed=0):
    return PairSession(seed.to_bytes(32, "big"), Instance(bytes(16)), Instance(bytes(16)))


ONE, OTHER = party(1), party(2)
RESTARTED = party(1, instance=1)


# -- at the ingress ------------------------------------------------------------------------------------------


@pytest.fixture
def pairs():
    return IngressPairs(LIMITS)


def test_one_full_open_at_a_time_asks(pairs):
    assert pairs.take(ONE, 0.0) is None
    assert [pairs.ask(ONE, now) for now in (0.0, 0.0, ASK_PATIENCE_S - 0.1)] == [True, False, False]
    assert pairs.ask(OTHER, 0.0)
    assert pairs.ask(RESTARTED, 0.5)  # what the instance before was asked counts no more


def test_an_answer_that_does_not_come_lets_the_next_ask(pairs):
    assert pairs.ask(ONE, 0.0)
    assert pairs.ask(ONE, ASK_PATIENCE_S)


def test_what_was_agreed_on_is_used_by_all_that_follow(pairs):
    pairs.ask(ONE, 0.0)
    first = session()
    pairs.agreed(ONE, first, 0.1)
    assert pairs.prepare(ONE, 1, 0.2)
    assert [pairs.take(ONE, now) for now in (0.2, 50.0)] == [first, first]
    assert not pairs.ask(ONE, 50.0)
    assert pairs.take(OTHER, 0.2) is None
    assert pairs.take(RESTARTED, 0.2) is None
    assert pairs.take(msgspec.structs.replace(ONE, session_key=bytes(32)), 0.2) is None


def test_before_it_is_over_one_asks_for_the_next_and_others_go_on(pairs):
    first, second = session(1), session(2)
    pairs.agreed(ONE, first, 0.0)
    worn = 0.75 * PAIR_AGE_S
    assert pairs.take(ONE, worn - 0.1) is first
    assert pairs.take(ONE, worn) is None
    assert pairs.ask(ONE, worn)
    assert [pairs.take(ONE, worn + 0.1) for _ in range(2)] == [first, first]
    pairs.agreed(ONE, second, worn + 0.2)
    assert pairs.take(ONE, worn + 0.3) is second


def test_so_does_it_after_three_quarters_of_its_connections_and_in_the_end_none_opens_under_it(pairs):
    pairs.agreed(ONE, session(), 0.0)
    opened = 0
    for _ in range(2 * PAIR_CONNECTIONS):
        if pairs.take(ONE, 1.0) is None:
            pairs.ask(ONE, 1.0)  # it is never answered
        else:
            opened += 1
    assert opened == PAIR_CONNECTIONS
    assert not pairs.prepare(ONE, 1, 1.0)


def test_it_is_over_when_it_is_old(pairs):
    pairs.agreed(ONE, session(), 5.0)
    assert pairs.deadline() == 5.0 + PAIR_AGE_S
    assert not pairs.prepare(ONE, 1, 5.0 + PAIR_AGE_S)
    pairs.expire(4.9 + PAIR_AGE_S)
    assert pairs.parties() == [ONE]
    pairs.expire(5.0 + PAIR_AGE_S)
    assert pairs.parties() == []
    assert pairs.deadline() == inf


def test_one_that_is_doubted_is_followed_by_the_next_and_serves_others_meanwhile(pairs):
    first = session()
    pairs.doubt(ONE, 0.0)
    pairs.agreed(ONE, first, 0.0)
    pairs.doubt(ONE, 1.0)
    assert pairs.ask(ONE, 1.0)
    assert pairs.take(ONE, 1.1) is first
    pairs.agreed(ONE, session(2), 1.2)
    assert not pairs.ask(ONE, 1.3)


def test_the_first_is_forgotten_where_there_are_too_many(pairs):
    for number in range(MAX_AGENTS + 1):
        assert pairs.ask(party(number), 0.0)
    assert len(pairs._asked) == MAX_AGENTS
    for number in range(MAX_AGENTS + 1):
        pairs.agreed(party(number), session(number), 0.0)
    assert len(pairs.parties()) == MAX_AGENTS
    assert not pairs.prepare(party(0), 1, 0.0)
    assert pairs.prepare(party(MAX_AGENTS), 1, 0.0)


# -- at the exit ---------------------------------------------------------------------------------------------


@pytest.fixture
def kept():
    return ExitPairs(LIMITS)


def test_keys_are_given_for_the_name_to_its_ingress_only(kept):
    one = session(1)
    kept.agreed(ONE, one, 0.0)
    assert kept.keys(ONE, one.name, 7, 0.0) == one.keys(7)
    for who, name in ((OTHER, one.name), (RESTARTED, one.name), (ONE, session(2).name), (ONE, b"")):
        assert kept.keys(who, name, 7, 0.0) is None


def test_it_is_kept_longer_than_it_is_used(kept):
    one = session(1)
    kept.agreed(ONE, one, 0.0)
    until = PAIR_AGE_S + EXIT_GRACE_S
    assert kept.keys(ONE, one.name, 7, until - 0.1) is not None
    assert kept.keys(ONE, one.name, 7, until) is None
    kept.expire(until - 0.1)
    assert kept.deadline() == until
    kept.expire(until)
    assert (kept.deadline(), kept.parties(), kept._names) == (inf, [], {})


def test_of_each_ingress_the_last_ones_are_kept(kept):
    sessions = [session(seed) for seed in range(KEPT_OF_INGRESS + 2)]
    for each in sessions:
        kept.agreed(ONE, each, 0.0)
    known = [kept.keys(ONE, each.name, 7, 0.0) is not None for each in sessions]
    assert known == [False, False] + [True] * KEPT_OF_INGRESS


def test_an_ingress_that_asks_again_and_again_takes_nothing_from_others(kept):
    kept.agreed(OTHER, session(0), 0.0)
    for seed in range(1, 1000):
        kept.agreed(ONE, session(seed), 0.0)
    assert kept.keys(OTHER, session(0).name, 7, 0.0) is not None
    assert len(kept._by_name) == 1 + KEPT_OF_INGRESS


def test_those_of_the_first_ingress_are_forgotten_where_there_are_too_many(kept):
    for number in range(MAX_AGENTS + 1):
        kept.agreed(party(number), session(number), 0.0)
    assert len(kept._by_name) == len(kept._names) == MAX_AGENTS
    assert kept.keys(ONE, session(1).name, 7, 0.0) is not None
    assert kept.keys(party(0), session(0).name, 7, 0.0) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from((1.0, 60.0, 100.0)))))
def test_whatever_comes_names_and_secrets_are_forgotten_together(steps):
    kept, now = ExitPairs(LIMITS), 0.0
    for seed, (what, who, passed) in enumerate(steps):
        now += passed
        match what:
            case 0:
                kept.forget(party(who).id)
            case 1:
                kept.expire(now)
            case _:
                kept.agreed(party(who), session(seed), now)
        named = [name for names in kept._names.values() for name in names]
        assert sorted(named) == sorted(kept._by_name)
        assert kept.deadline() == min((each.until for each in kept._by_name.values()), default=inf)
        assert all(names for names in kept._names.values())


def test_both_forget_an_agent_and_what_is_over():
    both = PairSessions(LIMITS)
    both.of_ingress.agreed(ONE, session(1), 0.0)
    both.of_exit.agreed(ONE, session(2), 0.0)
    both.of_exit.agreed(OTHER, session(3), 0.0)
    assert both.parties() == {ONE, OTHER}
    assert both.deadline() == PAIR_AGE_S
    both.forget(ONE.id)
    assert both.parties() == {OTHER}
    both.expire(PAIR_AGE_S + EXIT_GRACE_S)
    assert both.deadline() == inf
