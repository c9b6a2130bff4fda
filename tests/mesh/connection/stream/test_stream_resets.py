"""How a stream ends by reset: after what preceded it, answered, once; and nothing comes of it later."""

from math import inf

import pytest

from mesh.connection.stream import ResetCode, StreamBudget
from mesh.connection.stream.states import State
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
