"""How a stream ends in order, whatever is lost or forged meanwhile; and what may not be asked of it."""

from math import inf

import pytest

from mesh.connection.stream import ResetCode
from mesh.connection.stream.control import Fin, encode_fin
from mesh.connection.stream.states import State
from mesh.errors import LocalProtocolError
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import (
    LATENCY_S,
    MIB,
    confirmed,
    make_pair,
    make_stream,
    nothing,
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


def test_a_short_connection_takes_no_acknowledgement_of_its_own():
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
    assert world.now - start == pytest.approx(0.002)
    assert world.exit.done_at == start
    assert world.ingress.sent == [DATA, FIN]
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
    assert world.exit.count(PROBE) == 5


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
