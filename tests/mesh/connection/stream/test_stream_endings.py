"""How a stream ends: in order, by reset, or because the other end is gone; but it ends."""

from math import inf

import pytest

from mesh.connection.stream import ResetCode, StreamBudget
from mesh.connection.stream.control import Fin, encode_fin
from mesh.connection.stream.states import State
from mesh.errors import LocalProtocolError
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import (
    LATENCY_S,
    MIB,
    World,
    make_pair,
    make_stream,
    pattern,
    sessions,
    tell_unknown,
)

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


def test_a_short_connection_takes_one_acknowledgement():
    world = confirmed(fate=lambda frame, now: [(0.002, frame)])
    world.ingress.outgoing = b"request"
    world.run(until=lambda: world.exit.incoming)
    world.exit.outgoing = b"answer"
    world.run(until=lambda: world.ingress.incoming)
    world.ingress.ends = True
    world.run(until=lambda: world.exit.finishes)
    world.exit.ends = True
    start = world.now
    world.run(until=world.all_done)
    assert world.now - start == pytest.approx(0.004)
    assert world.ingress.sent == [DATA, FIN, ACK]
    assert world.exit.sent == [DATA, FIN]
    assert all(end.stream.finished for end in world.ends)


def test_an_answer_to_a_half_closed_client_takes_no_more():
    world = confirmed()
    world.ingress.outgoing, world.ingress.ends = b"request", True
    world.run(until=lambda: world.exit.finishes)
    world.exit.outgoing, world.exit.ends = b"answer", True
    start = world.now
    world.run(until=world.all_done)
    assert world.ingress.sent == [DATA, FIN, ACK]
    assert world.exit.sent == [DATA, FIN]
    assert world.exit.done_at - start == pytest.approx(2 * LATENCY_S)
    # The answer came after its FIN, so it stays to acknowledge that again.
    assert world.ingress.done_at - start == pytest.approx(LATENCY_S + 3.0)


def test_both_ends_finish_at_once():
    world = confirmed()
    for end in world.ends:
        end.ends = True
    start = world.now
    world.run(until=world.all_done)
    assert world.now - start == pytest.approx(2 * LATENCY_S)
    for end in world.ends:
        assert end.sent == [FIN, ACK]
        assert end.stream.finished


def test_a_fin_to_which_this_end_has_none_to_add_is_acknowledged_like_any_segment():
    world = confirmed()
    world.ingress.ends = True
    start = world.now
    world.run(until=lambda: world.exit.sent)
    assert world.exit.sent == [ACK]
    assert world.now - start == pytest.approx(LATENCY_S + 0.025)
    world.run(duration=1)
    assert world.ingress.sent == [FIN]  # it has waited for that


def test_a_fin_does_not_spare_the_acknowledgement_that_would_overtake_it():
    ingress, exit_ = make_pair()
    ingress.receive(exit_.send(b"x", 100.0).frames, 100.0)
    ingress.delivered(1, 100.0)
    ingress.send(bytes(8193), 100.0)
    (fin,) = ingress.finish(100.0).frames
    assert fin.type == FIN
    (ack,) = ingress.timeout(100.025).frames
    assert ack.type == ACK


@pytest.mark.parametrize("marked", [False, True])
def test_a_fin_spares_the_acknowledgement_unless_that_says_more(marked):
    ingress, exit_ = make_pair()
    (data,) = exit_.send(b"x", 100.0).frames
    ingress.receive([data.with_mark() if marked else data], 100.0)
    (fin,) = ingress.finish(100.0).frames
    assert len(ingress.timeout(100.025).frames) == marked
    exit_.receive([fin], 100.01)
    assert exit_.unacknowledged_segments == 0
    assert exit_.round_trip_s == pytest.approx(0.01)


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


def closing(outgoing=b""):
    """The ingress has finished first; the exit's FIN, and ``outgoing`` before it, are about to go out."""
    world = confirmed()
    world.ingress.ends = True
    world.run(until=lambda: world.ingress.stream.state is State.FIN_ACKNOWLEDGED)
    for end in world.ends:
        end.sent.clear()
    world.exit.outgoing, world.exit.ends = outgoing, True
    return world


def deaf(frame, now):
    """The exit hears nothing authentic any more."""
    return [(LATENCY_S, frame)] if frame.from_exit or frame.type == FrameType.UNKNOWN else []


def test_whoever_misses_only_the_last_acknowledgement_ends_in_order_and_soon():
    world = closing()
    world.fate = deaf
    start = world.now
    world.run(until=lambda: world.ingress.done_at)
    assert world.now - start == pytest.approx(LATENCY_S)
    world.run(until=world.all_done)
    assert world.now - start < 1.0 + 1.0 + 0.1  # an unmeasured path: a second to repeat the FIN, one to ask
    assert world.exit.sent == [FIN, FIN, PROBE, FIN, PROBE]
    assert world.exit.resets == []
    assert all(end.stream.finished for end in world.ends)


def test_an_acknowledgement_of_last_bytes_may_be_lost():
    world = closing(b"last words")
    lost = []

    def fate(frame, now):
        if not frame.from_exit and not lost:
            lost.append(frame)
            return []
        return [(LATENCY_S, frame)]

    world.fate = fate
    start = world.now
    world.run(until=lambda: world.exit.done_at)
    assert [frame.type for frame in lost] == [ACK]
    assert world.now - start < 1.2
    world.run(until=world.all_done)
    assert world.now - start == pytest.approx(LATENCY_S + 3.0)
    assert all(end.stream.finished for end in world.ends)


def test_an_end_that_cannot_know_whether_its_last_bytes_have_arrived_says_so():
    # They have, but nothing that says so gets through while the other end is there.
    world = closing(b"last words")
    world.fate = deaf
    world.run(until=world.all_done)
    assert bytes(world.ingress.incoming) == b"last words"
    assert world.ingress.stream.finished
    assert world.exit.resets == [ResetCode.GONE]
    assert not world.exit.stream.finished
    assert world.exit.count(PROBE) == 3


def test_bytes_that_were_lost_for_good_are_no_end_in_order():
    world = closing(b"lost words")
    world.fate = nothing
    world.run(until=lambda: world.exit.done_at)
    assert world.exit.resets == [ResetCode.TIMED_OUT]
    assert not world.exit.stream.finished
    assert world.ingress.finishes == 0
    world.fate = lambda frame, now: [(LATENCY_S, frame)]
    world.run(until=world.all_done)
    assert world.ingress.resets == [ResetCode.GONE]


def test_forged_unknowns_do_not_make_a_closing_end_forget_its_fin():
    world = closing()
    lost = []

    def fate(frame, now):
        if frame.type == FIN and not lost:
            lost.append(frame)
            return []
        return [(LATENCY_S, frame)]

    world.fate = fate
    world.pump(world.exit)
    for _ in range(1000):
        world.apply(world.exit, tell_unknown(world.exit.stream, world.now))
    world.run(duration=0.001)
    for _ in range(1000):
        world.apply(world.exit, tell_unknown(world.exit.stream, world.now))
    world.run(until=world.all_done)
    assert all(end.stream.finished for end in world.ends)
    assert world.exit.resets == world.ingress.resets == []


def test_an_end_that_waits_for_its_local_socket_says_again_what_the_other_end_missed():
    world = confirmed()
    world.ingress.taking = False
    world.exit.outgoing = b"slowly taken"
    world.run(duration=1)
    world.exit.ends = world.ingress.ends = True
    lost = []

    def fate(frame, now):
        if frame.type == ACK and len(lost) < 2:
            lost.append(frame)
            return []
        return [(LATENCY_S, frame)]

    world.fate = fate
    world.run(duration=100)
    assert len(lost) == 2
    assert world.exit.stream.finished
    assert world.ingress.stream.state is State.DONE
    assert not world.ingress.done
    world.take(world.ingress, 12)
    assert world.ingress.done
    assert world.ingress.stream.finished


def waiting_for_its_local_socket():
    """An end that is done but for its local socket, and its other end, which is done."""
    ingress, exit_ = make_pair()
    exit_.receive(ingress.finish(100.0).frames, 100.0)
    frames = [*exit_.send(b"x", 100.0).frames, *exit_.finish(100.0).frames]
    answers = ingress.receive(frames, 100.0)
    assert ingress.state is State.DONE
    assert not answers.done
    return ingress, exit_, frames


def test_an_end_that_is_done_answers_every_kind_of_question():
    ingress, exit_, frames = waiting_for_its_local_socket()
    assert [frame.type for frame in ingress.receive(frames, 101.0).frames] == [ACK]
    assert [frame.type for frame in ingress.receive(exit_.confirm(101.0).frames, 101.0).frames] == [ACK]
    resets = exit_.reset(ResetCode.RESET, 101.0).frames
    effects = ingress.receive(resets, 101.0)
    assert [frame.type for frame in effects.frames] == [RESET]
    assert effects.peer_reset is None
    assert exit_.receive(effects.frames, 101.0).done
    assert not ingress.receive(effects.frames, 101.0).frames
    assert ingress.forged_frames == 1


def test_an_end_that_is_done_can_still_be_given_up_by_its_local_socket():
    ingress, _, frames = waiting_for_its_local_socket()
    effects = ingress.reset(ResetCode.RESET, 101.0)
    assert effects.done
    assert not effects.frames
    assert not ingress.finished
    assert not ingress.receive(frames, 101.0).frames


def test_an_end_that_is_done_is_not_upset_by_nonsense():
    session, peer = sessions()
    stream = make_stream(session)
    stream.finish(100.0)
    stream.receive(
        [peer.seal_segment(DATA, 0, b"x"), peer.seal_segment(FIN, 1, encode_fin(Fin(1, 0.0)))], 100.0
    )
    assert stream.state is State.DONE
    effects = stream.receive([peer.seal_segment(DATA, 2, b"x"), peer.seal_control(RESET, b"?")], 100.0)
    assert effects.peer_reset is None
    assert not effects.delivered
    assert stream.delivered(1, 100.0).done is False
    assert stream.timeout(103.0).done
    assert stream.finished


def test_the_end_waits_for_the_local_socket():
    world = confirmed()
    world.exit.taking = False
    world.ingress.outgoing, world.ingress.ends, world.exit.ends = b"last words", True, True
    world.run(duration=100)
    assert world.ingress.done_at
    assert world.exit.stream.state is State.DONE
    assert not world.exit.done
    assert world.exit.stream.deadline() == inf
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


def test_bytes_that_the_reset_overtook_are_delivered_before_it():
    world = confirmed()
    world.fate = lambda frame, now: [(0.3 if frame.type == DATA else LATENCY_S, frame)]
    world.ingress.outgoing = b"last words"
    world.run(duration=0.001)
    world.apply(world.ingress, world.ingress.stream.reset(ResetCode.RESET, world.now))
    world.run(until=world.all_done)
    assert bytes(world.exit.incoming) == b"last words"
    assert world.exit.resets == [ResetCode.RESET]


def test_bytes_that_never_arrive_do_not_hold_the_reset_up():
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
    assert budget.reserved_bytes > 60_000 + 65_536
    assert not stream.reset(ResetCode.RESET, 100.0).done
    assert budget.reserved_bytes == 65_536
    stream.release()
    stream.release()
    assert budget.reserved_bytes == 0
    assert stream.deadline() == inf
    assert stream.writable_bytes == 0


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
        tell_unknown(stream, 101.0),
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
    with pytest.raises(LocalProtocolError, match="0 bytes to send"):
        stream.send(b"", 100.0)
    with pytest.raises(LocalProtocolError, match="more than was handed out"):
        stream.delivered(1, 100.0)
    stream.finish(100.0)
    with pytest.raises(LocalProtocolError, match="FIN sent"):
        stream.send(b"x", 100.0)
    with pytest.raises(LocalProtocolError, match="reached its end"):
        stream.finish(100.0)
    assert stream.unacknowledged_segments == 1
