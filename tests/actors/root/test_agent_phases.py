"""How an agent lives and leaves: the table, walked whole."""

import itertools

import pytest

from actors.root.phases import TRANSITIONS, Event, Phase

MOVES = {
    Phase.WAITING: {Event.BUILT: Phase.RUNNING, Event.LEAVE: Phase.LEFT},
    Phase.RUNNING: {Event.CORE_ENDED: Phase.WAITING, Event.LEAVE: Phase.YIELDING},
    Phase.YIELDING: {Event.PREFERENCE_OVER: Phase.LINGERING, Event.LAST_CALL: Phase.DRAINING},
    Phase.LINGERING: {Event.CONNECTIONS_GONE: Phase.DRAINING, Event.LAST_CALL: Phase.DRAINING},
    Phase.DRAINING: {
        Event.GRACE_OVER: Phase.ROUTED_AROUND,
        Event.CONNECTIONS_GONE: Phase.EMPTY,
        Event.DRAIN_TIMED_OUT: Phase.RESETTING,
    },
    Phase.ROUTED_AROUND: {
        Event.CONNECTIONS_GONE: Phase.WITHDRAWING,
        Event.DRAIN_TIMED_OUT: Phase.RESETTING,
    },
    Phase.EMPTY: {Event.GRACE_OVER: Phase.WITHDRAWING},
    Phase.RESETTING: {
        Event.CONNECTIONS_GONE: Phase.WITHDRAWING,
        Event.RESET_TIMED_OUT: Phase.WITHDRAWING,
    },
    Phase.WITHDRAWING: {Event.WITHDRAWN: Phase.CLOSING, Event.CLOSING_TIMED_OUT: Phase.STOPPING},
    Phase.CLOSING: {Event.LINKS_CLOSED: Phase.STOPPING, Event.CLOSING_TIMED_OUT: Phase.STOPPING},
    Phase.STOPPING: {Event.SERVICES_STOPPED: Phase.LEFT, Event.CORE_ENDED: Phase.LEFT},
    Phase.LEFT: {},
}

LEAVING = list(Phase)[list(Phase).index(Phase.YIELDING) :]
"""From the first phase of leaving to the last."""

TIMERS = (
    Event.PREFERENCE_OVER,
    Event.LAST_CALL,
    Event.GRACE_OVER,
    Event.DRAIN_TIMED_OUT,
    Event.RESET_TIMED_OUT,
    Event.CLOSING_TIMED_OUT,
)


def after(phase, event):
    return TRANSITIONS.get((phase, event), phase)


@pytest.mark.parametrize(("phase", "event"), list(itertools.product(Phase, Event)))
def test_every_event_moves_the_agent_on_or_changes_nothing(phase, event):
    assert after(phase, event) is MOVES[phase].get(event, phase)
    if phase in LEAVING:
        assert LEAVING.index(after(phase, event)) >= LEAVING.index(phase), (
            "an agent that leaves never turns back"
        )


@pytest.mark.parametrize("phase", [phase for phase in LEAVING if phase is not Phase.LEFT])
def test_time_alone_brings_an_agent_that_leaves_to_stop_its_services(phase):
    for event in TIMERS:
        phase = after(phase, event)
    assert phase is Phase.STOPPING


@pytest.mark.parametrize("events", list(itertools.permutations([Event.GRACE_OVER, Event.CONNECTIONS_GONE])))
def test_it_withdraws_once_it_is_routed_around_and_its_connections_are_gone(events):
    first, second = events
    middle = after(Phase.DRAINING, first)
    assert middle not in (Phase.DRAINING, Phase.WITHDRAWING)
    assert after(middle, first) is middle
    assert after(middle, second) is Phase.WITHDRAWING
