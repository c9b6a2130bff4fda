"""The table of a link."""

from mesh.link.states import TRANSITIONS, UNADMITTED, LinkEvent, LinkState


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
