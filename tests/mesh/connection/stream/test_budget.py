"""First windows: who may have one, how large, and that they never exceed the limit."""

import pytest

from mesh.connection.stream.budget import LARGE_BYTES, LATE_COUNTS_S, UNKNOWN_BYTES_PER_S, StreamBudget
from mesh.connection.stream.rtt import MAX_TIMEOUT_S
from mesh.connection.stream.window import DEFAULT_LIMITS, INITIAL_WINDOW_BYTES

KIB, MIB = 1024, 1024 * 1024
FLOOR = DEFAULT_LIMITS.floor


def opened(budget, ingress):
    """How many connections one ingress can open that only stay."""
    count = 0
    while budget.take_first_window(ingress):
        count += 1
    return count


def test_a_connection_starts_with_the_whole_window_while_there_is_room_and_with_the_floor_beyond():
    budget = StreamBudget(MIB)
    sizes = [budget.take_first_window("a") for _ in range(6)]
    assert sizes == [INITIAL_WINDOW_BYTES] * 4 + [FLOOR] * 2
    assert budget.reserved_bytes == sum(sizes)


@pytest.mark.parametrize("limit", [MIB, 8 * MIB, 256 * MIB])
def test_first_windows_of_many_never_exceed_the_limit(limit):
    budget = StreamBudget(limit)
    for ingress in range(20):
        opened(budget, ingress)
    assert limit - FLOOR < budget.reserved_bytes <= limit


def test_one_ingress_leaves_room_for_others():
    budget = StreamBudget(8 * MIB)
    assert opened(budget, "a") > 300
    assert budget.free_bytes > 512 * KIB
    assert opened(budget, "b") > 30


def test_an_ingress_that_has_none_may_take_the_last():
    budget = StreamBudget(8 * MIB)
    budget.reserve(8 * MIB - FLOOR)
    assert budget.take_first_window("a") == FLOOR
    assert budget.take_first_window("b") == 0


def test_the_default_has_room_for_ten_thousand_idle_connections_of_one_ingress():
    budget = StreamBudget(256 * MIB)
    assert opened(budget, "a") > 10_000


def test_what_is_given_back_may_be_taken_again():
    budget = StreamBudget(MIB)
    first = opened(budget, "a")
    budget.release(budget.reserved_bytes)
    for _ in range(first):
        budget.leave_first_window("a")
    assert opened(budget, "a") == first


def test_a_late_segment_counts_for_a_while_and_the_latest_of_all_counts():
    budget = StreamBudget(80)
    assert budget.late_s(10.0) == 0.0
    budget.segment_was_late(1.0, 10.0)
    budget.segment_was_late(0.5, 11.0)
    assert budget.late_s(10.0 + LATE_COUNTS_S - 0.01) == 1.0
    assert budget.late_s(10.0 + LATE_COUNTS_S) == 0.0
    budget.segment_was_late(3.0, 20.0)
    assert budget.late_s(20.0 + 5.9) == 3.0  # twice as long as it took
    budget.segment_was_late(0.5, 27.0)
    assert budget.late_s(27.0) == 0.5


def test_who_knows_no_path_waits_for_twice_what_is_late_within_bounds():
    budget = StreamBudget(80)
    assert budget.queue_s(UNKNOWN_BYTES_PER_S // 2, 10.0) == 0.5
    budget.segment_was_late(1.0, 10.0)
    assert budget.queue_s(UNKNOWN_BYTES_PER_S // 2, 10.0) == 2.0
    assert budget.queue_s(3 * UNKNOWN_BYTES_PER_S, 10.0) == 3.0
    assert budget.queue_s(LARGE_BYTES, 10.0) == 2.0
    assert budget.queue_s(LARGE_BYTES - 1, 10.0) == 1.0  # a typist, whatever others make up
    budget.segment_was_late(8.0, 11.0)
    assert budget.queue_s(LARGE_BYTES, 11.0) == MAX_TIMEOUT_S
