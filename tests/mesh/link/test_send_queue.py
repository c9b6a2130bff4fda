import sys
from collections import defaultdict, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mesh.link import control_lane
from mesh.link.data_lane import (
    EARLY_BYTES,
    FLOW_OVERHEAD_BYTES,
    FRAME_OVERHEAD_BYTES,
    QUANTUM_BYTES,
    SHORT_BODY_BYTES,
    SOURCE_OVERHEAD_BYTES,
    SOURCE_TURN_BYTES,
)
from mesh.link.frames import FrameType, link_frame
from tests.mesh.link.send_queue_company import (
    CONTROL_TYPES,
    LINK_OWN,
    PLENTY,
    SEGMENT,
    A,
    B,
    C,
    D,
    filled,
    frame,
    pop_all,
    pop_names,
    queue,
)


def test_constants():
    assert FRAME_OVERHEAD_BYTES == 200
    assert FLOW_OVERHEAD_BYTES == 1200
    assert SOURCE_OVERHEAD_BYTES == 2000
    assert control_lane.CONTROL_SOURCE_BYTES == 1000
    assert control_lane.CONTROL_TURN_BYTES == 4096
    assert QUANTUM_BYTES == 65_752
    assert SHORT_BODY_BYTES == 4000
    assert EARLY_BYTES == SOURCE_TURN_BYTES == 8400
    assert control_lane.DEFAULT_CONTROL_LIMIT_BYTES == 4 * 1024 * 1024


def test_the_overheads_are_about_what_python_holds():
    empty = frame()
    held = sys.getsizeof(empty) + sys.getsizeof(empty.body) + sys.getsizeof(2**63) * 2
    assert held * 0.8 < FRAME_OVERHEAD_BYTES < held * 1.5
    assert sys.getsizeof(deque()) < FLOW_OVERHEAD_BYTES < sys.getsizeof(deque()) * 2


def test_an_empty_queue_gives_nothing():
    waiting = queue()
    assert waiting.pop_batch(1000) == []
    assert (waiting.byte_count, waiting.frames, waiting.dropped) == (0, 0, 0)


@pytest.mark.parametrize("frame_type", [*CONTROL_TYPES, *LINK_OWN])
def test_control_goes_before_data(frame_type):
    control = frame(9, frame_type=frame_type) if frame_type >= 0x10 else link_frame(frame_type, b"")
    waiting = filled(frame(1), frame(2, frame_type=FrameType.FIN), control)
    assert waiting.pop_batch(1) == [control]


def test_control_keeps_its_order_behind_the_links_own():
    frames = [frame(number, frame_type=FrameType.ACK) for number in range(5)]
    ping = link_frame(FrameType.PING, b"")
    assert filled(*frames, ping).pop_batch(PLENTY) == [ping, *frames]


def test_fin_stays_behind_the_data_of_its_flow():
    frames = [frame(1, 0), frame(1, 1), frame(1, 2, frame_type=FrameType.FIN)]
    assert pop_all(filled(*frames)) == frames


def test_bulk_flows_take_turns():
    waiting = filled(*(frame(connection, number, SEGMENT) for connection in (1, 2, 3) for number in range(3)))
    assert pop_names(waiting) == [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2)]


def test_a_turn_is_as_many_small_frames_as_make_a_large_one_and_an_overdraft_is_paid_back():
    small = [frame(1, number, 20_000) for number in range(12)]
    large = [frame(2, number, SEGMENT) for number in range(3)]
    order = [connection for connection, _ in pop_names(filled(*small, *large))]
    assert order == [1, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1]


def test_a_keystroke_overtakes_bulk_that_was_there_before():
    bulk = [frame(connection, number, SEGMENT) for number in range(4) for connection in range(50)]
    waiting = filled(*bulk)
    waiting.pop_batch(60 * SEGMENT)
    keystroke = frame(999, 0, 1)
    waiting.push(keystroke)
    assert waiting.pop_batch(1) == [keystroke]


def test_an_interactive_flow_is_never_kept_waiting_by_bulk():
    waiting = filled(*(frame(connection, number, SEGMENT) for number in range(4) for connection in range(99)))
    for number in range(100):
        waiting.pop_batch(SEGMENT)
        question = frame(999, number, 100)
        waiting.push(question)
        assert waiting.pop_batch(1) == [question]


def test_all_short_frames_of_an_answer_go_early_and_in_order():
    waiting = filled(*(frame(connection, 0, SEGMENT) for connection in range(10)))
    answer = [frame(999, number, 2000) for number in range(5)]
    for each in answer:
        waiting.push(each)
    assert [waiting.pop_batch(1)[0] for _ in range(5)] == answer


def test_interactive_flows_take_turns_among_themselves():
    waiting = filled(*(frame(connection, 0, SEGMENT) for connection in range(10)))
    for number in range(3):
        for connection in (100, 200):
            waiting.push(frame(connection, number, 100))
    assert pop_names(waiting)[:6] == [(100, 0), (200, 0), (100, 1), (200, 1), (100, 2), (200, 2)]


def test_a_long_frame_waits_for_its_turn_and_the_short_ones_behind_it_too():
    waiting = filled(*(frame(connection, 0, SEGMENT) for connection in range(3)))
    for number, byte_count in enumerate([100, SHORT_BODY_BYTES + 1, 100]):
        waiting.push(frame(9, number, byte_count))
    assert pop_names(waiting) == [(9, 0), (0, 0), (1, 0), (2, 0), (9, 1), (9, 2)]


def test_flows_of_short_frames_get_no_more_than_their_turn_early():
    waiting = filled(*(frame(1, number, SEGMENT) for number in range(20)))
    bulk_sent = 0
    for number in range(3000):
        for connection in (2, 3):
            waiting.push(frame(connection, number, 1000))
        for popped in waiting.pop_batch(1) + waiting.pop_batch(1):
            bulk_sent += popped.connection == 1
    assert bulk_sent == 20


def test_a_row_of_short_frames_goes_early_for_one_turn_only():
    waiting = filled(frame(1, 0, SEGMENT), *(frame(2, number, 1000) for number in range(100)))
    order = [connection for connection, _ in pop_names(waiting)]
    assert order.index(1) == QUANTUM_BYTES // (1000 + FRAME_OVERHEAD_BYTES) + 1


@given(
    flows=st.lists(st.lists(st.integers(0, SEGMENT), min_size=1, max_size=30), min_size=2, max_size=5),
)
def test_while_two_flows_wait_neither_gets_two_quanta_more_than_the_other(flows):
    waiting = queue()
    for connection, sizes in enumerate(flows):
        for number, byte_count in enumerate(sizes):
            waiting.push(frame(connection, number, byte_count))
    left = {connection: len(sizes) for connection, sizes in enumerate(flows)}
    sent = dict.fromkeys(left, 0)
    for popped in pop_all(waiting):
        sent[popped.connection] += len(popped.body) + FRAME_OVERHEAD_BYTES
        left[popped.connection] -= 1
        busy = [sent[connection] for connection, frames in left.items() if frames]
        if len(busy) > 1:
            assert max(busy) - min(busy) <= 2 * QUANTUM_BYTES


# Repetitions


def test_a_repetition_of_what_waits_is_not_taken():
    waiting = filled(*(frame(connection, number, 100) for connection in (1, 2) for number in range(5)))
    byte_count = waiting.byte_count
    for number in range(5):
        waiting.push(frame(2, number, 100))
    assert (waiting.frames, waiting.byte_count, waiting.dropped) == (10, byte_count, 0)


def test_a_repetition_of_what_has_left_or_was_dropped_is_taken():
    waiting = filled(*(frame(1, number, 100) for number in range(5)))
    waiting.pop_batch(600)
    assert waiting.frames == 3
    for number in range(5):
        waiting.push(frame(1, number, 100))
    assert [number for _, number in pop_names(waiting)] == [2, 3, 4, 0, 1]


def test_a_repetition_of_what_waits_behind_a_gap_is_taken():
    waiting = filled(frame(1, 0, 100), frame(1, 2, 100))
    waiting.push(frame(1, 2, 100))
    assert waiting.frames == 3


def test_another_body_under_a_number_that_waits_is_taken():
    first, forged = frame(1, 0, 100), frame(1, 0, 101)
    assert pop_all(filled(forged, first)) == [forged, first]


def test_directions_and_destinations_are_flows_of_their_own():
    variants = [{}, {"from_exit": True}, {"destination": C}]
    frames = [frame(1, number, SEGMENT, **variant) for variant in variants for number in range(2)]
    first_turns = filled(*frames).pop_batch(3 * SEGMENT)
    assert [popped.number for popped in first_turns] == [0, 0, 0]


def test_a_batch_ends_once_it_is_large_enough():
    waiting = filled(*(frame(1, number, 800) for number in range(10)))
    assert len(waiting.pop_batch(2999)) == 3
    assert len(waiting.pop_batch(3001)) == 4
    assert waiting.frames == 3


def test_bytes_count_memory_held():
    waiting = filled(frame(1, 0, 100), frame(1, 1, 50), frame(2), link_frame(FrameType.PING, b"12"))
    assert (
        waiting.byte_count
        == 100 + 50 + 2 + 4 * FRAME_OVERHEAD_BYTES + 2 * FLOW_OVERHEAD_BYTES + SOURCE_OVERHEAD_BYTES
    )
    assert waiting.frames == 4


def test_data_is_marked_where_too_much_waits_as_it_leaves():
    held = 1000 + FRAME_OVERHEAD_BYTES
    waiting = filled(
        *(frame(1, number, 1000) for number in range(4)),
        frame(1, 4, 1000, frame_type=FrameType.FIN),
        mark_bytes=SOURCE_OVERHEAD_BYTES + FLOW_OVERHEAD_BYTES + 3 * held,
    )
    assert [popped.marked for popped in pop_all(waiting)] == [True, True, False, False, False]


def test_fin_is_marked_too_and_control_never():
    waiting = filled(
        frame(1, frame_type=FrameType.FIN),
        frame(2, frame_type=FrameType.ACK),
        link_frame(FrameType.PING, b""),
        mark_bytes=0,
    )
    assert [(popped.type, popped.marked) for popped in pop_all(waiting)] == [
        (FrameType.PING, False),
        (FrameType.ACK, False),
        (FrameType.FIN, True),
    ]


def test_a_mark_made_before_stays():
    (popped,) = pop_all(filled(frame().with_mark()))
    assert popped.marked


class QueueMachine(RuleBasedStateMachine):
    """Pushes and pops in any order, against what the accounts and the order within a flow must be."""

    limit_bytes = 300_000

    def __init__(self) -> None:
        super().__init__()
        self.queue = queue(self.limit_bytes, 100_000, control_limit_bytes=5000)
        self.numbers: defaultdict[int, int] = defaultdict(int)
        self.last: dict[int, int] = {}
        self.pushed = self.popped = 0

    @property
    def flows(self):
        return [flow for source in self.queue.data._sources.values() for flow in source.flows.values()]

    @rule(
        connection=st.integers(0, 6),
        byte_count=st.integers(0, 500) | st.integers(0, SEGMENT),
        count=st.integers(1, 10),
    )
    def push_data(self, connection, byte_count, count):
        source = (A, B, C, D)[connection % 4]
        for _ in range(count):
            self.queue.push(frame(connection, self.numbers[connection], byte_count, source=source))
            self.numbers[connection] += 1
        self.pushed += count

    @rule(position=st.integers(0, 100))
    def push_what_waits(self, position):
        waiting = [flow.frames[0] for flow in self.flows if flow.frames]
        if waiting:
            self.queue.push(waiting[position % len(waiting)])

    @rule(kind=st.sampled_from([*LINK_OWN, *CONTROL_TYPES]), byte_count=st.integers(0, 500))
    def push_control(self, kind, byte_count):
        body = bytes(byte_count)
        source = (A, B, C, D)[byte_count % 4]
        self.queue.push(
            link_frame(kind, body)
            if kind < FrameType.OPEN
            else frame(byte_count=byte_count, frame_type=kind, source=source)
        )
        self.pushed += 1

    @rule(byte_count=st.integers(1, 400_000))
    def pop(self, byte_count):
        waited = self.queue.frames
        batch = self.queue.pop_batch(byte_count)
        assert bool(batch) == bool(waited)
        self.popped += len(batch)
        for popped in batch:
            if popped.type == FrameType.DATA:
                assert popped.number > self.last.get(popped.connection, -1)
                self.last[popped.connection] = popped.number

    @invariant()
    def accounts_balance(self):
        assert self.pushed == self.popped + self.queue.dropped + self.queue.frames
        lane = self.queue.data
        assert lane.byte_count <= self.limit_bytes
        sources = lane._sources
        assert lane.byte_count == sum(source.byte_count for source in sources.values())
        assert lane.frames == sum(source.frames for source in sources.values())
        assert lane._waiting_sources == sum(source.frames > 0 for source in sources.values())
        assert sorted(map(id, sources.values())) == sorted(map(id, lane._turns))
        assert {id(source) for source in sources.values() if source.is_early} == set(map(id, lane._early))
        for source in sources.values():
            flows = source.flows.values()
            held = sum(flow.byte_count for flow in flows)
            assert source.byte_count == held + SOURCE_OVERHEAD_BYTES
            assert source.frames == sum(len(flow.frames) for flow in flows)
            assert sorted(map(id, flows)) == sorted(map(id, source.turns))
            assert {id(flow) for flow in flows if flow.is_early} == set(map(id, source.early))
            assert all(flow.frames for flow in source.early)
            assert source.is_early or not source.early or source.early_credit <= 0
        assert self.queue._budget.held_bytes == lane.byte_count
        assert self.queue._budget.dropped_frames == self.queue.dropped
        if not self.queue.frames:
            assert self.queue.byte_count == 0

    @rule()
    def clear(self):
        self.popped += self.queue.frames
        self.queue.clear()
        assert self.queue.byte_count == self.queue.frames == 0


TestQueueMachine = QueueMachine.TestCase
