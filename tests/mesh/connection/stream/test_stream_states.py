"""The table of a stream's states: what it leads to, and from where."""

import pytest

from mesh.connection.stream.states import (
    ACTIVE,
    FIN_UNACKNOWLEDGED,
    SENDING,
    TRANSITIONS,
    Event,
    State,
    advance,
)


def test_the_table_holds_nothing_else():
    assert len(TRANSITIONS) == 28


def test_done_is_final_and_every_state_can_reach_it():
    assert not [event for state, event in TRANSITIONS if state is State.DONE]
    reaching = {State.DONE}
    for _ in State:
        reaching |= {state for (state, _), to in TRANSITIONS.items() if to in reaching}
    assert reaching == set(State)


def test_no_event_leads_back():
    order = list(State)
    assert all(order.index(to) > order.index(state) for (state, _), to in TRANSITIONS.items())


@pytest.mark.parametrize("state", ACTIVE)
@pytest.mark.parametrize("event", [Event.RESET, Event.PEER_RESET, Event.GIVE_UP])
def test_whoever_needs_something_can_be_broken_off(state, event):
    assert advance(state, event) in {State.RESETTING, State.DRAINING, State.DONE}


def test_the_groups_agree_with_the_table():
    assert set(SENDING) == {state for state, event in TRANSITIONS if event is Event.FINISH}
    assert set(FIN_UNACKNOWLEDGED) == {
        state for state, event in TRANSITIONS if event is Event.FIN_ACKNOWLEDGED
    }
    assert set(ACTIVE) | {State.RESETTING} == {s for s, event in TRANSITIONS if event is Event.GIVE_UP}
