"""The order of candidates: distance, turns, and what a failure does to it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.connections.offers import offers_of
from mesh.backoff import retry_delay_s
from mesh.connection.candidates import (
    FIRST_SET_ASIDE_S,
    MAX_CANDIDATES,
    MAX_SET_ASIDE_S,
    PERMANENT_CODES,
    TRIAL_S,
    CandidatePool,
)
from mesh.connection.offer import Offer
from mesh.connection.party import Party
from mesh.connection.reject_codes import IngressVerdict
from mesh.trust.identity import AgentId, Instance
from tests.actors.company import IDENTITIES, record_of, routes_of
from tests.work.instructions import instructions


def party(number):
    return Party(AgentId(bytes([number]) * 16), Instance(bytes(16)), bytes(32))


def offer(number, hop_count=1, rtt_step=0, *, is_draining=False):
    return Offer(party(number), is_draining, hop_count, rtt_step)


def pool_of(*offers):
    pool = CandidatePool()
    pool.update(offers, 0.0)
    return pool


def numbers(order):
    return [each.party.id[0] for each in order]


def firsts(pool, times, now=0.0):
    return [pool.order(now, 0.0)[0].party.id[0] for _ in range(times)]


def test_fewest_hops_then_the_lowest_step_and_those_that_leave_last():
    pool = pool_of(
        offer(1, 0, is_draining=True), offer(2, 2, 0), offer(3, 1, 4), offer(4, 1, 1), offer(5, 3, 0)
    )
    assert numbers(pool.order(0.0, 0.9)) == [4, 3, 2, 5, 1]


def test_a_connection_does_without_those_it_has_tried_and_takes_nobodys_turn():
    pool = pool_of(offer(1), offer(2), offer(3, 2))
    assert numbers(pool.order(0.0, 0.0, {party(1), party(2)})) == [3]
    assert pool.order(0.0, 0.0, {party(1), party(2), party(3)}) == ()
    assert firsts(pool, 2) == [1, 2]
    assert numbers(pool.order(0.0, 0.0, {party(1)})) == [2, 3]


def test_the_round_trip_of_an_offer_is_the_upper_end_of_its_step():
    assert [offer(1, rtt_step=step).rtt_s for step in (0, 1, 11)] == [0.0005, 0.001, 1.024]


def test_equals_take_turns_exactly():
    pool = pool_of(offer(1), offer(2), offer(3), offer(4, 2))
    assert Counter(firsts(pool, 300)) == {1: 100, 2: 100, 3: 100}


def test_the_next_to_try_is_an_equal_that_has_waited_too():
    pool = pool_of(offer(1), offer(2), offer(3), offer(4, 2))
    orders = [numbers(pool.order(0.0, 0.0)) for _ in range(3)]
    assert orders == [[1, 2, 3, 4], [2, 3, 1, 4], [3, 1, 2, 4]]


@given(count=st.integers(1, 8), draw=st.floats(0, 1, exclude_max=True))
def test_the_draw_says_who_begins(count, draw):
    pool = pool_of(*(offer(number) for number in range(count)))
    assert pool.order(0.0, draw)[0].party.id[0] == int(draw * count)
    assert sorted(firsts(pool, count - 1)) == sorted(set(range(count)) - {int(draw * count)})


def test_a_newcomer_gets_the_next_turn_and_then_its_share():
    pool = pool_of(offer(1), offer(2))
    firsts(pool, 10)
    pool.update([offer(1), offer(2), offer(3)], 0.0)
    assert firsts(pool, 1) == [3]
    assert Counter(firsts(pool, 30)) == {1: 10, 2: 10, 3: 10}


@pytest.mark.parametrize(
    ("rtt_steps", "step"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)]
)
def test_a_paths_step_is_that_of_its_whole_round_trip(rtt_steps, step):
    record = record_of(IDENTITIES[1], "key")
    snapshot = routes_of(IDENTITIES[0], record)
    (known,) = snapshot.candidates["key"]
    snapshot.candidates["key"] = (known._replace(rtt_steps=rtt_steps, hop_count=2),)
    expected = Party(record.agent_id, record.instance, record.session_key)
    assert offers_of(snapshot, "key") == (Offer(expected, False, 2, step, "agent"),)
    assert offers_of(snapshot, "another") == ()


def test_the_names_of_those_who_offer_are_known():
    record = record_of(IDENTITIES[1], "key")
    pool = pool_of(*offers_of(routes_of(IDENTITIES[0], record), "key"))
    assert pool.name_of(record.agent_id) == "agent"
    assert pool.name_of(IDENTITIES[2].id) == ""


def test_who_failed_comes_last_and_back_after_its_time():
    pool = pool_of(offer(1, 0), offer(2, 1), offer(3, 2))
    aside_s = pool.failed(party(1).id, "refused", 10.0, 0.5)
    assert aside_s == retry_delay_s(0, 0.5, first_s=FIRST_SET_ASIDE_S, cap_s=MAX_SET_ASIDE_S)
    assert numbers(pool.order(10.0, 0.0)) == [2, 3, 1]
    assert numbers(pool.order(10.0 + aside_s - 0.001, 0.0)) == [2, 3, 1]
    assert numbers(pool.order(10.0 + aside_s, 0.0)) == [1, 2, 3]


def test_one_connection_finds_out_whether_it_is_back():
    pool = pool_of(offer(1, 0), offer(2, 1))
    back = pool.failed(party(1).id, "silent", 0.0, 0.5)
    assert firsts(pool, 3, back) == [1, 2, 2]
    assert firsts(pool, 1, back + TRIAL_S - 0.001) == [2]
    assert firsts(pool, 2, back + TRIAL_S) == [1, 2]  # nobody has said how the first trial ended
    assert pool.served(party(1).id)
    assert firsts(pool, 3, back + TRIAL_S) == [1, 1, 1]


def test_failures_in_a_row_double_the_time_up_to_the_cap_and_success_begins_anew():
    pool = pool_of(offer(1, 0), offer(2, 1))
    now, spans = 0.0, []
    for _ in range(8):
        assert firsts(pool, 1, now) == [1]
        spans.append(pool.failed(party(1).id, "timed-out", now, 0.5))
        assert firsts(pool, 1, now) == [2]
        now += spans[-1]
    assert spans == [
        retry_delay_s(n, 0.5, first_s=FIRST_SET_ASIDE_S, cap_s=MAX_SET_ASIDE_S) for n in range(8)
    ]
    assert spans[-1] == MAX_SET_ASIDE_S * 0.55
    assert pool.served(party(1).id)
    assert not pool.served(party(1).id)
    assert pool.failed(party(1).id, "timed-out", now, 0.5) == spans[0]


def test_connections_that_fail_together_are_one_failure():
    pool = pool_of(offer(1))
    assert pool.failed(party(1).id, "refused", 0.0, 0.0) is not None
    assert [pool.failed(party(1).id, "refused", 0.1, 0.0) for _ in range(50)] == [None] * 50


@pytest.mark.parametrize("code", sorted(PERMANENT_CODES))
def test_what_will_not_change_soon_costs_the_longest_time_at_once(code):
    assert pool_of(offer(1)).failed(party(1).id, code, 0.0, 0.0) == MAX_SET_ASIDE_S


def test_when_all_have_failed_all_are_tried_the_first_to_come_back_first():
    pool = pool_of(offer(1, 0), offer(2, 1), offer(3, 2))
    for number, draw in ((1, 0.9), (2, 0.5), (3, 0.1)):
        pool.failed(party(number).id, "refused", 0.0, draw)
    assert numbers(pool.order(0.0, 0.0)) == [3, 2, 1]
    pool.served(party(2).id)
    assert numbers(pool.order(0.0, 0.0)) == [2, 3, 1]


def test_one_that_comes_and_goes_stays_set_aside():
    pool = pool_of(offer(1, 0), offer(2, 1))
    aside_s = pool.failed(party(1).id, "silent", 0.0, 0.5)
    pool.update([offer(2, 1)], 0.1)
    pool.update([offer(1, 0), offer(2, 1)], 0.2)
    assert firsts(pool, 1, 0.3) == [2]
    pool.update([offer(2, 1)], aside_s)  # gone for longer than that, nothing is kept of it
    pool.update([offer(1, 0), offer(2, 1)], aside_s)
    assert firsts(pool, 2, aside_s) == [1, 1]


def test_without_offers_there_is_no_order():
    assert CandidatePool().order(0.0, 0.5) == ()


offered = st.lists(
    st.tuples(st.integers(0, 7), st.booleans(), st.integers(0, 2), st.integers(0, 2)),
    unique_by=lambda each: each[0],
    max_size=8,
).map(lambda each: [offer(n, hops, rtt, is_draining=leaving) for n, leaving, hops, rtt in each])
draws = st.floats(0, 1, exclude_max=True)
steps = st.one_of(
    st.tuples(st.just("update"), offered),
    st.tuples(st.just("order"), draws),
    st.tuples(st.just("failed"), st.integers(0, 7), st.sampled_from(["refused", "not-permitted"]), draws),
    st.tuples(st.just("served"), st.integers(0, 7)),
    st.tuples(st.just("wait"), st.floats(0.0, 40.0)),
)


@given(first=offered, history=st.lists(steps, max_size=40), draw=draws)
def test_whatever_has_happened(first, history, draw):
    pool, now, known = pool_of(*first), 0.0, first
    aside = {}
    """Who has not served since it failed, and until when it stands behind the others."""
    for step in history:
        match step:
            case ("update", known):
                pool.update(known, now)
                offered_ids = {each.party.id for each in known}
                aside = {key: until for key, until in aside.items() if key in offered_ids or now < until}
            case ("order", given_draw):
                ids = [each.party.id for each in pool.order(now, given_draw)]
                distances = {each.party.id: each.distance for each in known}
                assert sorted(ids) == sorted(distances)  # none is lost
                untils = [until if now < until else 0.0 for until in (aside.get(key, 0.0) for key in ids)]
                assert untils == sorted(untils)
                in_place = [distances[key] for key, until in zip(ids, untils, strict=True) if not until]
                assert in_place == sorted(in_place)
                if ids and aside.get(ids[0], now + 1.0) <= now:  # this connection is its trial
                    aside[ids[0]] = now + TRIAL_S
            case ("failed", number, code, given_draw):
                aside_s = pool.failed(party(number).id, code, now, given_draw)
                if aside_s is not None:
                    assert 0.0 < aside_s <= MAX_SET_ASIDE_S
                    aside[party(number).id] = now + aside_s
            case ("served", number):
                pool.served(party(number).id)
                aside.pop(party(number).id, None)
            case ("wait", duration_s):
                now += duration_s
    # Whoever serves is where its distance puts it: nothing is held against it for ever.
    for each in known:
        pool.served(each.party.id)
    distances = {each.party.id: each.distance for each in known}
    order = [distances[each.party.id] for each in pool.order(now, draw)]
    assert order == sorted(order)


def test_who_is_next_is_told_without_a_turn_being_taken():
    pool = pool_of(offer(1), offer(2), offer(3))
    for draw in (0.0, 0.4, 0.9):
        assert pool.next(0.0, draw).party.id[0] == 1 + int(draw * 3)
    for _ in range(6):
        expected = pool.next(0.0, 0.0)
        assert pool.order(0.0, 0.0)[0] == expected
    assert CandidatePool().next(0.0, 0.5) is None


def test_telling_who_is_next_puts_nobody_on_trial():
    pool = pool_of(offer(1, 1), offer(2, 2))
    aside_s = pool.failed(party(1).id, "refused", 0.0, 0.5)
    assert pool.next(aside_s - 0.001, 0.0).party == party(2)
    assert [pool.next(aside_s, 0.0).party for _ in range(2)] == [party(1), party(1)]
    assert firsts(pool, 2, aside_s) == [1, 2]


def test_whom_a_connection_was_prepared_for_goes_first_where_the_draw_would_decide_and_nowhere_else():
    pool = pool_of(offer(1), offer(2), offer(3), offer(4, 2))
    assert numbers(pool.order(0.0, 0.0, prepared=party(3))) == [3, 1, 2, 4]
    assert numbers(pool.order(0.0, 0.0, prepared=party(3))) == [1, 2, 3, 4]
    assert numbers(pool.order(0.0, 0.0, prepared=party(4)))[0] == 2
    assert numbers(pool.order(0.0, 0.9, prepared=party(9)))[0] == 3


def crowd(count, hops=1):
    return [
        Offer(Party(AgentId(number.to_bytes(16, "big")), Instance(bytes(16)), bytes(32)), False, hops, 0)
        for number in range(count)
    ]


def set_half_aside(pool, offers):
    for each in offers[::2]:
        pool.failed(each.party.id, "refused", 0.0, 0.5)


def let_half_loop(pool, offers):
    for each in offers[::2]:
        pool.failed(each.party.id, IngressVerdict.LOOP, 0.0, 0.5)


def let_all_fail(pool, offers):
    for each in offers:
        pool.failed(each.party.id, "refused", 0.0, 0.5)


def do_nothing(pool, offers):
    """They stand as they come."""


@pytest.mark.parametrize("before", [do_nothing, set_half_aside, let_half_loop, let_all_fail])
def test_a_connection_costs_no_more_among_thousands_of_exits_than_among_some(before):
    def work(count):
        pool, offers = CandidatePool(), crowd(count)
        pool.update(offers, 0.0)
        before(pool, offers)
        pool.order(0.0, 0.3)
        return instructions(
            lambda: [
                pool.order(0.0, 0.3),
                pool.next(0.0, 0.3),
                pool.served(offers[0].party.id),
                pool.failed(offers[1].party.id, "refused", 0.0, 0.5),
                pool.name_of(offers[5].party.id),
            ]
        )

    assert work(10_000) <= 1.2 * work(4 * MAX_CANDIDATES)


def test_a_connection_that_has_tried_all_it_was_given_finds_the_others_in_turn():
    pool, offers = CandidatePool(), crowd(3 * MAX_CANDIDATES + 1)
    pool.update(offers, 0.0)
    tried = []
    for expected in (MAX_CANDIDATES, MAX_CANDIDATES, MAX_CANDIDATES, 1, 0):
        found = pool.order(0.0, 0.5, {each.party for each in tried})
        assert len(found) == expected
        tried += found
    assert {each.party for each in tried} == {each.party for each in offers}


def test_who_leads_back_here_is_not_tried_for_a_while_and_then_as_it_stands():
    pool = pool_of(offer(1), offer(2), offer(3, 2))
    pool.order(0.0, 0.0)
    pool.failed(party(2).id, "refused", 0.0, 0.5)
    pool.failed(party(2).id, IngressVerdict.LOOP, 1.0, 0.5)
    assert numbers(pool.order(1.0, 0.0)) == [1, 3]
    pool.failed(party(2).id, "refused", 5.9, 0.5)
    assert numbers(pool.order(6.0, 0.0)) == [1, 3, 2]
    assert numbers(pool.order(60.0, 0.0)) == [2, 1, 3]
