"""Round-trip times, windows and the shared budget."""

import sys

import pytest

from mesh.connection.stream.budget import COMPANY_S, StreamBudget
from mesh.connection.stream.rtt import INITIAL_TIMEOUT_S, MAX_TIMEOUT_S, MIN_TIMEOUT_S, RoundTrip
from mesh.connection.stream.window import (
    CROWDED_QUEUE_BYTES,
    INITIAL_WINDOW_BYTES,
    LARGEST_ACK_BYTES,
    SMALLEST_ACK_BYTES,
    ReceiveWindow,
    WindowLimits,
)
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import make_stream, sessions

KIB = 1024
MIB = 1024 * KIB
FLOOR, CAP = 16 * KIB, 8 * MIB
PLENTY = 1 << 40


# -- round trips ---------------------------------------------------------------------------------------------


def test_timeouts_follow_rfc_6298():
    rtt = RoundTrip()
    assert rtt.timeout_s == INITIAL_TIMEOUT_S == 1.0
    rtt.sample(0.5, 0.0)
    assert rtt.smoothed_s == 0.5
    assert rtt.timeout_s == pytest.approx(0.5 + 4 * 0.25 + 0.025)
    rtt.sample(0.3, 1.0)
    assert rtt.smoothed_s == pytest.approx(7 / 8 * 0.5 + 1 / 8 * 0.3)
    assert rtt.timeout_s == pytest.approx(0.475 + 4 * (3 / 4 * 0.25 + 1 / 4 * 0.2) + 0.025)


def test_timeouts_have_bounds():
    rtt = RoundTrip()
    for second in range(50):
        rtt.sample(0.001, float(second))
    assert rtt.timeout_s == MIN_TIMEOUT_S
    assert [rtt.backed_off_s(n) for n in (0, 1, 2, 3, 4, 5, 1000)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    rtt.sample(100.0, 51.0)
    assert rtt.timeout_s == MAX_TIMEOUT_S


def test_the_minimum_is_of_the_last_ten_to_twenty_seconds():
    rtt = RoundTrip()
    assert rtt.minimum_s == 0.0
    rtt.sample(0.010, 0.0)
    rtt.sample(0.050, 5.0)
    assert rtt.minimum_s == 0.010
    rtt.sample(0.040, 12.0)
    assert rtt.minimum_s == 0.010  # of the bucket before
    rtt.sample(0.045, 23.0)
    assert rtt.minimum_s == 0.040
    rtt.sample(0.060, 99.0)
    assert rtt.minimum_s == 0.060  # both buckets are stale


def test_a_probe_overtakes_segments_so_timers_go_by_it_only_before_the_first():
    rtt = RoundTrip()
    rtt.sample_of_probe(0.02, 0.0)
    assert (rtt.smoothed_s, rtt.minimum_s, rtt.is_of_segments) == (0.02, 0.02, False)
    rtt.sample(1.5, 1.0)
    assert (rtt.smoothed_s, rtt.minimum_s, rtt.is_of_segments) == (1.5, 0.02, True)
    rtt.sample_of_probe(0.01, 2.0)
    assert (rtt.smoothed_s, rtt.minimum_s) == (1.5, 0.01)


def test_a_sample_that_claims_no_time_counts_as_some():
    rtt = RoundTrip()
    rtt.sample(-3.0, 0.0)
    assert 0 < rtt.minimum_s < 1e-5


def test_the_tail_is_probed_after_two_round_trips_and_the_delay_of_an_ack():
    rtt = RoundTrip()
    assert rtt.tail_probe_s == INITIAL_TIMEOUT_S
    rtt.sample(0.1, 0.0)
    assert rtt.tail_probe_s == pytest.approx(0.1 + 4 * 0.05 + 0.035)  # as long as it may vary
    for second in range(1, 50):
        rtt.sample(0.1, float(second))
    assert rtt.tail_probe_s == pytest.approx(0.2 + 0.035)


# -- the receive window --------------------------------------------------------------------------------------


def feed(window, *, rate, rtt, seconds, start=0.0, received=0, in_company=False):
    """Bytes at ``rate`` for ``seconds``, reported every millisecond."""
    for step in range(1, int(seconds * 1000) + 1):
        received += int(rate / 1000)
        window.update(received, start + step / 1000, rtt, PLENTY, in_company=in_company)
    return received


def test_the_window_follows_the_bandwidth_delay_product():
    window = ReceiveWindow(WindowLimits())
    assert window.size_bytes == INITIAL_WINDOW_BYTES
    feed(window, rate=10 * MIB, rtt=0.1, seconds=1)
    assert window.size_bytes == pytest.approx(2 * MIB + 64 * KIB, rel=0.05)  # twice 10 MiB/s * 100 ms


def test_the_window_does_not_grow_by_a_longer_queue():
    # 1 MiB/s: however long the queue, the smallest round-trip time is 20 ms.
    window = ReceiveWindow(WindowLimits())
    feed(window, rate=MIB, rtt=0.02, seconds=20)
    assert window.size_bytes <= 4 * MIB * 0.021


def test_little_traffic_does_not_open_the_window():
    window = ReceiveWindow(WindowLimits())
    feed(window, rate=100 * KIB, rtt=0.1, seconds=5)
    assert window.size_bytes == INITIAL_WINDOW_BYTES


def test_the_window_has_a_cap():
    window = ReceiveWindow(WindowLimits())
    feed(window, rate=1000 * MIB, rtt=0.1, seconds=1)
    assert window.size_bytes == CAP
    assert window.ack_bytes == LARGEST_ACK_BYTES


def test_a_short_path_counts_as_two_milliseconds():
    window = ReceiveWindow(WindowLimits())
    feed(window, rate=500 * MIB, rtt=0.0, seconds=0.1)
    assert window.size_bytes == pytest.approx(2 * MIB + 64 * KIB, rel=0.1)


def test_on_a_short_path_in_company_a_round_and_a_short_queue_are_under_way():
    window = ReceiveWindow(WindowLimits())
    received = feed(window, rate=500 * MIB, rtt=0.001, seconds=0.1)
    assert window.size_bytes > 2 * MIB
    feed(window, rate=500 * MIB, rtt=0.001, seconds=0.1, start=0.1, received=received, in_company=True)
    assert window.size_bytes == pytest.approx(500 * KIB + CROWDED_QUEUE_BYTES, rel=0.1)


def test_what_company_takes_from_a_window_comes_back():
    window = ReceiveWindow(WindowLimits())
    received = feed(window, rate=500 * MIB, rtt=0.001, seconds=0.1, in_company=True)
    assert window.size_bytes < MIB
    feed(window, rate=500 * MIB, rtt=0.001, seconds=0.01, start=0.1, received=received)
    assert window.size_bytes > 2 * MIB


@pytest.mark.parametrize("rtt", [0.0, 0.01, 0.1])
def test_company_does_not_matter_where_the_path_is_long_or_not_measured(rtt):
    alone, beside = ReceiveWindow(WindowLimits()), ReceiveWindow(WindowLimits())
    feed(alone, rate=20 * MIB, rtt=rtt, seconds=1)
    feed(beside, rate=20 * MIB, rtt=rtt, seconds=1, in_company=True)
    assert beside.size_bytes == alone.size_bytes


def test_a_stream_that_rests_in_company_keeps_the_window_it_began_with():
    window = ReceiveWindow(WindowLimits())
    received = feed(window, rate=500 * MIB, rtt=0.001, seconds=0.1, in_company=True)
    feed(window, rate=KIB, rtt=0.001, seconds=1, start=0.1, received=received, in_company=True)
    assert INITIAL_WINDOW_BYTES <= window.size_bytes < INITIAL_WINDOW_BYTES + 16


def test_a_crowded_window_opens_by_three_each_round_until_there_is_a_queue():
    window = ReceiveWindow(WindowLimits())
    received = 0
    sizes = []
    for step in range(1, 5):  # each round all that the window lets through
        received += window.size_bytes
        window.update(received, step * 0.001, 0.001, PLENTY, in_company=True)
        sizes.append(window.size_bytes)
    # The first report begins the first round.
    assert sizes == [64 * KIB, 192 * KIB, 512 * KIB, 832 * KIB]


def test_a_used_up_budget_shrinks_the_window_to_its_floor():
    window = ReceiveWindow(WindowLimits())
    received = feed(window, rate=10 * MIB, rtt=0.1, seconds=1)
    window.update(received, 1.1, 0.1, 300 * KIB, in_company=False)
    assert window.size_bytes == 300 * KIB
    window.update(received, 1.1, 0.1, 0, in_company=False)
    assert window.size_bytes == FLOOR
    assert window.ack_bytes <= FLOOR // 4
    window.update(received, 1.1, 0.1, PLENTY, in_company=False)
    assert window.size_bytes == pytest.approx(2 * MIB + 64 * KIB, rel=0.05)


def test_acknowledgements_come_four_times_a_round():
    window = ReceiveWindow(WindowLimits())
    feed(window, rate=10 * MIB, rtt=0.1, seconds=1)
    assert window.ack_bytes == pytest.approx(MIB / 4, rel=0.05)
    feed(window, rate=KIB, rtt=0.1, seconds=1, start=1.0, received=10 * MIB)
    assert window.ack_bytes == SMALLEST_ACK_BYTES


def test_acknowledgements_come_less_often_before_a_round_that_brings_much_is_over():
    window = ReceiveWindow(WindowLimits())
    received = 0
    for byte_count in (0, 4 * SMALLEST_ACK_BYTES):
        received += byte_count
        window.update(received, 0.0, 0.1, PLENTY, in_company=False)
        assert window.ack_bytes == SMALLEST_ACK_BYTES
    window.update(256 * KIB, 0.05, 0.1, PLENTY, in_company=False)
    assert window.ack_bytes == 64 * KIB


# -- the budget ----------------------------------------------------------------------------------------------


def test_a_share_is_an_eighth_of_what_is_free_but_for_an_eighth_of_the_limit():
    budget = StreamBudget(80)
    assert (budget.free_bytes, budget.share_bytes) == (80, 8)
    budget.reserve(30)
    assert (budget.free_bytes, budget.share_bytes) == (50, 5)
    budget.reserve(40)
    assert (budget.free_bytes, budget.share_bytes) == (10, 0)
    budget.reserve(30)
    assert (budget.free_bytes, budget.share_bytes) == (0, 0)
    budget.release(100)
    assert budget.share_bytes == 8


def test_a_stream_is_in_company_while_others_receive_too():
    budget = StreamBudget(80)
    first, second = object(), object()
    assert not budget.in_company(first, 10.0)
    assert not budget.in_company(first, 10.1)
    assert budget.in_company(second, 10.2)
    assert budget.in_company(first, 10.2 + COMPANY_S / 2)
    assert not budget.in_company(first, 10.2 + COMPANY_S)
    assert not budget.in_company(second, 12.5 + COMPANY_S)  # the first has not been heard for longer


def test_the_budget_holds_no_stream_that_has_ended():
    budget = StreamBudget(80)
    first, second = object(), object()
    budget.in_company(first, 10.0)
    before = sys.getrefcount(first)
    budget.forget(second)
    assert sys.getrefcount(first) == before
    budget.forget(first)
    assert sys.getrefcount(first) == before - 1
    assert budget.in_company(second, 10.5)  # it was company all the same


def test_the_budget_holds_no_stream_that_was_released():
    budget = StreamBudget(256 * MIB)
    ingress, exit_ = sessions()
    stream = make_stream(exit_, budget=budget)
    stream.receive((ingress.seal_segment(FrameType.DATA, 0, b"hello"),), 10.0)
    stream.delivered(5, 10.0)
    receiver = stream._receiver
    before = sys.getrefcount(receiver)
    stream.release()
    assert sys.getrefcount(receiver) == before - 1


def test_many_windows_share_the_budget_evenly():
    budget = StreamBudget(256 * MIB)
    held = [0] * 100
    for _ in range(50):
        for index in range(len(held)):
            wanted = min(CAP, budget.share_bytes)
            budget.reserve(wanted - held[index])
            held[index] = wanted
    assert min(held) == pytest.approx(224 * MIB / 108, rel=0.1)
    assert max(held) == pytest.approx(min(held), rel=0.2)
    assert budget.free_bytes > 0
