"""The congestion window: what marks and losses make of it, and how it grows again."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.stream.congestion import MIN_CONGESTION_BYTES, RESTART_BYTES, CongestionWindow

KIB = 1024
MIB = 1024 * KIB
CAP = 8 * MIB


class Sender:
    """Acknowledges whole windows to a congestion window."""

    def __init__(self, round_trip_s=0.001):
        self.window = CongestionWindow(CAP)
        self.round_trip_s = round_trip_s
        self.number = self.marked = 0

    def round(self, *, marked, segments=16, byte_count=None):
        byte_count = self.window.window_bytes if byte_count is None else byte_count
        self.number += segments
        self.marked += marked
        self.window.acknowledged(
            byte_count=byte_count,
            segments=segments,
            marked=self.marked,
            next_acknowledged=self.number,
            next_to_send=self.number,
            in_flight=byte_count,
            round_trip_s=self.round_trip_s,
        )
        return self.window.window_bytes


def test_without_marks_congestion_limits_nothing():
    sender = Sender()
    for _ in range(10):
        assert sender.round(marked=0, byte_count=MIB) == CAP


def test_the_first_mark_halves_what_is_in_flight():
    sender = Sender()
    assert sender.round(marked=1, byte_count=MIB) == MIB // 2


def test_few_marks_shrink_the_window_less_than_many():
    few, many = Sender(), Sender()
    for sender in (few, many):
        sender.round(marked=0, byte_count=2 * MIB)
        for _ in range(60):
            sender.round(marked=0)  # the estimate of congestion decays
        sender.window.window_bytes = 2 * MIB
    for _ in range(5):
        few.round(marked=1)
        many.round(marked=16)
    assert MIN_CONGESTION_BYTES < many.window.window_bytes < few.window.window_bytes < 2 * MIB


def test_the_window_is_cut_once_in_a_round():
    window = CongestionWindow(CAP)
    hear = functools.partial(window.acknowledged, next_to_send=100, in_flight=MIB, round_trip_s=0.001)
    hear(byte_count=0, segments=0, marked=0, next_acknowledged=0)
    hear(byte_count=64 * KIB, segments=1, marked=1, next_acknowledged=1)
    after_first = window.window_bytes
    for number in range(2, 90):
        hear(byte_count=0, segments=1, marked=number, next_acknowledged=number)
    assert window.window_bytes >= after_first * 0.4  # cut twice at the most: the first round was short


def test_the_window_has_a_floor_and_grows_back():
    sender = Sender()
    for _ in range(100):
        sender.round(marked=16)
    assert sender.window.window_bytes == MIN_CONGESTION_BYTES
    assert sender.round(marked=0) > MIN_CONGESTION_BYTES
    for _ in range(1000):
        sender.round(marked=0)
    assert sender.window.window_bytes == CAP


@pytest.mark.parametrize(("round_trip_s", "grown"), [(0.0, 64 * KIB), (0.01, 64 * KIB), (0.08, 512 * KIB)])
def test_a_large_window_grows_by_as_much_in_a_time_and_an_eighth_at_the_most(round_trip_s, grown):
    sender = Sender(round_trip_s)
    sender.round(marked=1, byte_count=CAP)
    before = sender.window.window_bytes
    assert sender.round(marked=0) - before == grown
    sender.window.lost(2 * MIB)
    assert sender.round(marked=0) - MIB == min(grown, MIB // 8)


def test_losses_halve_and_timeouts_start_again():
    window = CongestionWindow(CAP)
    window.lost(MIB)
    assert window.window_bytes == MIB // 2
    window.timed_out(MIB // 2)
    assert window.window_bytes == RESTART_BYTES
    sender = Sender()
    sender.window = window
    sender.round(marked=0)
    assert window.window_bytes == 2 * RESTART_BYTES  # fast at first
    for _ in range(3):
        sender.round(marked=0)
    assert 4 * RESTART_BYTES <= window.window_bytes < 6 * RESTART_BYTES  # and slowly above the threshold


@given(
    st.lists(
        st.tuples(
            st.integers(0, MIB),
            st.integers(0, 100),
            st.integers(0, 100),
            st.sampled_from(["ack", "lost", "out"]),
        ),
        max_size=50,
    )
)
def test_the_congestion_window_stays_within_bounds(events):
    window = CongestionWindow(CAP)
    number = marked = 0
    for byte_count, segments, newly_marked, kind in events:
        number += segments
        marked += newly_marked
        if kind == "ack":
            window.acknowledged(
                byte_count=byte_count,
                segments=segments,
                marked=marked,
                next_acknowledged=number,
                next_to_send=number + 10,
                in_flight=byte_count,
                round_trip_s=0.05,
            )
        elif kind == "lost":
            window.lost(byte_count)
        else:
            window.timed_out(byte_count)
        assert MIN_CONGESTION_BYTES <= window.window_bytes <= CAP
