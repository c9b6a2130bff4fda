"""How a stream ends: in order, by reset, or because the other end is gone; but it ends."""

import pytest

from mesh.errors import LocalProtocolError
from mesh.frames import FrameType
from mesh.stream import ResetCode, StreamBudget
from mesh.stream.states import State
from tests.mesh.stream.harness import LATENCY_S, MIB, World, make_pair, make_stream, pattern, sessions

ACK, PROBE, DATA, FIN, RESET = (
    FrameType.ACK,
    FrameType.PROBE,
    FrameType.DATA,
    FrameType.FIN,
    FrameType.RESET,
)


def confirmed(**settings):
    world = World(**settings)
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.run(duration=1.0)
    for end in world.ends:
        end.sent.clear()
    return world


def nothing(frame, now):
    return []


# -- in order ------------------------------------------------------------------------------------------------


def test_a_request_an_answer_and_the_end_take_few_frames_and_no_waiting():
    world = confirmed()
    world.ingress.outgoing, world.ingress.ends = b"request", True
    world.run(until=lambda: world.exit.finishes)
    world.exit.outgoing, world.exit.ends = b"answer", True
    start = world.now
    world.run(until=world.all_done)
    assert world.now - start == pytest.approx(3 * LATENCY_S)
    assert world.ingress.sent == [DATA, FIN, ACK]
    assert world.exit.sent == [ACK, DATA, FIN, ACK]
    assert bytes(world.ingress.incoming) == b"answer"


def test_both_ends_finish_at_once():
    world = confirmed()
    for end in world.ends:
        end.ends = True
    start = world.now
    world.run(until=world.all_done)
    assert world.now - start == pytest.approx(3 * LATENCY_S)
    for end in world.ends:
        assert end.sent == [FIN, ACK, ACK]
        assert end.stream.finished


def test_a_half_closed_connection_carries_on_the_other_way():
    world = confirmed()
    world.ingress.ends = True
    world.run(duration=600)
    assert world.exit.finishes == 1
    assert world.ingress.stream.state is State.FIN_ACKNOWLEDGED
    world.exit.outgoing, world.exit.ends = pattern(MIB), True
    world.run(until=world.all_done)
    assert bytes(world.ingress.incoming) == pattern(MIB)
    assert world.ingress.finishes == 1


def test_the_last_frame_may_be_lost():
    # Nothing repeats it: its receiver stays a while, in case it is asked, and goes.
    world = confirmed()
    world.ingress.ends = True
    world.run(until=lambda: world.exit.finishes)
    world.exit.ends = True
    world.fate = lambda frame, now: [] if frame.from_exit and frame.type == ACK else [(LATENCY_S, frame)]
    start = world.now
    world.run(until=world.all_done)
    assert world.exit.done_at == pytest.approx(start + 2 * LATENCY_S)
    assert world.ingress.done_at - start == pytest.approx(3.0, abs=0.1)
    assert world.ingress.stream.finished


def test_the_last_but_one_frame_may_be_lost():
    world = confirmed()
    world.ingress.ends = True
    world.run(until=lambda: world.exit.finishes)
    world.exit.ends = True
    lost = []

    def fate(frame, now):
        if not frame.from_exit and frame.type == ACK and not lost:
            lost.append(frame)
            return []
        return [(LATENCY_S, frame)]

    world.fate = fate
    start = world.now
    world.run(until=world.all_done)
    assert lost
    assert world.now - start < 1.2  # the exit has not measured a round trip
    assert all(end.stream.finished for end in world.ends)


def test_an_end_that_misses_only_the_last_acknowledgement_ends_in_order():
    # The other end is complete and has left. Its agent says UNKNOWN; nothing is left to be told.
    world = confirmed()
    world.ingress.ends = True
    world.run(until=lambda: world.exit.finishes)
    world.exit.ends = True
    world.fate = lambda frame, now: [] if not frame.from_exit and frame.type == ACK else [(LATENCY_S, frame)]
    world.run(until=lambda: world.ingress.done_at)
    world.run(until=world.all_done, duration=30)
    assert world.all_done()
    assert world.exit.resets == []
    assert world.exit.stream.finished


def test_the_end_waits_for_the_local_socket():
    world = confirmed()
    world.exit.taking = False
    world.ingress.outgoing, world.ingress.ends, world.exit.ends = b"last words", True, True
    world.run(duration=100)
    assert world.ingress.done_at
    assert world.exit.stream.state is State.DONE
    assert not world.exit.done
    assert world.exit.stream.deadline() is None
    world.exit.taking = True
    world.take(world.exit)
    assert world.exit.done
    assert world.exit.stream.finished


# -- by reset ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ResetCode)
def test_a_reset_is_answered_and_both_ends_are_done(code):
    world = confirmed()
    start = world.now
    world.apply(world.ingress, world.ingress.stream.reset(code, world.now))
    world.run(until=world.all_done)
    assert world.now - start == pytest.approx(2 * LATENCY_S)
    assert world.ingress.sent == world.exit.sent == [RESET]
    assert world.exit.resets == [code]
    assert world.ingress.resets == []


def test_octets_that_the_reset_overtook_are_delivered_before_it():
    world = confirmed()
    world.fate = lambda frame, now: [(0.3 if frame.type == DATA else LATENCY_S, frame)]
    world.ingress.outgoing = b"last words"
    world.run(duration=0.001)
    world.apply(world.ingress, world.ingress.stream.reset(ResetCode.RESET, world.now))
    world.run(until=world.all_done)
    assert bytes(world.exit.incoming) == b"last words"
    assert world.exit.resets == [ResetCode.RESET]


def test_octets_that_never_arrive_do_not_hold_the_reset_up():
    world = confirmed()
    world.fate = lambda frame, now: [] if frame.type == DATA else [(LATENCY_S, frame)]
    world.ingress.outgoing = b"lost words"
    world.run(duration=0.001)
    world.apply(world.ingress, world.ingress.stream.reset(ResetCode.RESET, world.now))
    start = world.now
    world.run(until=world.all_done)
    assert world.now - start == pytest.approx(1.0, abs=0.1)
    assert world.exit.resets == [ResetCode.RESET]


def test_segments_that_trickle_in_hold_the_reset_up_for_ten_seconds_at_the_most():
    ingress, exit_ = make_pair()
    frames = [ingress.send(b"x", 100.0).frames[0] for _ in range(100)]
    reset = ingress.reset(ResetCode.RESET, 100.0).frames
    assert exit_.receive(reset, 100.0).peer_reset is None
    now = 100.0
    while not (effects := exit_.timeout(now)).done:
        now += 0.9
        exit_.receive([frames.pop(0)], now)
    assert 110.0 <= now < 111.0
    assert effects.peer_reset is ResetCode.RESET


def test_a_reset_is_repeated_until_it_is_answered():
    world = confirmed()
    world.fate = nothing
    world.apply(world.ingress, world.ingress.stream.reset(ResetCode.RESET, world.now))
    world.run(duration=2.0)
    assert world.ingress.sent == [RESET] * 4  # at 0, 0.2, 0.6 and 1.4 s
    world.fate = lambda frame, now: [(LATENCY_S, frame)]
    world.run(until=world.all_done, duration=3)
    assert world.all_done()
    assert world.exit.resets == [ResetCode.RESET]


def test_a_new_path_carries_the_reset_at_once():
    world = confirmed()
    world.fate = nothing
    world.apply(world.ingress, world.ingress.stream.reset(ResetCode.RESET, world.now))
    world.run(duration=15)
    world.ingress.sent.clear()
    world.apply(world.ingress, world.ingress.stream.path_changed(world.now))
    world.run(duration=0.5)
    assert world.ingress.sent == [RESET] * 2


def test_an_end_that_has_been_reset_acknowledges_nothing_more():
    ingress, exit_ = make_pair()
    first, second = (ingress.send(b"x", 100.0).frames[0] for _ in range(2))
    (reset,) = ingress.reset(ResetCode.RESET, 100.0).frames
    exit_.receive([first, reset], 100.0)
    assert exit_.state is State.DRAINING
    assert not exit_.receive([first, first], 100.1).frames
    assert exit_.deadline() == 101.0
    assert exit_.receive([second], 100.2).peer_reset is ResetCode.RESET


def test_a_reset_that_nobody_answers_ends_all_the_same():
    budget = StreamBudget(MIB)
    world = confirmed(budget=budget)
    world.fate = nothing
    world.ingress.outgoing = pattern(1000)
    world.run(duration=1)
    world.apply(world.ingress, world.ingress.stream.reset(ResetCode.RESET, world.now))
    start = world.now
    world.run(until=lambda: world.ingress.done_at)
    assert world.now - start == pytest.approx(30)
    assert world.ingress.resets == []


def test_a_reset_of_a_connection_that_is_unknown_there_ends_soon():
    world = confirmed()
    world.exit.done_at = world.now
    world.exit.stream.release()
    world.apply(world.ingress, world.ingress.stream.reset(ResetCode.RESET, world.now))
    start = world.now
    world.run(until=lambda: world.ingress.done_at)
    assert world.now - start < 2


def test_both_ends_reset_at_once():
    world = confirmed()
    for end in world.ends:
        world.apply(end, end.stream.reset(ResetCode.RESET, world.now))
    start = world.now
    world.run(until=world.all_done)
    assert world.now - start == pytest.approx(LATENCY_S)
    assert world.ingress.resets == world.exit.resets == []


def test_a_reset_leaves_nothing_reserved_but_the_window():
    budget = StreamBudget(256 * MIB)
    session, _ = sessions()
    stream = make_stream(session, budget=budget)
    stream.send(bytes(60_000), 100.0)
    assert budget.reserved_octets > 60_000 + 65_536
    assert not stream.reset(ResetCode.RESET, 100.0).done
    assert budget.reserved_octets == 65_536
    stream.release()
    stream.release()
    assert budget.reserved_octets == 0
    assert stream.deadline() is None
    assert stream.writable_octets == 0


def test_calls_after_the_end_do_nothing():
    stream, other = make_pair()
    (reset,) = other.reset(ResetCode.RESET, 100.0).frames
    effects = stream.receive([reset], 100.0)
    assert effects.done
    assert effects.peer_reset is ResetCode.RESET
    for later in (
        stream.receive([reset], 101.0),
        stream.timeout(101.0),
        stream.reset(ResetCode.RESET, 101.0),
        stream.finish(101.0),
        stream.path_changed(101.0),
        stream.peer_unknown(101.0),
        stream.confirm(101.0),
    ):
        assert not later.frames
        assert later.peer_reset is None
    assert stream.timeout(102.0).done
    stream.release()
    assert not stream.delivered(0, 102.0).frames


# -- misuse --------------------------------------------------------------------------------------------------


def test_misuse_is_refused():
    stream, _ = make_pair()
    with pytest.raises(LocalProtocolError, match="beyond the credit"):
        stream.send(bytes(65_537), 100.0)
    with pytest.raises(LocalProtocolError, match="0 octets to send"):
        stream.send(b"", 100.0)
    with pytest.raises(LocalProtocolError, match="more than was handed out"):
        stream.delivered(1, 100.0)
    stream.finish(100.0)
    with pytest.raises(LocalProtocolError, match="FIN sent"):
        stream.send(b"x", 100.0)
    with pytest.raises(LocalProtocolError, match="reached its end"):
        stream.finish(100.0)
    assert stream.unacknowledged_segments == 1
