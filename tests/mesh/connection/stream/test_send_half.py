"""The sending half by itself: what is kept, repeated and let go, and when there is room."""

from math import inf

import pytest

from mesh.connection.stream.budget import LARGE_BYTES, StreamBudget
from mesh.connection.stream.control import Acknowledgement, Fin
from mesh.connection.stream.receive_half import MAX_SEGMENTS_AHEAD
from mesh.connection.stream.rtt import RoundTrip
from mesh.connection.stream.send_half import (
    SEGMENT_OVERHEAD_BYTES,
    SMALLEST_CUT_BYTES,
    SMALLEST_SEGMENT_BYTES,
    SendHalf,
)
from mesh.connection.stream.window import WindowLimits
from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import MIB, sessions

NOW = 100.0
DATA, FIN = FrameType.DATA, FrameType.FIN


def ack(next_number, *, credit=100 * MIB, missing_until=0, marked=0, delay_s=0.0):
    return Acknowledgement(next_number, credit, missing_until, marked, 0, 0.0, delay_s)


class Sending:
    """A sending half with plenty of credit and a measured round trip of 20 ms."""

    def __init__(self, credit=100 * MIB, budget=None):
        self.budget = StreamBudget(1 << 40) if budget is None else budget
        self.rtt = RoundTrip()
        self.half = SendHalf(sessions()[0], credit, self.budget, self.rtt, WindowLimits())
        for _ in range(50):
            self.rtt.sample(0.02, NOW)

    def send(self, count, size=1000, now=NOW):
        frames = []
        for _ in range(count):
            self.half.send(bytes(size), now, frames)
        return frames

    def acknowledged(self, acknowledgement, now):
        frames = []
        self.half.acknowledged(acknowledgement, now, frames)
        return [frame.number for frame in frames]

    def timeout(self, now=None):
        frames = []
        self.half.timeout(self.half.due if now is None else now, frames)
        return [frame.number for frame in frames]


def test_what_is_sent_is_kept_until_it_is_acknowledged_and_counts_against_the_budget():
    sending = Sending()
    sending.send(3)
    assert sending.budget.reserved_bytes == 3 * (1000 + SEGMENT_OVERHEAD_BYTES)
    assert sending.half.outstanding == 3
    sending.acknowledged(ack(2), NOW + 0.02)
    assert sending.budget.reserved_bytes == 1000 + SEGMENT_OVERHEAD_BYTES
    sending.acknowledged(ack(3), NOW + 0.02)
    assert (sending.budget.reserved_bytes, sending.half.due) == (0, inf)


def test_a_large_piece_is_cut_into_full_segments():
    sending = Sending()
    frames = sending.send(1, 150_000)
    assert [len(frame.body) - 16 for frame in frames] == [65_536, 65_536, 18_928]


def test_under_congestion_segments_are_shorter():
    sending = Sending()
    sending.send(1, 128 * 1024)
    sending.acknowledged(ack(2, marked=2), NOW + 0.02)
    (first, *_) = sending.send(1, 60_000)
    assert len(first.body) - 16 == 64 * 1024 // 4


def test_a_repeated_segment_gives_no_round_trip_time():
    sending = Sending()
    sending.send(1)
    assert sending.timeout() == [0]
    sending.acknowledged(ack(1), NOW + 3.0)
    assert sending.rtt.smoothed_s == pytest.approx(0.02)
    sending.send(1, now=NOW + 3.0)
    sending.acknowledged(ack(2, delay_s=0.01), NOW + 3.05)
    assert sending.rtt.smoothed_s == pytest.approx(0.02 + (0.04 - 0.02) / 8)


def test_timeouts_go_back_to_the_first_segment():
    sending = Sending()
    sending.send(5)
    assert sending.timeout() == [4]  # the tail
    assert sending.timeout() == [0, 1, 2, 3, 4]
    assert sending.half.room_bytes > 0
    assert sending.acknowledged(ack(4), NOW + 1) == []


def test_going_back_keeps_to_the_congestion_window():
    sending = Sending()
    sending.send(20, 20_000)
    sending.timeout()
    assert sending.timeout() == [0, 1, 2]  # 64 KiB
    assert sending.half.room_bytes == 0
    assert sending.acknowledged(ack(2), NOW + 1) == [3, 4, 5, 6]  # 40,000 bytes more, and grown by as much
    assert sending.acknowledged(ack(4), NOW + 1.1) == [7, 8, 9, 10]


def test_what_the_other_end_had_all_along_is_not_repeated():
    sending = Sending()
    sending.send(20, 20_000)
    sending.timeout()
    sending.timeout()
    assert sending.acknowledged(ack(19), NOW + 1) == [19]
    assert sending.half.room_bytes > 0


def test_a_gap_is_repeated_once_in_a_while():
    sending = Sending()
    sending.send(10)
    assert sending.acknowledged(ack(2, missing_until=5), NOW + 0.02) == [2, 3, 4]
    assert sending.acknowledged(ack(2, missing_until=5), NOW + 0.03) == []
    assert sending.acknowledged(ack(3, missing_until=7), NOW + 0.04) == [5, 6]  # the rest is new
    assert sending.acknowledged(ack(3, missing_until=5), NOW + 0.04 + sending.rtt.timeout_s) == [3, 4]


def test_an_acknowledgement_that_helps_ends_the_timeouts():
    sending = Sending()
    sending.send(2)
    for _ in range(4):
        sending.timeout()
    assert sending.half.timeouts == 3
    sending.acknowledged(ack(1), NOW + 5)
    assert sending.half.timeouts == 0


def test_patience_grows_until_a_round_trip_has_been_measured():
    sending = Sending()
    waits = []
    now = NOW
    for number in range(4):  # the path has become slow: every segment is repeated before its ACK comes
        sending.send(1, now=now)
        waits.append(sending.half.due - now)
        sending.timeout()
        now += 0.5
        sending.acknowledged(ack(number + 1), now)
    assert waits == pytest.approx([0.075, 0.15, 0.3, 0.6], rel=0.02)
    sending.send(1, now=now)
    sending.acknowledged(ack(5), now + 0.02)
    sending.send(1, now=now)
    assert sending.half.due - now == pytest.approx(0.075, rel=0.02)


def test_what_the_other_end_says_in_its_fin_counts_as_acknowledged():
    sending = Sending()
    sending.send(3)
    sending.half.acknowledged_by_fin(Fin(2, 0.01), NOW + 0.05, [])
    assert sending.half.outstanding == 1
    assert sending.rtt.smoothed_s == pytest.approx(0.02 + (0.04 - 0.02) / 8)
    sending.half.acknowledged_by_fin(Fin(1, 0.01), NOW + 0.06, [])  # older than what is known by now
    assert sending.half.acknowledged_number == 2
    with pytest.raises(RemoteProtocolError, match="segment 4 acknowledged"):
        sending.half.acknowledged_by_fin(Fin(4, 0.0), NOW + 0.06, [])


def test_a_silly_piece_waits_for_an_acknowledgement():
    sending = Sending(credit=10_000)
    sending.send(1, 9_000)
    assert sending.half.room_bytes == 0
    assert not sending.half.starved
    sending.acknowledged(ack(1, credit=10_000), NOW + 0.02)
    assert sending.half.room_bytes == 1_000
    sending.send(1, 1_000)
    assert not sending.half.starved
    sending.acknowledged(ack(2, credit=10_000), NOW + 0.04)
    assert sending.half.starved


def test_there_is_never_room_for_more_segments_than_the_other_end_keeps():
    sending = Sending()
    sending.send(MAX_SEGMENTS_AHEAD - 3, 1)
    room = sending.half.room_bytes
    assert room == 2 * SMALLEST_CUT_BYTES
    sending.send(1, room)
    sending.half.finish(Fin(0, 0.0), b"", NOW, [])
    assert sending.half.outstanding <= MAX_SEGMENTS_AHEAD


def test_a_busy_budget_leaves_a_send_buffer_its_floor():
    budget = StreamBudget(0)
    sending = Sending(budget=budget)
    assert sending.half.room_bytes == 16 * 1024
    sending.send(1, 16 * 1024)
    assert sending.half.room_bytes == 0


def test_with_a_busy_budget_many_small_segments_count_with_all_that_they_hold():
    budget = StreamBudget(0)
    sending = Sending(budget=budget)
    while sending.half.room_bytes:
        sending.send(1, 1)
    assert 40 < sending.half.outstanding < 64
    assert budget.reserved_bytes <= 16 * 1024
    # What is acknowledged gives room again, and the last leaves all of it.
    sending.acknowledged(ack(10), NOW + 0.02)
    assert sending.half.room_bytes >= SMALLEST_SEGMENT_BYTES
    sending.acknowledged(ack(sending.half.next_number), NOW + 0.02)
    assert sending.half.room_bytes == 16 * 1024


def test_credit_is_never_exceeded():
    sending = Sending(credit=1000)
    with pytest.raises(LocalProtocolError, match="beyond the credit"):
        sending.send(1, 1001)


def test_what_was_never_sent_cannot_be_acknowledged():
    sending = Sending()
    sending.send(1)
    with pytest.raises(RemoteProtocolError, match="segment 2 acknowledged"):
        sending.acknowledged(ack(2), NOW)
    with pytest.raises(RemoteProtocolError):
        sending.acknowledged(ack(0, missing_until=2), NOW)


def test_a_new_path_is_tried_with_the_first_and_the_last_segment():
    sending = Sending()
    sending.send(5)
    frames = []
    sending.half.probe_path(NOW + 1, frames)
    assert [frame.number for frame in frames] == [0, 4]
    assert sending.acknowledged(ack(1, missing_until=4), NOW + 1.02) == [1, 2, 3]
    empty = []
    Sending().half.probe_path(NOW, empty)
    assert empty == []


@pytest.mark.parametrize(("size", "late"), [(1000, NOW + 1.5), (LARGE_BYTES, NOW + 3.0)])
def test_before_a_segment_is_measured_what_others_take_puts_the_first_repetition_off(size, late):
    sending = Sending()
    sending.half = SendHalf(sessions()[0], MIB, sending.budget, RoundTrip(), WindowLimits())
    sending.send(1, size)
    due = sending.half.due
    assert due < NOW + 1.5
    sending.budget.segment_was_late(1.5, due)
    assert sending.timeout() == []
    assert sending.half.due == late
    assert sending.timeout() == [0]


def test_a_stream_whose_segments_are_measured_goes_by_what_they_take():
    sending = Sending()
    sending.send(1)
    sending.budget.segment_was_late(1.5, NOW)
    assert sending.timeout() == [0]
