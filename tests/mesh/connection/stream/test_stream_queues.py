"""A stream whose data waits in a long queue on the way: control frames go first there, and overtake it."""

import pytest

from mesh.connection.stream import ResetCode, StreamBudget
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import MIB, World, make_pair, pattern

DATA, FIN, PROBE = FrameType.DATA, FrameType.FIN, FrameType.PROBE
LATENCY_S = 0.01


def queue_of(seconds):
    """Data waits so long, control does not."""
    return lambda frame, now: [(seconds if frame.type in (DATA, FIN) else LATENCY_S, frame)]


def crowded(seconds):
    """A world with such a queue, of whose marks other connections of the agents hear all the time."""
    budget = StreamBudget(256 * MIB)
    budget.marked_at = 1e9
    return World(fate=queue_of(seconds), pair=make_pair(budget=budget))


def test_an_exit_hears_that_it_was_chosen_before_the_first_bytes_arrive():
    world = World(fate=queue_of(60.0))
    world.ingress.outgoing = pattern(1000)
    start = world.now
    world.run(until=lambda: world.exit.stream.heard)
    assert world.now - start == pytest.approx(1.0 + LATENCY_S)
    assert world.ingress.count(PROBE) == 1


def test_data_that_waits_longer_than_the_reroute_timeout_arrives():
    world = crowded(100.0)
    for end in world.ends:
        end.outgoing, end.ends = pattern(20_000), True
    world.run(until=world.all_done)
    for end in world.ends:
        assert bytes(end.incoming) == pattern(20_000)
        assert end.finishes == 1
        assert not end.resets


def test_data_that_never_arrives_though_the_other_end_answers_is_given_up():
    world = World(fate=queue_of(1e9), reroute_timeout_s=30.0)
    world.ingress.outgoing = pattern(1000)
    start = world.now
    world.run(until=lambda: world.ingress.resets)
    assert world.ingress.resets == [ResetCode.NO_PROGRESS]
    assert 30.0 <= world.now - start < 36.0
    world.run(until=lambda: world.exit.resets)
    assert world.exit.resets == [ResetCode.NO_PROGRESS]


def test_answers_that_overtake_data_do_not_hurry_its_repetition():
    world = crowded(100.0)
    world.ingress.outgoing = pattern(1000)
    world.run(duration=99.0)
    assert 15 < world.ingress.count(PROBE) < 30  # each is answered, and proves that the path is there
    assert world.ingress.stream.repeated_segments < 26  # every 5 s, after a quick start


def test_after_an_outage_the_first_answer_starts_the_repetition_at_once():
    world = World()
    world.ingress.outgoing = pattern(1000)
    world.run(duration=1.0)
    world.fate = lambda frame, now: []
    world.ingress.outgoing = pattern(1000)
    world.run(duration=12.0)
    world.exit.sent.clear()
    world.fate = lambda frame, now: [] if frame.type == DATA and not world.exit.sent else [(LATENCY_S, frame)]
    world.run(until=lambda: world.exit.sent)
    answered_at = world.now
    world.run(until=lambda: len(world.exit.incoming) == 2000)
    assert world.now - answered_at < 3 * LATENCY_S
