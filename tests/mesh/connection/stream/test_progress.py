"""What a stream makes of frames that do not arrive: is it the path from here, and since when?"""

import itertools

import pytest

from mesh.connection.stream import PathVerdict, StreamBudget
from mesh.connection.stream.budget import MOST_LATE_S
from mesh.connection.stream.progress import QUEUED_STALL_S, SILENCE_S, STALL_S
from mesh.connection.stream.rtt import INITIAL_TIMEOUT_S
from mesh.connection.stream.states import State
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import LATENCY_S, MIB, World, make_pair, nothing, pattern

DATA, FIN, ACK, PROBE = FrameType.DATA, FrameType.FIN, FrameType.ACK, FrameType.PROBE
CONTROLS = (ACK, PROBE)


class Judging(World):
    """Keeps what the ends say of their paths; with ``heals`` another first hop is there at once."""

    def __init__(self, *, heals=False, **settings):
        super().__init__(**settings)
        self.verdicts = []
        self.heals = heals
        self.healed = set()
        """Ends that have another first hop."""

    def apply(self, end, effects):
        super().apply(end, effects)
        if effects.path is None:
            return
        side = "ingress" if end is self.ends[0] else "exit"
        self.verdicts.append((side, effects.path, self.now))
        if effects.path is PathVerdict.FAILED and self.heals:
            self.healed.add(side)
            self.apply(end, end.stream.path_changed(self.now))

    def lose(self, loses):
        """From now on, but for the ends that have another first hop."""

        def fate(frame, now):
            side = "exit" if frame.from_exit else "ingress"
            return [] if loses(frame) and side not in self.healed else [(LATENCY_S, frame)]

        self.fate = fate

    def said(self, kind):
        return [side for side, verdict, _ in self.verdicts if verdict is kind]


def talking(**settings):
    """Both ends have heard of each other, and know the path."""
    world = Judging(**settings)
    for end in world.ends:
        end.outgoing = pattern(1000)
    world.run(duration=2.0)
    assert not world.verdicts
    return world


def speak(world, *ends):
    for end in ends:
        end.outgoing = pattern(1000)
    return world.now


def test_data_that_is_lost_while_the_other_end_answers():
    world = talking(heals=True)
    world.lose(lambda frame: frame.type == DATA)
    start = speak(world, world.ingress)
    world.run(until=lambda: len(world.exit.incoming) == 2000)
    assert world.verdicts[0] == ("ingress", PathVerdict.FAILED, pytest.approx(start + STALL_S, abs=0.01))
    world.run(duration=1.0)
    assert [verdict[:2] for verdict in world.verdicts[1:]] == [("ingress", PathVerdict.PROVED)]


def test_a_new_stream_finds_it_as_fast():
    world = Judging(heals=True)
    world.lose(lambda frame: frame.type == DATA)
    start = speak(world, world.ingress)
    world.run(until=lambda: world.exit.incoming)
    assert world.now - start < INITIAL_TIMEOUT_S + 0.1  # after which it asks
    assert world.said(PathVerdict.FAILED) == ["ingress"]


def test_each_end_finds_its_own_direction():
    for guilty, from_exit in (("ingress", False), ("exit", True)):
        for speaker in (0, 1):
            world = talking(heals=True)
            world.lose(lambda frame, from_exit=from_exit: frame.from_exit == from_exit)
            start = speak(world, world.ends[speaker])
            world.run(until=lambda world=world: world.verdicts)
            assert world.verdicts[0][:2] == (guilty, PathVerdict.FAILED)
            assert world.now - start < 3.0
            world.run(duration=5.0)
            assert len(world.ends[1 - speaker].incoming) == 2000
            # The other end says nothing of what it does not wait for: that may be no more than a moment.
            is_heard = from_exit == (speaker == 0)
            proof = PathVerdict.PROVED if is_heard else PathVerdict.HEARD
            assert [verdict[:2] for verdict in world.verdicts[1:]] == [(guilty, proof)]


def test_both_directions():
    world = talking(heals=True)
    world.lose(lambda frame: True)
    start = speak(world, world.ingress)
    world.run(until=lambda: len(world.said(PathVerdict.HEARD) + world.said(PathVerdict.PROVED)) == 2)
    assert world.now - start < SILENCE_S + 1.0
    assert world.said(PathVerdict.HEARD) == ["ingress"]
    assert world.said(PathVerdict.PROVED) == ["exit"], "which hears the other by then"


@pytest.mark.parametrize("late", [False, True])
def test_a_connection_tries_another_path_before_its_time_is_over(late):
    budget = StreamBudget(256 * MIB)
    world = talking(pair=make_pair(budget=budget, reroute_timeout_s=2.0), heals=True)
    if late:
        budget.segment_was_late(1.0, world.now)
    world.lose(lambda frame: True)
    speak(world, world.ingress)
    world.run(duration=3.0)
    assert len(world.exit.incoming) == 2000
    assert all(end.stream.state is State.OPEN for end in world.ends)


def test_an_answer_has_two_round_trips_however_short_the_patience_with_silence():
    world = Judging(pair=make_pair(reroute_timeout_s=2.0), fate=lambda frame, now: [(0.4, frame)])
    speak(world, world.ingress, world.exit)
    world.run(duration=5.0)
    for end in world.ends:
        assert end.stream._progress.answer_late_s(world.now) >= 2 * 0.8


def test_answers_alone():
    world = talking(heals=True)
    world.lose(lambda frame: frame.from_exit and frame.type in CONTROLS)
    start = speak(world, world.ingress, world.exit)
    world.run(until=lambda: world.said(PathVerdict.PROVED))
    assert world.verdicts[0][:2] == ("exit", PathVerdict.FAILED)
    assert world.now - start < 2.0


def test_where_nothing_helps_doubts_become_rarer():
    world = talking()
    world.fate = nothing
    speak(world, world.ingress)
    world.run(duration=29.0)
    times = [time for _, _, time in world.verdicts]
    assert 2 <= len(times) <= 6
    assert all(later - earlier > SILENCE_S for earlier, later in itertools.pairwise(times))


def test_a_receiver_that_takes_nothing_is_no_failed_path():
    world = talking()
    world.exit.taking = False
    world.ingress.outgoing = pattern(MIB)
    world.run(duration=100.0)
    assert world.ingress.stream.writable_bytes == 0
    assert not world.verdicts


def test_an_end_that_was_silent_for_long_is_no_failed_path():
    world = talking()
    for _ in range(5):
        world.run(duration=200.0)
        speak(world, world.ingress, world.exit)
        world.run(duration=10.0)
    assert not world.verdicts


@pytest.mark.parametrize("latency_s", [0.0, 0.001, 0.3, 0.7])
def test_a_long_path_is_no_failed_path(latency_s):
    world = Judging(fate=lambda frame, now: [(latency_s, frame)])
    for _ in range(5):
        speak(world, world.ingress, world.exit)
        world.run(duration=10.0)
    assert not world.verdicts


@pytest.mark.parametrize("seconds", [1.0, 4.0, 8.0])
def test_a_queue_of_seconds_is_no_failed_path(seconds):
    """It grows by a fifth of the time that passes, and control goes first."""
    begun_at = 105.0

    def fate(frame, now):
        if frame.type in CONTROLS:
            return [(LATENCY_S, frame)]
        waiting_s = min(max((now - begun_at) / 5, 0.0), seconds)
        return [(waiting_s + LATENCY_S, frame.with_mark() if waiting_s else frame)]

    world = Judging(fate=fate)
    world.run(duration=0.0)
    for _ in range(300):
        speak(world, world.ingress)
        world.run(duration=0.25)
    assert len(world.exit.incoming) > 150_000
    assert not world.said(PathVerdict.FAILED)


def test_progress_long_after_another_path_was_taken_may_be_chance():
    """A queue that nobody has heard of, of four seconds at once, looks like a path that loses everything."""
    world = Judging(fate=lambda frame, now: [(LATENCY_S if frame.type in CONTROLS else 4.0, frame)])
    speak(world, world.ingress)
    world.run(duration=6.0)
    assert set(world.said(PathVerdict.FAILED)) == {"ingress"}
    assert world.said(PathVerdict.HELPED) == ["ingress"]
    assert not world.said(PathVerdict.PROVED)


def test_a_new_stream_among_many_has_more_patience():
    budget = StreamBudget(256 * MIB)
    budget.marked_at = 1e9
    world = Judging(pair=make_pair(budget=budget))
    world.lose(lambda frame: frame.type == DATA)
    start = speak(world, world.ingress)
    world.run(until=lambda: world.verdicts)
    assert world.now - start == pytest.approx(QUEUED_STALL_S, abs=0.01)


def test_where_other_segments_come_late_a_stream_waits_for_its_own():
    budget = StreamBudget(256 * MIB)
    world = Judging(pair=make_pair(budget=budget))
    world.lose(lambda frame: frame.type == DATA)
    budget.segment_was_late(2.0, world.now)
    start = speak(world, world.ingress)
    world.run(until=lambda: world.verdicts)
    assert world.now - start == pytest.approx(2 * 2.0, abs=0.1)


def test_an_end_that_acknowledges_as_late_as_it_can_does_not_keep_others_on_a_path_that_loses_all():
    budget = StreamBudget(256 * MIB)
    hostile = Judging(pair=make_pair(budget=budget))
    hostile.fate = lambda frame, now: [(LATENCY_S if frame.type in CONTROLS else 25.0, frame)]
    speak(hostile, hostile.ingress)
    hostile.run(until=lambda: not hostile.ingress.stream.unacknowledged_segments)
    world = Judging(pair=make_pair(budget=budget), heals=True)
    world.now = hostile.now
    world.lose(lambda frame: frame.type == DATA)
    start = speak(world, world.ingress)
    world.run(until=lambda: world.exit.incoming or world.ingress.done)
    assert len(world.exit.incoming) == 1000
    assert world.now - start == pytest.approx(2 * MOST_LATE_S, abs=0.1)


def test_on_a_long_path_the_answer_to_what_is_repeated_comes_first():
    for latency_s in (0.2, 0.4, 0.5):
        world = Judging(fate=lambda frame, now, latency_s=latency_s: [(latency_s, frame)])
        for _ in range(40):  # until the path is well known
            speak(world, world.ingress)
            world.run(duration=3 * latency_s)
        world.exit.outgoing = pattern(30 * MIB)
        world.run(duration=3.0)
        lost = []

        def lose_one(frame, now, latency_s=latency_s, lost=lost):
            if frame.type == DATA and not frame.from_exit and not lost:
                lost.append(frame)
                return []
            return [(latency_s, frame)]

        world.fate = lose_one
        speak(world, world.ingress)
        world.run(duration=3.0)
        assert lost
        assert len(world.exit.incoming) == 41 * 1000
        assert not world.verdicts


def test_where_everything_is_held_up_for_a_second_and_nothing_is_lost_nobody_is_blamed():
    for held_s in (0.8, 1.0, 1.3):
        for speakers in ((0,), (1,), (0, 1)):
            world = talking(heals=True)
            goes_on_at = world.now + held_s
            world.fate = lambda frame, now, goes_on_at=goes_on_at: [(max(LATENCY_S, goes_on_at - now), frame)]
            speak(world, *(world.ends[speaker] for speaker in speakers))
            world.run(duration=3.0)
            assert not world.verdicts, (held_s, speakers)
            assert all(len(world.ends[1 - speaker].incoming) == 2000 for speaker in speakers)


def test_a_segment_that_came_late_is_told_to_all_streams_but_not_one_that_took_another_path():
    for heals in (False, True):
        budget = StreamBudget(256 * MIB)
        world = Judging(pair=make_pair(budget=budget), heals=heals)
        latency_s = LATENCY_S if heals else 0.6
        speak(world, world.ingress)
        world.fate = lambda frame, now, wait=latency_s: [
            (LATENCY_S if frame.type in CONTROLS else wait, frame)
        ]
        if heals:
            world.lose(lambda frame: frame.type == DATA)
        world.run(until=lambda world=world: not world.ingress.stream.unacknowledged_segments)
        assert len(world.exit.incoming) == 1000
        assert budget.late_s(world.now) == (0.0 if heals else pytest.approx(0.6, abs=0.1))


def test_both_directions_within_three_seconds():
    world = talking(heals=True)
    world.lose(lambda frame: True)
    start = speak(world, world.ingress, world.exit)
    world.run(until=lambda: all(len(end.incoming) == 2000 for end in world.ends))
    assert world.now - start < 2.5


def test_an_acknowledgement_that_was_late_says_nothing_of_segments():
    budget = StreamBudget(256 * MIB)
    world = Judging(pair=make_pair(budget=budget), heals=True)
    world.lose(lambda frame: frame.from_exit)
    speak(world, world.ingress)
    world.run(until=lambda: not world.ingress.stream.unacknowledged_segments)
    assert world.said(PathVerdict.FAILED) == ["exit"]
    assert budget.late_s(world.now) == 0.0
    assert world.ingress.stream._sender.waited_s < 0.1
