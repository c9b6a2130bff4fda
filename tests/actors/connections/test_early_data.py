"""What an ingress makes of early data when its client, or the exit that is given it, does as it likes."""

from typing import Any

import pytest

from actors.connections.first_words import HearingEnd
from mesh.connection.early_data import FIRST_PASSED, MOST_WAIT_S, HeardExits
from mesh.connection.loops import LoopWatch
from mesh.connection.opening_payloads import MAX_EARLY_BYTES, OpenReply, OpenRequest
from mesh.connection.pair_session import PairSession
from mesh.connection.pair_sessions import PairLimits, PairSessions
from mesh.connection.short_open import ShortResponder
from mesh.connection.stream import INITIAL_WINDOW_BYTES, ResetCode
from mesh.connection.stream.control import decode_reset
from mesh.link.frames import Frame, FrameType
from tests.actors.connections.end_company import EXIT, INGRESS, KEY, OTHER_EXIT, RESET, settings_of
from tests.actors.connections.ingress_company import Candidate, Opening
from tests.mesh.connection.replies import reply_with

OF_INGRESS, OF_EXIT = settings_of(INGRESS).party, settings_of(EXIT).party
PAIR = PairSession(b"p" * 32, OF_INGRESS.instance, OF_EXIT.instance)
RTT_STEP = 6
"""32 ms: a client is waited for 4 ms."""


pytestmark = pytest.mark.usefixtures("no_crashes")


@pytest.fixture
def opening():
    """An ingress whose client has come; it has a pair session with the first exit, which it has heard."""
    made = []

    def make(*others: Any, is_heard: bool = True, **settings: Any) -> Opening:
        pairs, heard = PairSessions(PairLimits()), HeardExits()
        pairs.of_ingress.agreed(OF_EXIT, PAIR, 0.0)
        if is_heard:
            heard.heard(OF_EXIT, 0.01, 0.0)
        made.append(Opening(EXIT, *others, rtt_step=RTT_STEP, pairs=pairs, heard=heard, **settings))
        return made[-1]

    yield make
    for scene in made:
        scene.world.stop()


@pytest.fixture
def spoken(opening):
    """One whose client has said hello at once."""

    def make(*others: Any) -> Opening:
        scene = opening(*others)
        scene.client.send(b"hello")
        scene.run(0.01)
        return scene

    return make


def asked(candidate: Candidate) -> tuple[OpenRequest, ShortResponder]:
    """What the first OPEN says, and what can answer it."""
    frame = candidate.opens[0]
    fields: Any = {"local": OF_EXIT, "remote": OF_INGRESS, "connection": frame.connection}
    responder = ShortResponder(**fields, keys=PAIR.keys(frame.connection))
    return responder.read_open(frame), responder


def accepted(scene: Opening, **reply: Any) -> tuple[Frame, Any]:
    """An answer to the OPEN of the first exit, and its session."""
    _, responder = asked(scene.exits[0])
    return reply_with(responder, OpenReply(**({"accepted": True, "credit": 65_536} | reply)))


def answer(scene: Opening, **reply: Any) -> Any:
    """Answer the OPEN of the first exit."""
    frame, session = accepted(scene, **reply)
    scene.exits[0].send(frame)
    scene.run(0.005)
    return session


def said_on_the_stream(scene: Opening, session: Any) -> list[tuple[int, bytes]]:
    """The segments that the ingress has sent."""
    return [(frame.number, session.open_segment(frame)) for frame in scene.exits[0].wire.of(FrameType.DATA)]


def test_what_the_client_says_at_once_goes_along_and_is_not_sent_again(spoken):
    scene = spoken()
    request, _ = asked(scene.exits[0])
    assert request == OpenRequest(
        KEY, INITIAL_WINDOW_BYTES, tells_client=True, renews_keys=True, early=b"hello"
    )
    session = answer(scene, took_early=True, early=b"world")
    assert scene.client.received == b"world"
    scene.client.send(b"more")
    scene.run(0.01)
    assert said_on_the_stream(scene, session) == [(1, b"more")]


def test_what_an_exit_did_not_take_is_the_beginning_of_the_stream(spoken):
    scene = spoken()
    session = answer(scene)
    assert said_on_the_stream(scene, session) == [(0, b"hello")]


def test_a_preface_comes_before_what_an_exit_did_not_take(spoken):
    scene = spoken()
    session = answer(scene, wants_client=True)
    [(number, data)] = said_on_the_stream(scene, session)
    assert number == 0
    assert data.endswith(b"hello")
    assert len(data) == 2 + int.from_bytes(data[:2], "big") + len(b"hello")


@pytest.mark.parametrize(
    "reply", [{"took_early": True, "wants_client": True}, {"credit": 3}, {"credit": 0, "took_early": True}]
)
def test_an_exit_that_contradicts_itself_costs_its_client_and_nothing_else(spoken, reply):
    scene = spoken()
    answer(scene, **reply)
    scene.run(0.1)
    assert scene.client.end == RESET
    scene.run(60.0)
    assert scene.is_over


def test_what_an_exit_takes_that_nobody_gave_it_is_nothing(opening):
    scene = opening()
    scene.run(0.01)
    session = answer(scene, took_early=True, early=b"world")
    assert scene.client.received == b"world"
    scene.client.send(b"hello")
    scene.run(0.01)
    assert said_on_the_stream(scene, session) == [(0, b"hello")]


def test_an_exit_that_rejects_is_followed_by_another_that_gets_the_same_bytes(spoken):
    scene = spoken(OTHER_EXIT)
    answer(scene, accepted=False, credit=0, code="refused")
    assert len(scene.exits[1].opens) == 1
    assert scene.exits[1].answer() is not None
    scene.run(0.01)
    assert len(scene.exits[1].wire.of(FrameType.DATA)) == 1


def test_beside_an_exit_that_may_have_the_bytes_nobody_else_is_asked(spoken):
    scene = spoken(OTHER_EXIT)
    scene.run(9.0)
    assert len(scene.exits[0].opens) > 3
    assert scene.exits[1].opens == []
    scene.run(2.0)
    assert scene.client.end == RESET
    assert scene.is_over


def test_an_exit_that_was_not_heard_of_late_gets_none_and_others_are_asked_beside_it(opening):
    scene = opening(OTHER_EXIT, is_heard=False)
    scene.client.send(b"hello")
    scene.run(1.0)
    assert asked(scene.exits[0])[0].early == b""
    assert len(scene.exits[1].opens) >= 1


@pytest.mark.interpreted
def test_an_exit_that_calls_the_client_its_own_gets_nothing_of_it_and_another_serves(opening, monkeypatch):
    monkeypatch.setattr(LoopWatch, "client_came", lambda *_: (EXIT.id,))
    monkeypatch.setattr(HearingEnd, "_first_words", lambda *_: (b"hello", 0.0))
    scene = opening(OTHER_EXIT, stands_by=True)
    scene.serve(*scene.parties)
    scene.run(0.01)
    assert len(scene.exits[1].opens) == 1
    assert scene.exits[1].answer() is not None
    scene.run(0.01)
    assert scene.client.end == ""


def test_a_client_that_is_reset_meanwhile_is_declined(spoken):
    scene = spoken()
    scene.client.socket.abort()
    scene.run(2.0)
    session = answer(scene, took_early=True, early=b"world")
    [reset] = scene.exits[0].wire.of(FrameType.RESET)
    assert decode_reset(session.open_control(reset)).code is ResetCode.CANCELLED


@pytest.mark.parametrize("early", [b"", b"world"])
def test_an_exit_hears_that_it_was_chosen_before_a_client_that_resets_at_once_is_gone(spoken, early):
    scene = spoken()
    session = answer(scene, took_early=True, early=early)
    scene.client.socket.abort()
    scene.run(2.0)
    ack, reset = scene.exits[0].wire.of(FrameType.ACK, FrameType.PROBE, FrameType.RESET)[:2]
    session.open_control(ack)
    assert decode_reset(session.open_control(reset)).code is ResetCode.RESET
    assert (ack.type, reset.type) == (FrameType.ACK, FrameType.RESET)


def test_nobody_is_asked_for_a_client_that_is_reset_before_it_says_anything(opening):
    scene = opening()
    scene.client.socket.abort()
    scene.run(1.0)
    assert scene.exits[0].opens == []
    assert scene.is_over


def test_a_client_that_says_nothing_is_waited_for_a_moment_and_the_next_ones_not(opening):
    scene = opening()
    assert scene.exits[0].opens == []
    scene.run(MOST_WAIT_S)
    assert asked(scene.exits[0])[0].early == b""
    assert [scene.clients.habit.is_worth_waiting() for _ in range(FIRST_PASSED + 1)] == [
        *[False] * FIRST_PASSED,
        True,
    ]


def test_a_client_that_finishes_without_a_word_is_not_waited_for_any_longer(opening):
    scene = opening()
    scene.client.socket.shutdown_write()
    scene.run(0.0025)
    frames: list[Frame] = scene.exits[0].opens
    assert len(frames) == 1
    answer(scene)
    assert len(scene.exits[0].wire.of(FrameType.FIN)) == 1


@pytest.mark.parametrize("size", [1023, 1024, 1025, 20_000])
def test_a_request_goes_along_whole_or_follows_whole(opening, size):
    """In two pieces a round trip apart it would be answered no sooner, and no other exit could have it."""
    scene, said = opening(OTHER_EXIT), b"q" * size
    scene.client.send(said)
    scene.run(0.01)
    early = asked(scene.exits[0])[0].early
    assert early == (said if size < MAX_EARLY_BYTES else b"")
    session = answer(scene, took_early=bool(early))
    sent = [data for _, data in said_on_the_stream(scene, session)]
    assert len(sent) == (0 if early else 1)
    assert early + b"".join(sent) == said


def test_a_client_that_is_reset_behind_a_long_request_is_reset_at_the_exit(opening):
    scene = opening()
    scene.client.send(b"q" * MAX_EARLY_BYTES)
    scene.run(0.01)
    frame, session = accepted(scene)
    scene.exits[0].send(frame)
    scene.client.socket.abort()
    scene.run(2.0)
    reset = scene.exits[0].wire.of(FrameType.RESET)[0]
    assert decode_reset(session.open_control(reset)).code is ResetCode.RESET
    assert said_on_the_stream(scene, session) == [(0, b"q" * MAX_EARLY_BYTES)]
