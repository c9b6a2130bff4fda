"""Connections that change their keys while they carry bytes, with whatever happens on the way."""

import random
from math import inf

import pytest

from mesh.connection.stream import ResetCode
from mesh.connection.stream.rekeying import TRANSITIONS, Event, State, _advance
from mesh.errors import AuthenticationError, LocalProtocolError, OvertakenError
from mesh.link.frames import FrameType
from scripts.lab.frames import changed
from tests.mesh.connection.stream.harness import (
    LATENCY_S,
    MIB,
    confirmed,
    make_stream,
    nothing,
    pattern,
    sessions,
)

SESSION_KEYS, DATA, PROBE = FrameType.SESSION_KEYS, FrameType.DATA, FrameType.PROBE
HOUR_S = 3600.0
HOURLY = {"age_s": HOUR_S}
OFTEN = {"age_s": 1.0, "byte_count": 64 * 1024, "least_age_s": 0.1}


def rekeying(end):
    return end.stream._rekeying


def generations(world):
    return tuple(0 if rekeying(end) is None else rekeying(end).generation for end in world.ends)


def keys(end):
    """What the session of an end holds."""
    session = end.stream._session
    held = (session._send_key, session._receive_key, session._next_send_key, session._other_receive_key)
    return {key for key in held if key}


def is_settled(world):
    return all(rekeying(end).state is State.QUIET for end in world.ends)


def look(world):
    """What an actor does when it wakes."""
    for end in world.ends:
        if end.stream.is_worn:
            world.apply(end, end.stream.timeout(world.now))


def ask_now(world, end):
    """Have the keys of one end be due."""
    end.stream._rekey_at = world.now
    world.apply(end, end.stream.timeout(world.now))


def assert_unharmed(world):
    assert not any(end.resets for end in world.ends)
    assert not any(end.stream.forged_frames for end in world.ends)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_is_not_in_the_table_cannot_happen(state, event):
    if (state, event) in TRANSITIONS:
        assert _advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(LocalProtocolError):
            _advance(state, event)


# When


def test_an_idle_connection_is_keyed_anew_within_an_hour():
    world = confirmed(keys=HOURLY)
    first = [keys(end) for end in world.ends]
    identity = world.ingress.stream._session.id
    world.run(duration=HOUR_S * 0.8)
    assert generations(world) == (0, 0)
    world.run(duration=HOUR_S * 0.2)
    assert generations(world) == (1, 1)
    assert is_settled(world)
    now = [keys(end) for end in world.ends]
    assert now[0] == now[1]
    assert len(now[0]) == 2
    assert not now[0] & first[0]
    assert {end.stream._session.id for end in world.ends} == {identity}
    # One question, one answer, and each end's word that it has switched.
    assert [end.count(SESSION_KEYS) for end in world.ends] == [2, 2]
    world.run(duration=9.6 * HOUR_S)
    assert generations(world) == (11, 11)
    assert_unharmed(world)


def test_nothing_is_made_for_a_connection_that_ends_within_the_hour():
    world = confirmed(keys=HOURLY)
    world.run(duration=HOUR_S * 0.8)
    assert [rekeying(end) for end in world.ends] == [None, None]


def test_an_exit_asks_if_its_ingress_does_not():
    world = confirmed(keys=HOURLY)
    world.ingress.stream._rekey_at = inf
    world.run(duration=HOUR_S + 1)
    assert generations(world) == (1, 1)
    assert is_settled(world)
    assert keys(world.ingress) == keys(world.exit)


def test_an_end_of_an_older_build_is_not_asked():
    world = confirmed(pair=[make_stream(each, keys=OFTEN) for each in sessions(renews_keys=False)])
    world.run(duration=60.0)
    assert generations(world) == (0, 0)
    assert not any(end.count(SESSION_KEYS) or end.stream.is_worn for end in world.ends)


@pytest.mark.parametrize("which", [0, 1])
def test_so_much_carried_either_way_is_enough(which):
    world = confirmed(keys={"byte_count": 64 * 1024, "least_age_s": 0.1})
    sending, taking = world.ends[which], world.ends[1 - which]
    data = pattern(MIB)
    for start in range(0, MIB, 50_000):
        sending.outgoing = data[start : start + 50_000]
        world.run(duration=0.2)
        look(world)
        world.run(duration=0.2)
    assert taking.incoming == data
    assert generations(world)[0] == generations(world)[1] >= 10
    assert_unharmed(world)


def test_an_exit_that_may_not_be_wanted_asks_nothing():
    world = confirmed(keys=OFTEN)
    exit_ = world.exit
    exit_.stream._liveness.heard = False
    world.fate = nothing
    world.run(duration=3.0)
    assert exit_.count(SESSION_KEYS) == 0


# On the way


class Wild:
    """A network that loses, repeats, delays and reorders, by chance."""

    def __init__(self, seed, loss=0.2):
        self.draw, self.loss = random.Random(seed), loss

    def __call__(self, frame, now):
        draw = self.draw
        if draw.random() < self.loss:
            return []
        times = 2 if draw.random() < 0.2 else 1
        return [(draw.choice([0.001, 0.01, 0.05, 0.3]) * draw.random(), frame) for _ in range(times)]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_frames_every_byte_arrives_and_nothing_counts_as_forged(seed):
    world = confirmed(keys=OFTEN)
    world.fate = Wild(seed)
    data = [pattern(600_000, seed=1), pattern(600_000, seed=2)]
    for start in range(0, 600_000, 10_000):
        for which, end in enumerate(world.ends):
            end.outgoing = bytes(end.outgoing) + data[which][start : start + 10_000]
        world.run(duration=0.4)
        look(world)
    for end in world.ends:
        end.ends = True
    world.run(duration=120.0, until=world.all_done)
    assert [bytes(end.incoming) for end in world.ends] == [data[1], data[0]]
    assert [end.finishes for end in world.ends] == [1, 1]
    assert min(generations(world)) > 5
    assert_unharmed(world)


class Lossy:
    """A network that loses the first so many frames of some kind, by a test's choice."""

    def __init__(self, world, which, losses):
        self.world, self.which, self.losses = world, which, losses

    def __call__(self, frame, now):
        if frame.type == SESSION_KEYS and frame.from_exit == self.which and self.losses:
            self.losses -= 1
            return []
        return [(LATENCY_S, frame)]


@pytest.mark.parametrize("losses", [1, 2, 3])
@pytest.mark.parametrize("which", [False, True])
def test_what_is_lost_of_the_exchange_is_said_again_while_bytes_go_on(which, losses):
    world = confirmed(keys=HOURLY)
    world.fate = Lossy(world, which, losses)
    ask_now(world, world.ingress)
    for _ in range(50):
        for end in world.ends:
            end.outgoing = b"x" * 1000
        world.run(duration=0.2)
    assert [len(end.incoming) for end in world.ends] == [50_000, 50_000]
    assert generations(world) == (1, 1)
    assert is_settled(world)
    assert_unharmed(world)
    # Nothing was waited for: no segment was sent twice.
    assert [end.stream.repeated_segments for end in world.ends] == [0, 0]


@pytest.mark.parametrize("seed", range(6))
def test_both_may_ask_at_once(seed):
    world = confirmed(keys=HOURLY)
    world.fate = Wild(seed, loss=0.3)
    for _ in range(4):
        for end in world.ends:
            ask_now(world, end)
        world.run(duration=30.0)
        assert is_settled(world)
        assert keys(world.ingress) == keys(world.exit)
    assert generations(world)[0] == generations(world)[1] >= 1
    assert_unharmed(world)


def test_of_two_questions_the_ingress_s_stands():
    world = confirmed(keys=HOURLY)
    for end in world.ends:
        ask_now(world, end)
    assert [rekeying(end).state for end in world.ends] == [State.ASKING, State.ASKING]
    world.run(duration=1.5 * LATENCY_S)
    assert [rekeying(end).state for end in world.ends] == [State.ASKING, State.ANSWERED]
    world.run(duration=1.0)
    assert generations(world) == (1, 1)
    assert is_settled(world)


def test_what_a_new_key_seals_may_come_before_the_word_of_it():
    world = confirmed(keys=HOURLY)
    late = {SESSION_KEYS: 0.2}
    world.fate = lambda frame, now: [(late.get(frame.type, LATENCY_S), frame)]
    ask_now(world, world.ingress)
    world.run(until=lambda: rekeying(world.ingress).state is State.SWITCHED)
    world.ingress.outgoing = b"sealed with the new key"
    world.run(duration=0.1)
    assert rekeying(world.exit).state is State.ANSWERED  # it has not been told
    assert bytes(world.exit.incoming) == b"sealed with the new key"
    assert_unharmed(world)


def test_a_path_that_is_gone_for_a_while_costs_no_connection():
    world = confirmed(keys=HOURLY)
    ask_now(world, world.ingress)
    world.fate = nothing
    world.run(duration=25.0)
    world.fate = lambda frame, now: [(LATENCY_S, frame)]
    world.run(duration=10.0)
    assert generations(world) == (1, 1)
    assert_unharmed(world)


# What is gone


def test_the_former_keys_are_gone_and_open_nothing():
    world = confirmed(keys=HOURLY)
    kept = []
    world.fate = lambda frame, now: kept.append(frame) or [(LATENCY_S, frame)]
    world.ingress.outgoing = b"yesterday"
    world.run(duration=1.0)
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.run(duration=1.0)
    (segment,) = [frame for frame in kept if frame.type == DATA]
    probe = next(frame for frame in kept if frame.type == PROBE)
    before = keys(world.ingress) | keys(world.exit)
    ask_now(world, world.ingress)
    world.run(duration=1.0)
    assert is_settled(world)
    assert not before & (keys(world.ingress) | keys(world.exit))
    # A copy that comes late is no sign of a forger.
    session = world.exit.stream._session
    with pytest.raises(OvertakenError):
        session.open_segment(segment)
    with pytest.raises(OvertakenError):
        session.open_control(probe)
    world.arrive(world.exit, segment)
    assert_unharmed(world)


def test_a_former_key_stays_until_all_that_it_sealed_has_arrived():
    world = confirmed(keys=HOURLY | {"least_age_s": 0.0})
    world.fate = lambda frame, now: [] if frame.type == DATA else [(LATENCY_S, frame)]
    world.ingress.outgoing = b"sealed with the former key"
    world.run(duration=0.05)
    former = keys(world.ingress)
    ask_now(world, world.ingress)
    world.run(duration=0.3)
    assert [rekeying(end).state for end in world.ends] == [State.QUIET, State.SETTLING]
    assert len(keys(world.exit) & former) == 1
    # And its sender does not ask for other keys meanwhile.
    ask_now(world, world.ingress)
    assert rekeying(world.ingress).state is State.QUIET
    world.fate = lambda frame, now: [(LATENCY_S, frame)]
    world.run(duration=5.0)
    assert bytes(world.exit.incoming) == b"sealed with the former key"
    assert not keys(world.exit) & former
    assert_unharmed(world)


def test_a_forged_segment_is_told_from_a_late_one():
    world = confirmed(keys=HOURLY)
    kept = []
    world.fate = lambda frame, now: kept.append(frame) or [(LATENCY_S, frame)]
    ask_now(world, world.ingress)
    world.run(duration=1.0)
    world.ingress.outgoing = b"today"
    world.run(duration=1.0)
    (segment,) = [frame for frame in kept if frame.type == DATA]
    with pytest.raises(AuthenticationError):
        world.exit.stream._session.open_segment(changed(segment, body=bytes(len(segment.body))))


def test_an_end_that_never_answers_is_given_up_in_the_end():
    world = confirmed(keys={"age_s": HOUR_S, "patience_s": 100.0})
    world.fate = lambda frame, now: [] if frame.type == SESSION_KEYS else [(LATENCY_S, frame)]
    ask_now(world, world.ingress)
    began = world.now
    world.run(duration=90.0)
    assert not world.ingress.resets
    assert 15 <= world.ingress.count(SESSION_KEYS) <= 30
    world.run(until=lambda: world.ingress.resets)
    assert world.now == pytest.approx(began + 100.0)
    assert world.ingress.resets == [ResetCode.NO_NEW_KEYS]
    world.run(duration=2.0)
    assert world.exit.resets == [ResetCode.NO_NEW_KEYS]


def test_an_end_that_asks_and_never_switches_is_given_up_too():
    world = confirmed(keys={"age_s": HOUR_S, "patience_s": 100.0})
    session = world.ingress.stream._session

    def fate(frame, now):
        if frame.type == SESSION_KEYS and not frame.from_exit and session.hears_new_keys is False:
            return []
        return [(LATENCY_S, frame)]

    world.fate = fate
    ask_now(world, world.ingress)
    world.run(duration=99.0)
    assert not any(end.resets for end in world.ends)
    world.run(duration=5.0)
    assert all(end.resets == [ResetCode.NO_NEW_KEYS] for end in world.ends)


def test_keys_are_of_one_size_on_the_wire_whatever_is_said():
    world = confirmed(keys=HOURLY)
    said = []
    world.fate = lambda frame, now: said.append(frame) or [(LATENCY_S, frame)]
    ask_now(world, world.ingress)
    world.run(duration=1.0)
    assert [len(frame.body) for frame in said if frame.type == SESSION_KEYS] == [77] * 4
