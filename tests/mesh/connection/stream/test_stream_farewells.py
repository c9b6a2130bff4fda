"""The end that finishes second, and says farewell; and last bytes that go with the end of the stream."""

import pytest

from mesh.connection.stream import ResetCode
from mesh.connection.stream.control import Fin, encode_fin
from mesh.connection.stream.states import State
from mesh.link.frames import FrameType
from mesh.trust.identity import NO_AGENT
from tests.mesh.connection.stream.harness import (
    LATENCY_S,
    confirmed,
    make_pair,
    make_stream,
    nothing,
    pattern,
    sessions,
    tell_unknown,
)

ACK, DATA, FIN = FrameType.ACK, FrameType.DATA, FrameType.FIN


def finishing(size=0):
    """The exit's farewell is about to go out: its bytes are acknowledged, the ingress's FIN is not."""
    world = confirmed()
    world.exit.outgoing = pattern(size)
    world.run(duration=1)
    world.ingress.ends = True
    world.run(until=lambda: world.exit.finishes)
    for end in world.ends:
        end.sent.clear()
    world.exit.ends = True
    return world


@pytest.mark.parametrize("size", [0, 5])
def test_a_farewell_is_not_acknowledged(size):
    world = finishing(size)
    start = world.now
    world.run(until=world.all_done)
    assert (world.ingress.sent, world.exit.sent) == ([], [FIN])
    assert world.exit.done_at == start
    assert world.ingress.done_at == pytest.approx(start + LATENCY_S)
    assert all(end.stream.finished for end in world.ends)


@pytest.mark.parametrize("count", [1, 4])
def test_a_farewell_that_is_lost_is_said_again(count):
    world = finishing()
    lost = []

    def fate(frame, now):
        if frame.type == FIN and frame.from_exit and len(lost) < count:
            lost.append(frame)
            return []
        return [(LATENCY_S, frame)]

    world.fate = fate
    world.run(until=world.all_done)
    assert world.exit.sent == [FIN] * (1 + count)
    assert world.ingress.resets == []
    assert all(end.stream.finished for end in world.ends)


def test_no_end_of_stream_is_made_up_for_a_farewell_that_nobody_says_any_more():
    world = finishing()
    world.fate = nothing
    world.run(until=lambda: world.exit.done_at)
    world.exit.farewells.forget(NO_AGENT, None)
    world.fate = lambda frame, now: [(LATENCY_S, frame)]
    world.run(until=world.all_done)
    assert world.ingress.finishes == 0
    assert world.ingress.resets == [ResetCode.GONE]
    assert not world.ingress.stream.finished


def test_an_end_with_bytes_on_the_way_or_with_last_ones_says_no_farewell():
    for last in (b"", b"bye"):
        ingress, exit_ = make_pair()
        exit_.receive(ingress.finish(100.0).frames, 100.0)
        if not last:
            exit_.send(b"x", 100.0)
        exit_.finish(100.0, last)
        assert exit_.state is State.CLOSING
        assert exit_.farewell == ()


def test_an_end_that_has_acknowledged_the_others_fin_says_no_farewell():
    ingress, exit_ = make_pair()
    exit_.receive(ingress.finish(100.0).frames, 100.0)
    ingress.receive(exit_.timeout(100.025).frames, 100.03)
    assert ingress.state is State.FIN_ACKNOWLEDGED
    effects = exit_.finish(100.04)
    assert exit_.state is State.CLOSING
    effects = ingress.receive(effects.frames, 100.05)
    assert exit_.receive(effects.frames, 100.06).done


def test_an_end_that_has_said_farewell_and_waits_for_its_local_socket_says_it_again():
    ingress, exit_ = make_pair()
    frames = [*ingress.send(b"x", 100.0).frames, *ingress.finish(100.0).frames]
    exit_.receive(frames, 100.0)
    effects = exit_.finish(100.0)
    assert exit_.state is State.DONE
    assert not effects.done
    assert exit_.farewell == ()  # it is here to say it
    assert exit_.receive(frames[1:], 101.0).frames == effects.frames
    probe = ingress.confirm(101.0).frames
    assert exit_.receive(probe, 101.0).frames == effects.frames
    assert exit_.delivered(1, 102.0).done
    assert exit_.farewell == tuple(effects.frames)
    assert ingress.receive(effects.frames, 103.0).done
    assert ingress.finished


def test_a_farewell_to_an_end_that_has_more_to_say_is_a_fin_like_any_other():
    session, peer = sessions()
    stream = make_stream(session)
    stream.receive([peer.seal_segment(FIN, 0, encode_fin(Fin(0, 0.0, is_last=True)))], 100.0)
    assert stream.state is State.PEER_FINISHED
    assert [frame.type for frame in stream.timeout(100.025).frames] == [ACK]
    stream.send(b"x", 100.1)
    stream.finish(100.1)
    assert stream.state is State.CLOSING


def test_an_end_that_is_broken_says_no_farewell():
    ingress, exit_ = make_pair()
    exit_.receive([*ingress.send(b"x", 100.0).frames, *ingress.finish(100.0).frames], 100.0)
    exit_.finish(100.0)
    exit_.reset(ResetCode.RESET, 100.0)
    assert exit_.farewell == ()


def test_the_last_bytes_go_with_the_fin_and_are_acknowledged_like_others():
    world = confirmed()
    world.apply(world.ingress, world.ingress.stream.finish(world.now, b"request"))
    world.run(until=lambda: world.exit.finishes)
    assert bytes(world.exit.incoming) == b"request"
    world.apply(world.exit, world.exit.stream.finish(world.now, b"answer"))
    start = world.now
    world.run(until=world.all_done)
    assert bytes(world.ingress.incoming) == b"answer"
    assert (world.ingress.sent, world.exit.sent) == ([FIN, ACK], [FIN])
    assert all(end.stream.finished for end in world.ends)
    assert world.ingress.done_at == pytest.approx(start + LATENCY_S + 3.0)  # to acknowledge the answer again


def test_many_last_bytes_go_before_the_fin():
    ingress, exit_ = make_pair()
    frames = ingress.finish(100.0, bytes(8193)).frames
    assert [frame.type for frame in frames] == [DATA, FIN]
    assert sum(map(len, exit_.receive(frames, 100.0).delivered)) == 8193


def test_a_fin_with_bytes_that_is_lost_for_good_is_no_end_in_order():
    ingress, exit_ = make_pair()
    exit_.receive(ingress.finish(100.0).frames, 100.0)
    exit_.finish(100.0, b"lost words")
    for now in range(101, 200):
        exit_.timeout(now)
        effects = tell_unknown(exit_, now)
        if effects.done:
            break
    assert effects.peer_reset is ResetCode.GONE
    assert not exit_.finished
