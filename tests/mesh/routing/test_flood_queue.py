import math

import pytest

from mesh.routing.flooding import FLOOD_PACE_PER_RECORD_S, FLOOD_PACE_S, MAX_FLOOD_PACE_S, FloodQueue
from mesh.trust.identity import AgentId

A, B, C, NEWS, MORE = (AgentId(bytes((number,)) * 16) for number in range(5))


@pytest.fixture
def flood() -> FloodQueue:
    flood = FloodQueue()
    for peer_id in (A, B, C):
        flood.peer_up(peer_id)
    return flood


def test_news_goes_at_once_to_all_but_who_told_it(flood):
    flood.spread(NEWS, A)
    assert flood.deadline() == -math.inf
    assert list(flood.take(0.0)) == [((B, C), (NEWS,))]
    assert flood.deadline() == math.inf
    assert list(flood.take(1.0)) == []


def test_what_follows_within_the_pace_goes_together(flood):
    flood.spread(NEWS)
    flood.take(5.0)
    flood.spread(NEWS, B)
    flood.spread(MORE, B)
    assert list(flood.take(5.0)) == []
    assert flood.deadline() == 5.0 + FLOOD_PACE_S
    assert list(flood.take(flood.deadline())) == [((A, C), (NEWS, MORE))]


@pytest.mark.parametrize(
    ("records", "pace_s"),
    [(1, FLOOD_PACE_S), (30, 30 * FLOOD_PACE_PER_RECORD_S), (1_000, MAX_FLOOD_PACE_S)],
)
def test_after_many_records_the_next_wait_longer(flood, records, pace_s):
    for number in range(records):
        flood.spread(AgentId(number.to_bytes(16, "big")), A)
    flood.take(5.0)
    flood.spread(NEWS)
    assert [peers for peers, _ in flood.take(5.0)] == [(A,)]
    assert flood.deadline() == 5.0 + pace_s


def test_a_peer_that_told_it_meanwhile_is_not_told(flood):
    flood.spread(NEWS)
    flood.told(B, NEWS)
    flood.told(AgentId(b"x" * 16), NEWS)
    assert list(flood.take(0.0)) == [((A, C), (NEWS,))]


def test_a_peer_that_lacks_other_news_gets_a_frame_of_its_own(flood):
    flood.spread(NEWS, A)
    flood.spread(MORE, B)
    told = dict(flood.take(0.0))
    assert told == {(A,): (MORE,), (B,): (NEWS,), (C,): (NEWS, MORE)}


def test_whoever_leaves_does_not_wait(flood):
    flood.spread(NEWS)
    flood.take(5.0)
    flood.spread(NEWS)
    flood.hurry()
    assert list(flood.take(5.0)) == [((A, B, C), (NEWS,))]


def test_a_link_that_is_gone_is_told_nothing_and_a_new_one_starts_afresh(flood):
    flood.spread(NEWS)
    flood.take(5.0)
    flood.spread(NEWS)
    flood.peer_down(A)
    flood.peer_down(A)
    flood.peer_up(A)
    flood.spread(MORE, B)
    assert dict(flood.take(5.0)) == {(A,): (MORE,)}
    assert dict(flood.take(6.0)) == {(B,): (NEWS,), (C,): (NEWS, MORE)}
