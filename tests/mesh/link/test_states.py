"""The table of a link."""

import itertools

import pytest

from mesh.errors import LocalProtocolError
from mesh.link.states import TRANSITIONS, UNADMITTED, LinkEvent, LinkState, advance


@pytest.mark.parametrize(("state", "event"), list(itertools.product(LinkState, LinkEvent)))
def test_each_pair_is_in_the_table_or_an_error(state, event):
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(LocalProtocolError, match=event.value):
            advance(state, event)


def test_each_state_can_be_reached_and_all_but_the_last_be_left():
    assert {LinkState.HANDSHAKE, *TRANSITIONS.values()} == set(LinkState)
    left = {state for (state, _), after in TRANSITIONS.items() if after is not state}
    assert left == set(LinkState) - {LinkState.CLOSED}


def test_any_link_can_end_at_once_and_only_once():
    ends = {state for state, event in TRANSITIONS if event is LinkEvent.ENDED}
    assert ends == set(LinkState) - {LinkState.CLOSED}
    assert {TRANSITIONS[state, LinkEvent.ENDED] for state in ends} == {LinkState.CLOSED}
    assert not [event for state, event in TRANSITIONS if state is LinkState.CLOSED]


def test_nobody_is_admitted_without_a_proof():
    ways = {after: state for (state, event), after in TRANSITIONS.items() if event is not LinkEvent.ENDED}
    assert ways[LinkState.UP] is LinkState.WAITING
    assert {LinkState.HANDSHAKE, LinkState.CONFIRMING, LinkState.WAITING} == UNADMITTED
