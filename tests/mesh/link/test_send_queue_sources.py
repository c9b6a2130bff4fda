"""Agents take turns on a link: what one lets wait delays nobody else, and only its own is marked and cut."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.link.data_lane import EARLY_BYTES, FRAME_OVERHEAD_BYTES, QUANTUM_BYTES, SOURCE_OVERHEAD_BYTES
from mesh.link.frames import Frame, FrameType, link_frame
from mesh.link.send_queue import SHARE_BURST_BYTES, SendQueue
from mesh.trust.identity import AgentId
from tests.mesh.link.send_queue_company import (
    CONTROL_TYPES,
    RECORD_TYPES,
    SEGMENT,
    A,
    B,
    C,
    filled,
    frame,
    pop_all,
    queue,
)

MIB = 1024 * 1024


def held(popped: Frame) -> int:
    return len(popped.body) + FRAME_OVERHEAD_BYTES


def shares(popped: list[Frame]) -> dict[AgentId, float]:
    """By source, of the memory that all these frames held."""
    sent: Counter[AgentId] = Counter()
    for each in popped:
        sent[each.source] += held(each)
    return {source: byte_count / sent.total() for source, byte_count in sent.items()}


def stranger(number: int) -> AgentId:
    return AgentId(number.to_bytes(16, "big"))


def contend(waiting: SendQueue, flood, rounds: int = 400) -> list[Frame]:
    """What leaves while A has one bulk flow and ``flood(n)`` gives what another lets wait in round n."""
    popped, count = [], 0
    for number in range(rounds):
        if count - sum(each.source == A for each in popped) < 8:
            waiting.push(frame(1, count, SEGMENT, source=A))
            count += 1
        for each in flood(number):
            waiting.push(each)
        popped += waiting.pop_batch(SEGMENT)
    return popped[len(popped) // 10 :]


FLOODS = {
    "short frames of made-up connections": lambda n: [
        frame(60 * n + each, 60 * n + each, 3900, source=B) for each in range(60)
    ],
    "many flows": lambda n: [frame((4 * n + each) % 200, n, 60_000, source=B) for each in range(4)],
    "one flow": lambda n: [frame(1, 4 * n + each, SEGMENT, source=B) for each in range(4)],
}


@pytest.mark.parametrize("kind", FLOODS)
def test_one_flow_gets_half_of_a_link_beside_an_agent_that_floods(kind):
    waiting = queue(limit_bytes=8 * MIB)
    of_each = shares(contend(waiting, FLOODS[kind]))
    assert 0.48 < of_each[A] < 0.55
    assert waiting.dropped > 100
    left = [popped.number for popped in pop_all(waiting) if popped.source == A]
    assert len(left) in (7, 8), "what another lets wait has cost A something"
    assert left == list(range(left[0], left[0] + len(left)))


def test_strangers_have_one_turn_together():
    def flood(n):
        return [frame(1, n, 3900, source=stranger(100 + 60 * n + each)) for each in range(60)]

    assert 0.48 < shares(contend(queue(limit_bytes=8 * MIB), flood))[A] < 0.55


def test_a_queue_that_knows_nobody_still_knows_its_own_agent():
    waiting = queue(limit_bytes=8 * MIB)
    waiting.know(frozenset())
    assert 0.48 < shares(contend(waiting, FLOODS["one flow"]))[A] < 0.55


@given(
    sources=st.lists(
        st.lists(st.tuples(st.integers(1, 4), st.integers(0, SEGMENT)), min_size=1, max_size=30),
        min_size=2,
        max_size=3,
    ),
)
def test_while_two_sources_wait_neither_gets_two_turns_more_than_the_other(sources):
    waiting = queue()
    left, sent = Counter(), Counter()
    for source, frames in zip((A, B, C), sources, strict=False):
        for number, (connection, byte_count) in enumerate(frames):
            waiting.push(frame(connection, number, byte_count, source=source))
            left[source] += 1
    for popped in pop_all(waiting):
        sent[popped.source] += held(popped)
        left[popped.source] -= 1
        busy = [sent[source] for source, frames in left.items() if frames]
        if len(busy) > 1:
            assert max(busy) - min(busy) <= 2 * QUANTUM_BYTES


def test_a_keystroke_waits_for_no_more_than_what_others_may_send_early():
    waiting = queue()
    for number in range(2000):
        waiting.push(frame(number, 0, SEGMENT if number % 2 else 3900, source=B))
    waiting.pop_batch(10 * SEGMENT)
    keystroke = frame(1, 0, 40, source=A)
    waiting.push(keystroke)
    before = pop_all(waiting).index(keystroke)
    assert before * (3900 + FRAME_OVERHEAD_BYTES) <= EARLY_BYTES + 3900 + FRAME_OVERHEAD_BYTES


def test_who_floods_short_frames_is_not_served_before_each_turn_of_others():
    waiting = queue()
    for number in range(2000):
        waiting.push(frame(number, 0, 3900, source=B))
    waiting.pop_batch(10 * SEGMENT)
    window = [frame(1, number, 8192, source=A) for number in range(6)]
    for each in window:
        waiting.push(each)
        waiting.push(frame(3000 + each.number, 0, 3900, source=B))
    before_last = pop_all(waiting).index(window[-1]) - 5
    assert before_last * (3900 + FRAME_OVERHEAD_BYTES) < QUANTUM_BYTES + 2 * EARLY_BYTES


def test_a_keystroke_goes_before_bulk_of_its_own_agent_and_of_others():
    waiting = filled(*(frame(flow, 0, SEGMENT, source=source) for flow in range(50) for source in (A, B)))
    waiting.pop_batch(20 * SEGMENT)
    for number in range(20):
        keystroke = frame(999, number, 40)
        waiting.push(keystroke)
        assert keystroke in [waiting.pop_batch(1)[0] for _ in range(2)]


def test_credit_that_was_used_outlives_what_is_dropped():
    waiting = queue(limit_bytes=4 * MIB)
    popped = []
    for number in range(3000):
        waiting.push(frame(1, number, SEGMENT, source=A))
        for each in range(20):  # none of them waits for long: each new one drops an older one
            waiting.push(frame(20 * number + each, 0, 3900, source=B))
        popped += waiting.pop_batch(8000)
    assert shares(popped[100:])[A] > 0.45


# Marks


def test_only_who_holds_more_than_its_part_is_marked():
    waiting = queue(mark_bytes=10 * SEGMENT)
    for number in range(30):
        waiting.push(frame(1, number, SEGMENT, source=B))
    for number in range(4):
        waiting.push(frame(1, number, SEGMENT, source=A))
    popped = waiting.pop_batch(8 * QUANTUM_BYTES)
    assert {(each.source, each.marked) for each in popped} == {(A, False), (B, True)}


def test_where_nobody_holds_more_than_its_part_nobody_is_marked():
    waiting = queue(mark_bytes=10 * QUANTUM_BYTES)
    for number in range(4):
        for source in (A, B):
            waiting.push(frame(1, number, SEGMENT, source=source))
    assert not any(each.marked for each in pop_all(waiting))


# What is dropped


def test_at_the_limit_who_holds_most_loses_and_nobody_else():
    waiting = queue(limit_bytes=20 * SEGMENT)
    for number in range(5):
        waiting.push(frame(1, number, SEGMENT, source=A))
    for number in range(2000):
        waiting.push(frame(number, 0, 3900, source=B))  # no flow of B is longer than A's
    popped = pop_all(waiting)
    assert [each.number for each in popped if each.source == A] == list(range(5))
    assert len(popped) == 2005 - waiting.dropped


def test_flows_and_sources_that_a_peer_makes_up_count_as_memory():
    waiting = queue(limit_bytes=MIB)
    for number in range(10_000):
        waiting.push(frame(number, 0, 0, source=stranger(number)))
    assert waiting.byte_count <= MIB
    assert len(waiting.data._sources) == 1
    assert waiting.frames < MIB / 1400
    pop_all(waiting)
    assert waiting.byte_count == 0


# Control


@pytest.mark.parametrize("kind", CONTROL_TYPES)
def test_nobody_fills_the_lane_of_control_frames(kind):
    waiting = queue()
    for number in range(100_000):
        waiting.push(frame(1, number, 60, source=B, frame_type=kind))
    assert waiting.byte_count < 2.1 * MIB
    for number in range(1000):
        waiting.push(frame(1, number, 60, source=A, frame_type=kind))
    first = waiting.pop_batch(2000 * (60 + FRAME_OVERHEAD_BYTES))
    assert 0.45 < shares(first)[A] < 0.55
    assert sum(each.source == A for each in [*first, *pop_all(waiting)]) == 1000


def test_strangers_have_one_place_in_the_lane_of_control_frames():
    waiting = queue()
    for number in range(100_000):
        waiting.push(frame(1, number, 60, source=stranger(number), frame_type=FrameType.ACK))
    waiting.push(frame(1, 0, 60, source=C, frame_type=FrameType.ACK))
    assert C in shares(waiting.pop_batch(2 * 4096))


def test_an_agents_control_frames_keep_their_order():
    waiting = queue()
    for number in range(200):
        for source in (A, B):
            waiting.push(frame(1, number, 60, source=source, frame_type=FrameType.ACK))
    popped = pop_all(waiting)
    for source in (A, B):
        assert [each.number for each in popped if each.source == source] == list(range(200))
    assert waiting.byte_count == 0


# Shares of the lanes


def share_of(kinds, waiting: SendQueue, byte_count: int = 20 * MIB) -> float:
    popped = waiting.pop_batch(byte_count)
    return sum(held(each) for each in popped if each.type in kinds) / sum(map(held, popped))


def test_control_gets_a_quarter_while_data_waits_and_goes_first_within_it():
    waiting = queue(control_limit_bytes=400 * MIB)
    for number in range(800):
        waiting.push(frame(1, number, SEGMENT))
    for number in range(200_000):
        waiting.push(frame(1, number, 60, frame_type=FrameType.ACK))
    first = waiting.pop_batch(SHARE_BURST_BYTES)
    assert {each.type for each in first} == {FrameType.ACK}
    assert 0.24 < share_of({FrameType.ACK}, waiting) < 0.26


@pytest.mark.parametrize("kind", CONTROL_TYPES)
def test_short_data_waits_for_little_control_though_none_was_sent_for_long(kind):
    waiting = queue()
    for number in range(2000):
        waiting.push(frame(number, 0, 1280, source=B, frame_type=kind))
    waiting.push(frame(1, 0, 56, source=A))
    popped = waiting.pop_batch(28 * 1024)
    assert FrameType.DATA in {each.type for each in popped}


@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_records_get_a_quarter_while_data_waits_and_all_of_it_else(kind):
    waiting = queue()
    for number in range(400):
        waiting.push(link_frame(kind, bytes(32_000)))
        waiting.push(frame(1, number, SEGMENT))
    assert 0.24 < share_of({kind}, waiting) < 0.26
    rest = pop_all(waiting)
    last_data = max(place for place, each in enumerate(rest) if each.type == FrameType.DATA)
    assert {each.type for each in rest[last_data + 1 :]} == {kind}
    assert waiting.byte_count == 0


def test_all_lanes_together_leave_data_more_than_half():
    waiting = queue(control_limit_bytes=400 * MIB)
    for number in range(800):
        waiting.push(frame(1, number, SEGMENT))
        waiting.push(link_frame(FrameType.RECORDS, bytes(60_000)))
    for number in range(200_000):
        waiting.push(frame(1, number, 60, frame_type=FrameType.ACK))
    assert 0.55 < share_of({FrameType.DATA}, waiting) < 0.65


def test_records_get_their_way_where_control_never_ends():
    waiting = queue(control_limit_bytes=400 * MIB)
    for number in range(200_000):
        waiting.push(frame(1, number, 60, frame_type=FrameType.ACK))
    for _ in range(400):
        waiting.push(link_frame(FrameType.RECORDS, bytes(60_000)))
    assert 0.7 < share_of({FrameType.RECORDS}, waiting, 10 * MIB) < 0.78


def test_bursts_that_leave_before_the_next_get_no_more_than_a_quarter_either():
    waiting = queue()
    sent: Counter[int] = Counter()
    for number in range(200):
        waiting.push(frame(1, number, SEGMENT))
        waiting.push(frame(1, 1000 + number, SEGMENT))
        for each in range(100):
            waiting.push(frame(1, 100 * number + each, 60, frame_type=FrameType.ACK))
        for popped in waiting.pop_batch(SEGMENT):
            sent[popped.type] += held(popped)
    assert sent[FrameType.ACK] < 0.27 * sent.total()


def test_urgent_frames_wait_for_nothing():
    waiting = filled(
        frame(1, 0, SEGMENT), frame(1, frame_type=FrameType.ACK), link_frame(FrameType.RECORDS, b"")
    )
    urgent = [
        FrameType.PING,
        FrameType.PONG,
        FrameType.CHALLENGE,
        FrameType.CHALLENGE_ANSWER,
        FrameType.CLOSE,
        FrameType.RETIRE,
    ]
    for kind in urgent:
        waiting.push(link_frame(kind, b""))
    assert [each.type for each in waiting.pop_batch(len(urgent) * FRAME_OVERHEAD_BYTES)] == urgent


def test_what_lanes_hold_is_counted_and_given_back():
    waiting = queue()
    waiting.push(link_frame(FrameType.PAGES, bytes(1000)))
    waiting.push(frame(1, frame_type=FrameType.ACK))
    waiting.push(frame(1, 0, 10))
    assert waiting.control_bytes == 1000 + 2 * FRAME_OVERHEAD_BYTES + 1000
    assert waiting.byte_count > waiting.control_bytes + SOURCE_OVERHEAD_BYTES
    waiting.clear()
    assert (waiting.byte_count, waiting.frames, waiting.pop_batch(1)) == (0, 0, [])
