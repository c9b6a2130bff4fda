"""The two ends of a question to another agent: when they wait no more, and what they keep."""

import pytest

from mesh.remote.talks import ANSWER_S, CALL_S, OPENED_S, QUESTION_S, Answering, Asking
from mesh.remote.wire import MAX_ANSWER_BYTES, MAX_REQUEST_BYTES

NOON = 1000.0


def test_a_question_that_does_not_come_to_its_end_is_waited_for_so_long():
    talk = Answering(NOON)
    talk.take(b"half a quest", NOON)
    assert talk.question(NOON) is None
    assert talk.deadline() == NOON + QUESTION_S
    talk.look(NOON + QUESTION_S - 0.1)
    assert not talk.has_expired
    talk.look(NOON + QUESTION_S)
    assert talk.has_expired


def test_a_question_is_handed_out_once_and_its_answer_is_to_be_fetched_in_time():
    talk = Answering(NOON)
    talk.take(b"what", NOON)
    talk.ended(NOON + 1)
    assert talk.question(NOON + 2) == b"what"
    assert talk.question(NOON + 2) is None
    assert talk.next_piece(NOON + 3) == b""
    talk.answer(bytes(200_000))
    said = 0
    while piece := talk.next_piece(NOON + 4):
        said += len(piece)
        assert not talk.is_over
    assert (said, talk.is_over, talk.has_finished) == (200_000, True, True)
    assert talk.deadline() == NOON + 2 + ANSWER_S
    talk.look(NOON + 2 + ANSWER_S)
    assert talk.has_expired


def test_an_answer_of_nothing_ends_it_too():
    talk = Answering(NOON)
    talk.take(b"what", NOON)
    talk.ended(NOON)
    talk.answer(b"")
    assert talk.next_piece(NOON) == b""
    assert talk.is_over


def test_no_more_is_kept_of_a_question_than_one_has():
    talk = Answering(NOON)
    assert talk.room(NOON) == MAX_REQUEST_BYTES + 1
    talk.take(bytes(MAX_REQUEST_BYTES), NOON)
    assert (talk.room(NOON), talk.has_expired) == (1, False)
    talk.take(b"x", NOON)
    assert talk.has_expired
    talk.ended(NOON)
    assert talk.question(NOON) is None


@pytest.mark.parametrize(("is_open", "waits_s"), [(False, OPENED_S), (True, CALL_S)])
def test_who_asks_waits_so_long_for_the_connection_and_for_the_answer(is_open, waits_s):
    talk = Asking(b"what", NOON)
    if is_open:
        talk.opened()
    assert talk.next_piece(NOON) == b"what"
    assert (talk.next_piece(NOON), talk.has_finished) == (b"", True)
    talk.look(NOON + waits_s - 0.1)
    assert not talk.has_expired
    talk.look(NOON + waits_s)
    assert talk.has_expired


def test_no_more_is_kept_of_an_answer_than_one_has():
    talk = Asking(b"", NOON)
    talk.take(bytes(MAX_ANSWER_BYTES), NOON)
    assert (talk.room(NOON), talk.has_expired) == (1, False)
    talk.take(b"x", NOON)
    assert talk.has_expired
