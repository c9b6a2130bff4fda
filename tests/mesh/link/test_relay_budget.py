"""Several send queues, one budget."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mesh.link.frames import FrameType
from mesh.link.relay_budget import GREED, RelayBudget
from mesh.link.send_queue import SendQueue
from tests.mesh.link.send_queue_company import PLENTY, SEGMENT, A, frame

numbers = itertools.count()


def fill(waiting: SendQueue, byte_count: int, connection: int = 1) -> None:
    for _ in range(byte_count // SEGMENT + 1):
        waiting.push(frame(connection, next(numbers), SEGMENT))


def queues(count: int, limit_bytes: int) -> tuple[RelayBudget, list[SendQueue]]:
    budget = RelayBudget(limit_bytes)
    return budget, [SendQueue(budget=budget, mark_bytes=PLENTY, own_id=A) for _ in range(count)]


def test_a_full_queue_leaves_a_third_free_for_others():
    budget, (slow, other) = queues(2, 30_000_000)
    fill(slow, 60_000_000)
    assert 19_000_000 < slow.byte_count <= 20_000_000
    for number in range(100):
        other.push(frame(2, number, SEGMENT))
    assert other.frames == 100
    assert other.dropped == 0
    assert slow.dropped == budget.dropped_frames > 0


def test_queues_that_all_want_more_get_equal_shares_and_leave_as_much_free():
    limit_bytes = 70_000_000
    budget, all_queues = queues(3, limit_bytes)
    for _ in range(10):
        for each in all_queues:
            fill(each, 10_000_000)
            assert budget.held_bytes <= limit_bytes
    share = limit_bytes * GREED // (1 + 3 * GREED)
    for each in all_queues:
        assert share * 0.9 < each.byte_count <= share * 1.05
    assert budget.held_bytes == sum(each.byte_count for each in all_queues)


def test_one_that_came_first_gives_way_when_it_takes_more():
    _, (first, second) = queues(2, 30_000_000)
    fill(first, 60_000_000)
    fill(second, 60_000_000)
    before = first.byte_count
    fill(first, 1_000_000)
    assert first.byte_count < before


def test_a_smaller_limit_takes_from_the_fullest_what_it_does_not_send():
    """One that hardly moves leaves room for the others all the same."""
    budget, (slow, slower, other, idle) = queues(4, 64_000_000)
    fill(slower, 5_000_000)
    fill(slow, 64_000_000)
    other.push(frame(2, next(numbers), SEGMENT))
    held = slower.byte_count
    budget.resize(15_000_000)
    assert budget.held_bytes == slow.byte_count + slower.byte_count + other.byte_count <= 15_000_000
    assert slow.byte_count <= 15_000_000 * GREED // (1 + 3 * GREED)
    assert held > slower.byte_count > slow.byte_count - SEGMENT, "nobody pays for all"
    assert (other.frames, other.dropped) == (1, 0)
    assert budget.dropped_frames == slow.dropped + slower.dropped
    for _ in range(20):
        for each in (other, idle):
            each.push(frame(2, next(numbers), SEGMENT))
    assert (other.dropped, idle.dropped) == (0, 0)
    for each in (slow, slower, other, idle):
        assert len(each.pop_batch(64_000_000)) > 0 == each.frames
    assert budget.held_bytes == 0


def test_a_limit_that_is_smaller_but_large_enough_drops_nothing():
    budget, (slow, other) = queues(2, 64_000_000)
    fill(slow, 20_000_000)
    fill(other, 1_000_000)
    budget.resize(32_000_000)
    assert budget.dropped_frames == 0
    del slow, other
    budget.resize(1_000_000)


@given(moves=st.lists(st.tuples(st.integers(0, 3), st.integers(0, SEGMENT), st.booleans()), max_size=300))
def test_all_queues_together_never_hold_more_than_the_budget(moves):
    budget, all_queues = queues(4, 500_000)
    for number, (chosen, byte_count, pops) in enumerate(moves):
        waiting = all_queues[chosen]
        if pops:
            waiting.pop_batch(byte_count)
        else:
            for copy in range(3):
                waiting.push(frame(number % 5, 3 * number + copy, byte_count))
        assert budget.held_bytes == sum(each.data.byte_count for each in all_queues) <= budget.limit_bytes
    for each in all_queues:
        each.clear()
    assert budget.held_bytes == 0


def test_the_control_lane_takes_nothing_of_the_budget_and_passes_when_it_is_used_up():
    budget, (full, other) = queues(2, 1_000_000)
    fill(full, 2_000_000)
    fill(other, 2_000_000)
    held = budget.held_bytes
    opening = frame(9, 0, 200, frame_type=FrameType.OPEN)
    for waiting in (full, other):
        waiting.push(opening)
        assert waiting.pop_batch(1) == [opening]
    assert budget.held_bytes == held
