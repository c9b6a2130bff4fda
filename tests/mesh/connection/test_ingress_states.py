"""The table of an opening at its ingress."""

from mesh.connection.ingress_states import TRANSITIONS, IngressState


def test_each_state_can_be_reached_and_all_but_the_last_be_left():
    assert {IngressState.STANDING_BY, *TRANSITIONS.values()} == set(IngressState)
    left = {state for (state, _), after in TRANSITIONS.items() if after is not state}
    assert left == set(IngressState) - {IngressState.ENDED, IngressState.OPEN}


def test_an_end_is_for_good():
    assert not any(state is IngressState.ENDED for state, _ in TRANSITIONS)
