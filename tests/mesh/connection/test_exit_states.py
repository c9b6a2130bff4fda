"""The table of an opening at its exit."""

from mesh.connection.exit_states import TRANSITIONS, UNANSWERED, ExitEvent, ExitState, advance


def test_each_state_can_be_reached_and_all_but_the_last_two_be_left():
    assert {ExitState.JUDGING, *TRANSITIONS.values()} == set(ExitState)
    assert {state for state, _ in TRANSITIONS} == set(ExitState) - {ExitState.OPEN, ExitState.ENDED}


def test_whoever_has_no_answer_can_be_refused():
    assert all(advance(state, ExitEvent.REFUSED) is ExitState.REJECTED for state in UNANSWERED)
    assert {state for state, event in TRANSITIONS if event is ExitEvent.REFUSED} == set(UNANSWERED)
