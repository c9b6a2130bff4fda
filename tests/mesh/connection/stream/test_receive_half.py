"""The receiving half and what acknowledges for it, by themselves."""

from math import inf

import pytest

from mesh.connection.stream.acknowledging import PROBE_EVERY_S, SOON_S, Acknowledger
from mesh.connection.stream.budget import StreamBudget
from mesh.connection.stream.control import Fin, decode_acknowledgement, encode_fin
from mesh.connection.stream.receive_half import ReceiveHalf
from mesh.connection.stream.rtt import RoundTrip
from mesh.connection.stream.window import INITIAL_WINDOW_BYTES, WindowLimits
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import sessions

NOW = 100.0
DATA, FIN = FrameType.DATA, FrameType.FIN


class Receiving:
    """A receiving half, what acknowledges for it, and the session of the other end."""

    def __init__(self, budget=None):
        session, self.peer = sessions()[1], sessions()[0]
        self.budget = StreamBudget(1 << 40) if budget is None else budget
        self.rtt = RoundTrip()
        self.half = ReceiveHalf(
            session,
            INITIAL_WINDOW_BYTES,
            self.budget,
            self.rtt,
            WindowLimits(),
            remote=session.remote,
        )
        self.acknowledger = Acknowledger(session, self.half, self.rtt)
        self.delivered = []

    def arrive(self, frame, now=NOW, **marks):
        new = self.half.arrived(frame, now, self.delivered)
        if new:
            self.acknowledger.segment_arrived(now, marked=frame.marked)
        return new

    def acknowledgement(self, now=NOW, kind=FrameType.ACK):
        frame = self.acknowledger.frame(kind, now)
        opener = sessions()[0]
        return decode_acknowledgement(opener.open_control(frame))


def test_early_segments_wait_for_their_turn():
    receiving = Receiving()
    frames = [receiving.peer.seal_segment(DATA, n, bytes([n])) for n in range(4)]
    fin = receiving.peer.seal_segment(FIN, 4, encode_fin(Fin(9, 0.5)))
    for frame in (frames[3], fin, frames[1]):
        assert receiving.arrive(frame)
    assert receiving.delivered == []
    assert receiving.half.missing_until == 1
    receiving.arrive(frames[0])
    assert receiving.delivered == [b"\x00", b"\x01"]
    assert receiving.half.missing_until == 3
    assert not receiving.arrive(frames[3])
    assert not receiving.half.finished
    receiving.arrive(frames[2])
    assert b"".join(receiving.delivered) == bytes(range(4))
    assert receiving.half.finished
    assert receiving.half.fin == Fin(9, 0.5)
    assert not receiving.half.early


def test_credit_follows_what_the_local_socket_takes():
    receiving = Receiving()
    budget = receiving.budget
    assert budget.reserved_bytes == INITIAL_WINDOW_BYTES
    receiving.arrive(receiving.peer.seal_segment(DATA, 0, bytes(40_000)))
    assert not receiving.half.taken(1_000, NOW)
    assert receiving.acknowledgement().credit == INITIAL_WINDOW_BYTES  # not worth a frame
    assert receiving.half.taken(39_000, NOW)
    assert receiving.half.grant() == INITIAL_WINDOW_BYTES + 40_000
    assert budget.reserved_bytes == INITIAL_WINDOW_BYTES
    receiving.half.release()
    assert budget.reserved_bytes == 0


def test_after_the_end_no_more_credit_is_given():
    receiving = Receiving()
    receiving.arrive(receiving.peer.seal_segment(DATA, 0, bytes(40_000)))
    receiving.arrive(receiving.peer.seal_segment(FIN, 1, encode_fin(Fin(0, 0.0))))
    assert receiving.budget.reserved_bytes == 40_000  # what was left of the credit is free
    assert not receiving.half.taken(40_000, NOW)
    assert receiving.half.grant() == INITIAL_WINDOW_BYTES  # it never falls
    receiving.half.release()
    receiving.half.release()
    assert receiving.budget.reserved_bytes == 0


def test_the_floor_stays_reserved_until_the_end_so_that_nobody_else_is_promised_it():
    receiving = Receiving(StreamBudget(0))
    budget, floor = receiving.budget, WindowLimits().floor
    receiving.arrive(receiving.peer.seal_segment(DATA, 0, bytes(60_000)))
    receiving.half.taken(60_000, NOW)
    assert budget.reserved_bytes == floor
    assert receiving.half.grant() == 60_000 + floor
    assert budget.reserved_bytes == floor
    receiving.arrive(receiving.peer.seal_segment(FIN, 1, encode_fin(Fin(0, 0.0))))
    assert budget.reserved_bytes == 0
    receiving.half.release()
    assert budget.reserved_bytes == 0


def test_an_acknowledgement_tells_how_long_it_was_held_back():
    receiving = Receiving()
    receiving.arrive(receiving.peer.seal_segment(DATA, 0, b"x"))
    assert receiving.acknowledger.due == NOW + 0.025
    told = receiving.acknowledgement(NOW + 0.02)
    assert told.next_number == 1
    assert told.delay_s == pytest.approx(0.02, abs=2e-6)
    assert receiving.acknowledger.due == inf


def test_there_is_no_delay_before_the_first_segment_in_order():
    receiving = Receiving()
    assert receiving.acknowledgement(NOW + 1.0).delay_s == 0.0
    receiving.arrive(receiving.peer.seal_segment(DATA, 1, b"x"))
    told = receiving.acknowledgement(NOW + 1.0)
    assert (told.next_number, told.delay_s) == (0, 0.0)


def test_only_the_first_copy_of_a_segment_counts_as_marked_or_moves_the_delay():
    receiving = Receiving()
    frame = receiving.peer.seal_segment(DATA, 0, b"x")
    receiving.arrive(frame)
    receiving.arrive(frame.with_mark(), NOW + 1.0)
    told = receiving.acknowledgement(NOW + 2.0)
    assert (told.marked, told.delay_s) == (0, pytest.approx(2.0, abs=2e-6))
    marked = receiving.peer.seal_segment(DATA, 1, b"x").with_mark()
    receiving.arrive(marked)
    receiving.arrive(marked)
    assert receiving.acknowledgement().marked == 1


def test_a_marked_segment_is_acknowledged_soon():
    receiving = Receiving()
    receiving.arrive(receiving.peer.seal_segment(DATA, 0, b"x").with_mark())
    assert receiving.acknowledger.due == NOW + SOON_S
    assert receiving.acknowledgement().marked == 1


def test_segments_in_quick_succession_do_not_put_an_acknowledgement_off():
    receiving = Receiving()
    for number in range(20):
        frame = receiving.peer.seal_segment(DATA, number, b"x").with_mark()
        receiving.arrive(frame, NOW + number * SOON_S / 4)
    assert receiving.acknowledger.due == NOW + SOON_S


def test_a_gap_is_reported_when_it_lasts():
    receiving = Receiving()
    receiving.arrive(receiving.peer.seal_segment(DATA, 2, b"x"))
    acknowledger = receiving.acknowledger
    assert acknowledger.gap_due == NOW + 0.01
    assert receiving.acknowledgement().missing_until == 0
    assert not acknowledger.timeout(NOW + 0.005)
    assert acknowledger.timeout(NOW + 0.01)
    acknowledger.stop()
    other = Receiving()
    other.arrive(other.peer.seal_segment(DATA, 2, b"x"))
    other.acknowledger.timeout(NOW + 0.01)
    assert other.acknowledgement().missing_until == 2


@pytest.mark.parametrize(("rtt_s", "delay_s"), [(0.001, 0.01), (0.08, 0.02), (3.0, 0.1)])
def test_reordering_has_a_quarter_of_a_round_trip(rtt_s, delay_s):
    receiving = Receiving()
    receiving.rtt.sample(rtt_s, NOW)
    assert receiving.half.reordering_delay_s == pytest.approx(delay_s)


def test_an_echo_gives_a_round_trip_time_once():
    receiving = Receiving()
    acknowledger = receiving.acknowledger
    number = acknowledger.frame(FrameType.PROBE, NOW).number
    acknowledger.echo_arrived(number, NOW + 0.01)  # of an earlier one
    acknowledger.echo_arrived(0, NOW + 0.01)
    assert receiving.rtt.smoothed_s is None
    acknowledger.echo_arrived(number + 1, NOW + 0.05)
    acknowledger.echo_arrived(number + 1, NOW + 9.0)
    assert receiving.rtt.smoothed_s == pytest.approx(0.05)


def test_a_bulk_receiver_asks_for_the_round_trip_time_now_and_then():
    receiving = Receiving()
    acknowledger = receiving.acknowledger
    assert acknowledger.bulk_kind(NOW) is FrameType.ACK  # nothing has arrived
    number = 0

    def bulk(now):
        nonlocal number
        receiving.arrive(receiving.peer.seal_segment(DATA, number, bytes(20_000)), now)
        number += 1
        receiving.half.taken(20_000, now)
        kind = acknowledger.bulk_kind(now)
        frame = acknowledger.frame(kind, now)
        return kind, frame.number

    kind, probe = bulk(NOW)
    assert kind is FrameType.PROBE
    assert bulk(NOW + 0.1)[0] is FrameType.ACK  # one is under way
    assert bulk(NOW + 1.1)[0] is FrameType.PROBE  # and was lost
    acknowledger.echo_arrived(probe + 3, NOW + 1.2)
    assert bulk(NOW + 1.1 + PROBE_EVERY_S)[0] is FrameType.ACK
    assert bulk(NOW + 1.3 + PROBE_EVERY_S)[0] is FrameType.PROBE  # paths change


def test_bytes_that_came_with_the_opening_do_not_widen_the_window():
    wide = {}
    for carried in (0, 1024):
        receiving = Receiving()
        if carried:
            receiving.half.carried(bytes(carried), NOW, receiving.delivered)
            receiving.half.taken(carried, NOW)
        for number in range(bool(carried), 4):
            receiving.arrive(receiving.peer.seal_segment(DATA, number, bytes(16_000)))
            receiving.half.taken(16_000, NOW)
            wide[carried, receiving.half.next_number - bool(carried)] = receiving.half._window.size_bytes
    assert all(wide[1024, number] == wide[0, number] for number in (1, 2, 3))
