"""The table of an opening at its ingress."""

import itertools

import pytest

from mesh.connection.ingress_states import TRANSITIONS, IngressEvent, IngressState, advance
from mesh.errors import LocalProtocolError


@pytest.mark.parametrize(("state", "event"), list(itertools.product(IngressState, IngressEvent)))
def test_each_pair_is_in_the_table_or_an_error(state, event):
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(LocalProtocolError, match=event.value):
            advance(state, event)


def test_each_state_can_be_reached_and_all_but_the_last_be_left():
    assert {IngressState.STANDING_BY, *TRANSITIONS.values()} == set(IngressState)
    left = {state for (state, _), after in TRANSITIONS.items() if after is not state}
    assert left == set(IngressState) - {IngressState.ENDED, IngressState.OPEN}


def test_an_end_is_for_good():
    assert not any(state is IngressState.ENDED for state, _ in TRANSITIONS)
