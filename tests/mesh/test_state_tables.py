"""The tables of state machines, walked: a pair that is in one leads where it says, any other is an error."""

import itertools

import pytest

from mesh.connection import exit_states, ingress_states
from mesh.connection.stream import states as stream_states
from mesh.errors import LocalProtocolError
from mesh.link import states as link_states

MACHINES = {
    "link": (link_states, link_states.LinkState, link_states.LinkEvent),
    "opening at its ingress": (ingress_states, ingress_states.IngressState, ingress_states.IngressEvent),
    "opening at its exit": (exit_states, exit_states.ExitState, exit_states.ExitEvent),
    "stream": (stream_states, stream_states.State, stream_states.Event),
}


@pytest.mark.parametrize(
    ("machine", "state", "event"),
    [
        pytest.param(machine, state, event, id=f"{name}-{state.name}-{event.name}")
        for name, (machine, states, events) in MACHINES.items()
        for state, event in itertools.product(states, events)
    ],
)
def test_an_event_leads_where_the_table_says_or_is_refused(machine, state, event):
    if (state, event) in machine.TRANSITIONS:
        assert machine.advance(state, event) is machine.TRANSITIONS[state, event]
    else:
        with pytest.raises(LocalProtocolError, match=event.value):
            machine.advance(state, event)


@pytest.mark.parametrize("name", MACHINES)
def test_a_table_has_nothing_else(name):
    machine, states, events = MACHINES[name]
    assert machine.TRANSITIONS.keys() <= set(itertools.product(states, events))
