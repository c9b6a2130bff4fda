"""The tables of a supervisor and of its children, walked whole."""

import itertools

import pytest

from actors.runtime import supervisor
from actors.runtime.children import TRANSITIONS, Backoff, Child, ChildSpec, Event, State
from mesh.errors import LocalProtocolError

EVENTS = {
    State.WAITING: {Event.STARTED, Event.CANNOT_START, Event.CALLED_OFF},
    State.RUNNING: {Event.ENDED, Event.CALLED_OFF},
    State.LAST_RUN: {Event.ENDED, Event.CALLED_OFF, Event.ASKED, Event.FORCE},
    State.FINISHING: {Event.ENDED, Event.CALLED_OFF, Event.OVERDUE},
    State.FORCED: {Event.ENDED, Event.CALLED_OFF, Event.OVERDUE},
    State.GONE: set(),
}
"""What can happen to a child in each state."""

CALLED_OFF = {State.LAST_RUN, State.FINISHING, State.FORCED, State.GONE}
"""States in which a child will not be started again."""


def child(state=State.WAITING):
    def start():
        raise NotImplementedError

    made = Child(ChildSpec("a", start))
    made.state = state
    return made


def reachable(table, state):
    found = {state}
    while more := {after for (before, _), after in table.items() if before in found} - found:
        found |= more
    return found


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_event_moves_a_child_on_or_is_a_bug(state, event):
    subject = child(state)
    if event not in EVENTS[state]:
        with pytest.raises(LocalProtocolError, match=f"a {state.value}, yet it {event.value}"):
            subject.take(event)
        assert subject.state is state
        return
    after = subject.take(event)
    assert subject.state is after
    assert after in CALLED_OFF or (state not in CALLED_OFF and event is not Event.CALLED_OFF)
    if event in (Event.ENDED, Event.CANNOT_START):
        assert after is (State.GONE if state in CALLED_OFF else State.WAITING)


@pytest.mark.parametrize("state", State)
def test_every_child_can_be_ended_for_good(state):
    assert State.GONE in reachable(TRANSITIONS, state)
    assert state in reachable(TRANSITIONS, State.WAITING)


@pytest.mark.parametrize("state", [State.FINISHING, State.FORCED])
def test_time_alone_ends_a_child_that_does_not_answer(state):
    subject = child(state)
    for _ in range(2):
        if subject.state is not State.GONE:
            subject.take(Event.OVERDUE)
    assert subject.state is State.GONE


def test_a_run_that_lasted_resets_the_backoff():
    subject, backoff = child(), Backoff(first_s=1.0, cap_s=8.0, stable_s=60.0)
    ever_longer = [subject.restart_delay_s(0.0, 0.5, backoff) for _ in range(10)]
    assert ever_longer == sorted(ever_longer)
    assert ever_longer[0] < ever_longer[-1] <= backoff.cap_s
    subject.started_at_s = 100.0
    assert subject.restart_delay_s(159.9, 0.5, backoff) == ever_longer[-1]
    assert subject.restart_delay_s(160.0, 0.5, backoff) == ever_longer[0]
    assert subject.restart_delay_s(100.1, 0.5, backoff) == ever_longer[1]


@pytest.mark.parametrize(("state", "event"), list(itertools.product(supervisor.State, supervisor.Event)))
def test_a_supervisor_only_comes_nearer_to_its_end(state, event):
    order = list(supervisor.State)
    after = supervisor.TRANSITIONS.get((state, event), state)
    match event:
        case supervisor.Event.RETIRE:
            expected = max(state, supervisor.State.RETIRED, key=order.index)
        case supervisor.Event.SHUT_DOWN:
            expected = max(state, supervisor.State.SHUTTING_DOWN, key=order.index)
        case (
            supervisor.Event.NO_CHILD_LEFT
        ):  # without any from the beginning it still waits for some to be added
            is_ending = state in supervisor.ENDING
            expected = supervisor.State.STOPPED if is_ending else state
    assert after is expected
