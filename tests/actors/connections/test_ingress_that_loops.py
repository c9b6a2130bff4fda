"""An ingress whose client is the socket of an exit; the exits are in the hands of the test, and may lie."""

import pytest

from actors.messages import connection as messages
from actors.messages.listener import CandidateFailed
from mesh.connection.loops import LoopWatch
from mesh.connection.reject_codes import IngressVerdict
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


def test_a_client_that_comes_after_the_exit_has_said_so_is_reset(opening_of, monkeypatch):
    opening = opening_of(EXIT, stands_by=True)
    monkeypatch.setattr(LoopWatch, "client_came", lambda *_: EXIT.id)  # who has said it earlier
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
