"""An ingress whose client is the socket of an exit; the exits are in the hands of the test, and may lie."""

import pytest

from actors.messages import connection as messages
from actors.messages.listener import CandidateFailed
from mesh.connection.loops import LoopWatch
from mesh.connection.patience import HEDGE_AFTER_S
from mesh.connection.reject_codes import IngressVerdict
from mesh.link.frames import FrameType
from tests.actors.company import start
from tests.actors.connections.end_company import EXIT, OTHER_EXIT, RESET
from tests.actors.connections.ingress_company import Opening


@pytest.fixture
def opening_of():
    made: list[Opening] = []

    def make(*identities, **settings):
        made.append(Opening(*identities, **settings))
        return made[-1]

    yield make
    for opening in made:
        opening.world.stop()


def loops_found(opening):
    return opening.ingress_meters.loops_cut, opening.listener.of(CandidateFailed)


def test_a_client_that_is_the_chosen_exits_own_socket_is_reset(opening_of):
    opening = opening_of(EXIT)
    [candidate] = opening.exits
    candidate.answer(socket_tag=opening.ingress._client_tag)
    opening.run(0.1)
    assert opening.client.end == RESET
    assert loops_found(opening) == (1, [CandidateFailed(EXIT.id, IngressVerdict.LOOP)])
    opening.run(60.0)
    assert not opening.ingress.ref.is_alive()
    assert opening.settings.loops._clients == opening.settings.loops._said == {}


@pytest.mark.interpreted
def test_a_client_that_comes_after_the_exit_has_said_so_is_reset(opening_of, monkeypatch):
    opening = opening_of(EXIT, stands_by=True)
    monkeypatch.setattr(LoopWatch, "client_came", lambda *_: (EXIT.id,))  # who has said it earlier
    opening.serve(*opening.parties)
    opening.run(0.1)
    assert opening.client.end == RESET
    assert loops_found(opening) == (1, [CandidateFailed(EXIT.id, IngressVerdict.LOOP)])


def test_an_exit_cannot_have_clients_reset_that_are_led_to_others(opening_of):
    opening = opening_of(EXIT)
    [candidate] = opening.exits
    opening.tell(messages.CameBack(OTHER_EXIT.id))
    candidate.answer()
    opening.tell(messages.CameBack(OTHER_EXIT.id))
    opening.run(1.0)
    assert opening.client.end == ""
    assert loops_found(opening) == (0, [])
    opening.tell(messages.CameBack(EXIT.id))
    opening.run(0.1)
    assert opening.client.end == RESET


def served_by(opening, candidate):
    session = candidate.answer()
    candidate.send(session.seal_segment(FrameType.DATA, 0, b"welcome"))
    opening.run(0.1)
    return bytes(opening.client.received) == b"welcome" and opening.client.end == ""


def test_an_exit_that_claims_the_client_is_followed_by_the_next_at_once(opening_of):
    opening = opening_of(EXIT, OTHER_EXIT)
    first, second = opening.exits
    opening.tell(messages.CameBack(EXIT.id))
    assert opening.client.end == ""
    assert len(second.opens) == 1
    assert loops_found(opening) == (1, [CandidateFailed(EXIT.id, IngressVerdict.LOOP)])
    first.answer()  # it is not chosen, though it is the first to accept
    assert len(first.wire.of(FrameType.RESET)) == 1
    assert served_by(opening, second)
    assert opening.table.ended == [(1, False)]


@pytest.mark.parametrize("answers_first", [False, True])
def test_an_exit_that_claims_the_client_ends_what_is_tried_with_it_alone(opening_of, answers_first):
    opening = opening_of(EXIT, OTHER_EXIT)
    first, second = opening.exits
    opening.run(HEDGE_AFTER_S + 0.1)
    if answers_first:
        assert served_by(opening, second)
        opening.tell(messages.CameBack(EXIT.id))
        assert opening.client.end == ""
        assert opening.ingress_meters.loops_cut == 0
    else:
        opening.tell(messages.CameBack(EXIT.id))
        asked = len(first.opens)
        opening.run(3.0)
        assert len(first.opens) == asked
        assert served_by(opening, second)


def test_a_client_that_all_exits_claim_is_reset_and_what_they_opened_is_declined(opening_of):
    opening = opening_of(EXIT, OTHER_EXIT)
    first, second = opening.exits
    opening.offer()
    opening.tell(messages.CameBack(EXIT.id))
    opening.tell(messages.CameBack(OTHER_EXIT.id))
    opening.run(0.1)
    assert opening.client.end == RESET
    assert opening.ingress_meters.connections_reset == 1
    for candidate in (first, second):
        candidate.answer()
        assert len(candidate.wire.of(FrameType.RESET)) == 1
    assert opening.is_over


def test_a_client_whose_other_exit_refuses_is_reset(opening_of):
    opening = opening_of(EXIT, OTHER_EXIT)
    first, second = opening.exits
    opening.tell(messages.CameBack(EXIT.id))
    second.answer("refused")
    opening.run(0.1)
    assert opening.client.end == RESET
    first.answer("restarting")
    assert opening.is_over


def test_an_exit_that_has_claimed_the_client_is_not_tried_later(opening_of):
    opening = opening_of(EXIT, OTHER_EXIT)
    first, second = opening.exits
    opening.tell(messages.CameBack(OTHER_EXIT.id))
    opening.run(3.0)
    assert second.opens == []
    assert opening.ingress_meters.loops_cut == 0  # it had not been asked
    assert served_by(opening, first)


def test_an_exit_that_claims_the_client_before_it_is_asked_is_left_out(opening_of):
    opening = opening_of(EXIT, OTHER_EXIT, register=False)
    first, second = opening.exits
    opening.tell(messages.CameBack(EXIT.id))
    assert loops_found(opening) == (1, [CandidateFailed(EXIT.id, IngressVerdict.LOOP)])
    opening.table.answers = True
    opening.tell(messages.IngressRegistered(EXIT.id, 1, first.wire.ref))
    assert first.opens == []
    assert opening.table.ended == [(1, False)]
    assert len(second.opens) == 1


def test_an_exit_without_a_path_that_claims_the_client_is_let_go(opening_of):
    opening = opening_of(EXIT, OTHER_EXIT, register=False)
    first, second = opening.exits
    opening.table.answers = True
    opening.tell(messages.IngressRegistered(EXIT.id, 1, None))
    opening.tell(messages.CameBack(EXIT.id))
    opening.tell(messages.PathChanged(EXIT.id, first.wire.ref))
    assert first.opens == []
    assert opening.table.ended == [(1, False)]
    assert len(second.opens) == 1


def test_a_client_is_told_whose_socket_it_is_said_to_be_and_nobody_else_is(opening_of):
    opening = opening_of(EXIT)
    [candidate] = opening.exits
    strangers = [start(opening.world, host="branch") for _ in range(2)]
    for number, stranger in enumerate(strangers):
        opening.settings.loops.client_came(b"tag of " + bytes([number]), stranger.ref)
    candidate.answer(socket_tag=b"tag of \0")
    opening.run(0.1)
    assert [stranger.heard for stranger in strangers] == [[messages.CameBack(EXIT.id)], []]
    assert opening.client.end == ""


def test_one_that_stands_by_hears_nothing_of_it(opening_of):
    opening = opening_of(EXIT, stands_by=True)
    opening.tell(messages.CameBack(EXIT.id))
    assert opening.ingress.ref.is_alive()
    assert loops_found(opening) == (0, [])
