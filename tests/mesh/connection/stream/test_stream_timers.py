"""What a stream does as time goes by: acknowledge, repeat, ask, give up."""

import itertools
from math import inf

import pytest

from mesh.connection.stream import INITIAL_WINDOW_BYTES, ResetCode
from mesh.connection.stream.states import State
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import MIB, World, make_pair, pattern, tell_unknown

ACK, PROBE, DATA, RESET = FrameType.ACK, FrameType.PROBE, FrameType.DATA, FrameType.RESET


def confirmed(**settings):
    """A world whose ingress has confirmed the connection; nothing is under way."""
    world = World(**settings)
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.run(duration=1.0)
    for end in world.ends:
        assert end.stream.heard
        assert end.stream.idle
        end.sent.clear()
    return world


def nothing(frame, now):
    return []


def within(latency):
    return lambda frame, now: [(latency, frame)]


# -- acknowledging -------------------------------------------------------------------------------------------


def test_a_fresh_stream_waits_for_nothing():
    ingress, exit_ = make_pair()
    assert ingress.deadline() == inf
    assert exit_.deadline() == inf
    assert ingress.writable_bytes == INITIAL_WINDOW_BYTES
    assert ingress.idle
    assert not ingress.heard


def test_a_lone_segment_is_acknowledged_within_25_ms():
    world = confirmed()
    world.ingress.outgoing = b"x"
    start = world.now
    world.run(until=lambda: world.exit.sent)
    assert world.exit.sent == [ACK]
    assert world.now - start == pytest.approx(0.01 + 0.025)


def test_a_fast_ping_pong_costs_few_acknowledgements():
    world = confirmed(fate=within(0.0002))
    start = world.now
    for number in range(1, 501):
        for end, other in (world.ends, reversed(world.ends)):
            end.outgoing = b"ping"
            world.run(until=lambda other=other, number=number: len(other.incoming) == 4 * number)
    lasted = world.now - start
    assert lasted == pytest.approx(0.2, rel=0.1)
    for end in world.ends:
        assert end.count(DATA) == 500
        assert end.count(ACK, PROBE) <= lasted / 0.025 + 2
        assert end.stream.repeated_segments == 0
    assert world.timeouts <= 2 * (lasted / 0.025 + 2)


def test_over_a_long_path_the_acknowledgement_goes_along_with_the_answer():
    world = confirmed(fate=within(0.05))
    world.timeouts = 0
    for number in range(1, 6):
        world.ingress.outgoing = b"request"
        world.run(until=lambda number=number: len(world.exit.incoming) == 7 * number)
        world.exit.outgoing = b"answer"
        world.run(until=lambda number=number: len(world.ingress.incoming) == 6 * number)
    assert world.exit.sent == [DATA, ACK] * 5
    assert world.timeouts <= 1  # the exit measures the path with its first answer
    assert world.exit.stream.repeated_segments == world.ingress.stream.repeated_segments == 0


def test_an_acknowledgement_waits_for_what_the_local_socket_takes():
    # A bulk transfer's ACK is made by ``delivered``, not by ``receive``: one frame carries both.
    ingress, exit_ = make_pair()
    frames = ingress.send(bytes(INITIAL_WINDOW_BYTES), 100.0).frames
    arrived = exit_.receive(frames, 100.01)
    assert not arrived.frames
    assert exit_.deadline() == pytest.approx(100.011)
    assert len(exit_.delivered(INITIAL_WINDOW_BYTES, 100.01).frames) == 1
    assert exit_.idle


def test_an_acknowledgement_does_not_wait_for_a_stalled_socket():
    ingress, exit_ = make_pair()
    exit_.receive(ingress.send(bytes(INITIAL_WINDOW_BYTES), 100.0).frames, 100.01)
    deadline = exit_.deadline()
    (ack,) = exit_.timeout(deadline).frames
    ingress.receive([ack], 100.02)
    assert ingress.unacknowledged_segments == 0
    assert ingress.writable_bytes == 0  # no credit yet


def test_a_duplicate_is_acknowledged_at_once():
    world = confirmed()
    (frame,) = world.ingress.stream.send(b"x", world.now).frames
    world.apply(world.exit, world.exit.stream.receive([frame], world.now))
    world.run(duration=0.03)
    world.exit.sent.clear()
    assert not world.exit.stream.receive([frame], world.now).delivered
    assert world.exit.stream.deadline() == pytest.approx(world.now + 0.001)


# -- repeating -----------------------------------------------------------------------------------------------


def lose_first(kind, count=1):
    """The first ``count`` frames of ``kind`` after the confirmation are lost."""
    left = [count]

    def fate(frame, now):
        if frame.type == kind and now >= 101 and left[0]:
            left[0] -= 1
            return []
        return [(0.01, frame)]

    return fate


def test_a_lost_tail_is_probed_before_the_timeout():
    world = confirmed(fate=lose_first(DATA))
    start = world.now
    world.ingress.outgoing = b"lost"
    world.run(until=lambda: world.exit.incoming)
    assert world.now - start == pytest.approx(0.02 + 4 * 0.01 + 0.035 + 0.01)


def test_repetitions_are_spaced_ever_wider():
    world = confirmed()
    world.fate = nothing
    world.ingress.outgoing = b"lost"
    world.pump(world.ingress)
    times = [world.now]
    while len(times) < 7:
        before = world.ingress.count(DATA)
        world.step()
        if world.ingress.count(DATA) > before:
            times.append(world.now)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == pytest.approx([0.02 + 4 * 0.01 + 0.035, 0.2, 0.4, 0.8, 1.6, 3.2])


def test_a_gap_is_reported_and_repaired_in_a_round_trip():
    world = confirmed()
    world.ingress.outgoing, world.ingress.chunk = pattern(20_000), 2_000
    lost = []

    def fate(frame, now):
        if frame.type == DATA and frame.number in {3, 4} and frame.number not in lost:
            lost.append(frame.number)
            return []
        return [(0.01, frame)]

    world.fate = fate
    start = world.now
    world.run(until=lambda: len(world.exit.incoming) == 20_000)
    assert lost == [3, 4]
    assert world.now - start == pytest.approx(0.01 + 0.01 + 0.01 + 0.01, abs=0.005)
    assert world.ingress.stream.repeated_segments == 2
    assert bytes(world.exit.incoming) == pattern(20_000)


def test_mere_reordering_repeats_nothing():
    world = confirmed()
    world.ingress.outgoing, world.ingress.chunk = pattern(20_000), 2_000
    world.fate = lambda frame, now: [(0.018 if frame.type == DATA and frame.number % 3 == 0 else 0.01, frame)]
    world.run(duration=1)
    assert bytes(world.exit.incoming) == pattern(20_000)
    assert world.ingress.stream.repeated_segments == 0


@pytest.mark.parametrize("told", ["both", "sender", "receiver"])
def test_a_connection_outlives_its_path(told):
    # For 8 s nothing arrives; then the route changes, and of that perhaps only one end hears.
    world = confirmed()
    world.ingress.outgoing = pattern(5 * MIB)
    world.run(until=lambda: len(world.exit.incoming) > MIB)
    world.fate = nothing
    world.run(duration=8)
    world.fate = within(0.01)
    start = world.now
    for end in world.ends:
        if told == "both" or (end is world.ingress) == (told == "sender"):
            world.apply(end, end.stream.path_changed(world.now))
    world.run(until=lambda: len(world.exit.incoming) == 5 * MIB)
    assert bytes(world.exit.incoming) == pattern(5 * MIB)
    assert world.now - start < 1.0
    assert not world.ingress.resets


def test_a_better_path_costs_two_segments_at_most():
    world = confirmed()
    world.ingress.outgoing = pattern(5 * MIB)
    world.run(until=lambda: len(world.exit.incoming) > MIB)
    world.fate = within(0.008)
    for end in world.ends:
        world.apply(end, end.stream.path_changed(world.now))
    world.run(until=lambda: len(world.exit.incoming) == 5 * MIB)
    assert world.ingress.stream.repeated_segments <= 2


def test_a_change_of_path_leaves_a_quiet_connection_alone():
    world = confirmed()
    world.run(duration=45)
    assert not world.ingress.stream.path_changed(world.now).frames


# -- asking --------------------------------------------------------------------------------------------------


def test_a_confirmation_is_repeated_until_something_comes_back():
    world = World(fate=nothing)
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.run(duration=3.5)
    assert world.ingress.sent == [PROBE] * 3  # at 0, 1 and 3 s
    world.fate = within(0.01)
    world.run(duration=30)
    assert world.exit.stream.heard
    assert world.ingress.sent == [PROBE] * 4


def starve(world):
    """Send until the credit is used up, to a local socket that takes nothing."""
    world.exit.taking = False
    world.ingress.outgoing = pattern(INITIAL_WINDOW_BYTES + 1000)
    world.run(duration=1)
    assert world.ingress.stream.writable_bytes == 0
    assert world.ingress.stream.unacknowledged_segments == 0


def test_a_lost_grant_of_credit_is_asked_for():
    world = confirmed()
    starve(world)
    world.fate = lose_first(ACK)
    start = world.now
    world.exit.taking = True
    world.take(world.exit)
    world.run(until=lambda: len(world.exit.incoming) == INITIAL_WINDOW_BYTES + 1000)
    assert world.now - start < 1.5


def test_a_reader_that_stalls_for_an_hour_loses_nothing():
    world = confirmed()
    starve(world)
    world.ingress.sent.clear()
    world.run(duration=3600)
    assert 300 <= len(world.ingress.sent) <= 380  # a question each 10 s
    world.exit.taking = True
    world.take(world.exit)
    world.run(duration=1)
    assert bytes(world.exit.incoming) == pattern(INITIAL_WINDOW_BYTES + 1000)


def test_an_idle_connection_lives_for_a_day():
    world = confirmed()
    world.run(duration=86_400)
    assert not world.ingress.resets
    assert not world.exit.resets
    probes = sum(end.count(PROBE) for end in world.ends)
    assert 1_200 <= probes <= 2 * 1_441
    world.ingress.outgoing = b"still there"
    world.run(duration=1)
    assert bytes(world.exit.incoming) == b"still there"


def test_an_idle_connection_whose_other_end_vanished_is_given_up():
    world = confirmed()
    world.fate = nothing
    start = world.now
    world.run(until=world.all_done)
    assert world.now - start == pytest.approx(60 + 30, abs=2)
    for end in world.ends:
        assert end.resets == [ResetCode.TIMED_OUT]
        assert end.sent[-1] == RESET
        assert end.count(PROBE) == pytest.approx(10, abs=2)


def test_an_end_that_vanishes_after_an_answer_is_given_up_all_the_same():
    # Something is heard while segments are outstanding; these are what is owed an answer then.
    world = confirmed()
    world.fate = lambda frame, now: [] if frame.type in {DATA, PROBE} else [(0.01, frame)]
    world.ingress.outgoing = b"x"
    world.run(duration=0.05)
    sign = world.exit.stream.confirm(world.now).frames
    world.apply(world.ingress, world.ingress.stream.receive(sign, world.now))
    assert world.ingress.stream.unacknowledged_segments == 1
    world.fate = nothing
    start = world.now
    world.run(until=lambda: world.ingress.done_at, duration=100)
    assert world.ingress.resets == [ResetCode.TIMED_OUT]
    assert world.now - start == pytest.approx(30, abs=6)


@pytest.mark.parametrize("ends", [False, True])
def test_unanswered_data_is_given_up_after_the_reroute_timeout(ends):
    world = confirmed(reroute_timeout_s=20.0)
    world.fate = nothing
    world.ingress.outgoing, world.ingress.ends = pattern(1000), ends
    start = world.now
    world.run(until=lambda: world.ingress.done_at)
    assert 20 <= world.now - start <= 26
    assert world.ingress.resets == [ResetCode.TIMED_OUT]
    assert world.ingress.stream.deadline() == inf


def test_the_last_reset_reaches_an_end_that_is_merely_not_heard():
    world = confirmed()
    world.fate = lambda frame, now: [] if frame.from_exit else [(0.01, frame)]
    world.ingress.outgoing = b"x"
    world.run(until=world.all_done)
    assert world.ingress.resets == world.exit.resets == [ResetCode.TIMED_OUT]
    assert bytes(world.exit.incoming) == b"x"


# -- UNKNOWN -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outgoing", [b"", b"x"])
def test_an_end_whose_agent_forgot_it_is_found_gone_quickly(outgoing):
    world = confirmed()
    world.exit.done_at = world.now  # its agent has no such connection any more
    world.exit.stream.release()
    world.ingress.outgoing = outgoing
    if not outgoing:
        world.apply(world.ingress, tell_unknown(world.ingress.stream, world.now))
    start = world.now
    world.run(until=lambda: world.ingress.done_at)
    assert 0.5 < world.now - start < 2
    assert world.ingress.resets == [ResetCode.GONE]


def test_unknown_once_and_then_silence_is_no_proof():
    world = confirmed()
    world.fate = nothing
    for _ in range(10):
        world.apply(world.ingress, tell_unknown(world.ingress.stream, world.now))
    world.run(duration=20)
    assert not world.ingress.done
    world.fate = within(0.01)
    world.ingress.outgoing = b"back"
    world.run(duration=6)
    assert bytes(world.exit.incoming) == b"back"
    assert world.ingress.stream.state is State.OPEN


def test_forged_unknowns_do_not_add_up_between_genuine_answers():
    world = confirmed()
    for _ in range(20):
        for _ in range(3):
            world.apply(world.ingress, tell_unknown(world.ingress.stream, world.now))
        world.run(duration=1)
    assert world.ingress.stream.state is State.OPEN
    assert world.ingress.count(PROBE) == 20


def test_a_flood_of_unknown_is_answered_once():
    stream, _ = make_pair()
    frames = [frame for _ in range(1000) for frame in tell_unknown(stream, 100.0).frames]
    assert [frame.type for frame in frames] == [PROBE]
    assert stream.state is State.OPEN
