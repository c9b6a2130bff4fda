"""How an ingress opens a connection, and how it ends; the exits are in the hands of the test."""

import pytest

from actors.connections.due import HANG_UP_POLL_S
from actors.connections.ingress_connection import MOST_ANSWERS
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages.listener import CandidateServed
from mesh.connection.patience import HEDGE_AFTER_S
from mesh.connection.stream.control import Fin, encode_fin
from mesh.link.frames import FrameType
from scripts.lab.frames import changed
from tests.actors.connections.end_company import EXIT, OTHER_EXIT, RESET
from tests.actors.connections.ingress_company import Candidate, Opening

pytestmark = pytest.mark.usefixtures("no_crashes")

# Asking


def test_the_open_is_repeated_byte_for_byte_ever_more_slowly(one):
    [candidate] = one.exits
    counts = []
    for _ in range(9):
        counts.append(len(candidate.opens))
        one.run(1.0)
    assert counts == [1, 3, 4, 4, 5, 5, 6, 6, 7]
    assert len({frame.body for frame in candidate.opens}) == 1


def test_the_client_is_not_read_before_the_connection_is_open(one):
    one.client.send(bytes(4_000_000))
    one.run(5.0)
    assert one.client.unsent_bytes > 2_000_000
    assert one.ingress_meters.bytes_sent == 0


def test_what_the_client_has_said_already_tells_the_exit_that_it_was_chosen(one):
    [candidate] = one.exits
    one.client.send(b"hello")
    one.run(0.1)
    candidate.answer()
    assert len(candidate.wire.of(FrameType.DATA)) == 1
    assert candidate.wire.of(FrameType.PROBE) == []


def test_for_a_client_that_says_nothing_a_probe_tells_the_exit_that_it_was_chosen(one):
    [candidate] = one.exits
    candidate.answer()
    assert len(candidate.wire.of(FrameType.PROBE)) == 1
    one.client.send(b"hello")
    one.run(0.1)
    assert len(candidate.wire.of(FrameType.DATA)) == 1


def test_data_in_one_message_with_the_accept_is_delivered(one):
    [candidate] = one.exits
    frame, session = candidate.reply()
    candidate.send(frame, session.seal_segment(FrameType.DATA, 0, b"banner"))
    one.run(0.1)
    assert bytes(one.client.received) == b"banner"
    assert one.listener.of(CandidateServed) == [CandidateServed(EXIT.id)]


def test_an_answer_that_has_overtaken_the_accept_is_delivered_with_it(one):
    [candidate] = one.exits
    frame, session = candidate.reply()
    candidate.send(session.seal_segment(FrameType.DATA, 0, b"banner"))
    candidate.send(session.seal_segment(FrameType.FIN, 1, encode_fin(Fin(0, 0.0), b"!")))
    assert bytes(one.client.received) == b""
    candidate.send(frame)
    one.run(0.002)  # to the client, and no more
    assert bytes(one.client.received) == b"banner!"
    assert one.ingress_meters.frames_forged == 0


def test_what_is_forged_before_the_accept_is_put_down_to_who_brought_it(one):
    [candidate] = one.exits
    frame, session = candidate.reply()
    genuine = session.seal_segment(FrameType.DATA, 0, b"banner")
    one.tell(messages.SegmentsArrived((changed(genuine, body=bytes(len(genuine.body))),), OTHER_EXIT.id))
    candidate.send(frame, genuine)
    one.run(0.1)
    assert bytes(one.client.received) == b"banner"
    assert one.ingress_meters.frames_forged == 1
    [forged] = one.table.of(table_messages.BodiesForged)
    assert (forged.via, forged.count) == (OTHER_EXIT.id, 1)


def test_an_answer_that_is_repeated_changes_nothing(one):
    [candidate] = one.exits
    frame, session = candidate.reply()
    candidate.send(frame)
    candidate.send(frame, frame, session.seal_segment(FrameType.DATA, 0, b"once"))
    one.run(0.1)
    assert bytes(one.client.received) == b"once"
    assert one.ingress.ref.is_alive()


@pytest.mark.parametrize("change", ["body", "type", "source", "number"])
@pytest.mark.parametrize("code", ["", "refused"])
def test_a_forged_answer_is_dropped_and_the_genuine_one_is_taken(one, change, code):
    [candidate] = one.exits
    genuine, _ = candidate.reply(code)
    changes = {
        "body": {"body": genuine.body[:-1] + bytes((genuine.body[-1] ^ 1,))},
        "type": {"type": FrameType.REJECT if code == "" else FrameType.ACCEPT},
        "source": {"source": OTHER_EXIT.id},
        "number": {"number": 1},
    }[change]
    candidate.send(changed(genuine, **changes))
    assert one.ingress_meters.frames_forged == 1
    assert one.ingress._stream is None
    assert one.client.end == ""
    candidate.send(genuine)
    one.run(0.1)
    assert (one.client.end == RESET) == (code != "")
    assert one.ingress.ref.is_alive() == (code == "")


def test_of_many_answers_in_one_read_few_are_looked_at(one):
    [candidate] = one.exits
    genuine, _ = candidate.reply()
    forged = [changed(genuine, body=number.to_bytes(4, "big") + genuine.body[4:]) for number in range(1_000)]
    candidate.send(*forged, genuine)
    assert one.ingress_meters.frames_forged == 1_001
    candidate.send(*forged[:MOST_ANSWERS], genuine)
    assert one.ingress._stream is None
    candidate.send(*forged[: MOST_ANSWERS - 1], genuine)
    assert one.ingress._stream is not None


def test_frames_of_a_connection_that_is_not_open_yet_are_dropped(one):
    [candidate] = one.exits
    _, session = candidate.reply()
    candidate.send(session.seal_segment(FrameType.DATA, 0, b"too early"))
    one.run(0.1)
    assert bytes(one.client.received) == b""
    assert one.ingress.ref.is_alive()


# Paths


def test_a_candidate_without_a_path_is_asked_when_it_has_one():
    scene = Opening(EXIT)
    candidate = scene.exits[0]
    scene.tell(messages.PathChanged(EXIT.id, None))
    asked = len(candidate.opens)
    scene.run(2.0)
    assert len(candidate.opens) == asked
    scene.tell(messages.PathChanged(EXIT.id, candidate.wire.ref))
    assert len(candidate.opens) == asked + 1
    candidate.answer()
    assert scene.ingress._stream is not None
    scene.world.stop()


def test_the_path_of_an_attempt_is_the_connections_path(one):
    [candidate] = one.exits
    other = Candidate(one, EXIT)
    one.tell(messages.PathChanged(EXIT.id, other.wire.ref))
    other.answer()
    one.client.send(b"by the new path")
    one.run(0.1)
    assert other.wire.of(FrameType.DATA)
    assert candidate.wire.of(FrameType.DATA) == []


def test_a_path_that_changes_has_nobody_asked_who_was_not_chosen(two):
    two.run(HEDGE_AFTER_S + 0.1)
    two.exits[1].answer()
    asked = len(two.exits[0].opens)
    two.tell(messages.PathChanged(EXIT.id, None))
    two.tell(messages.PathChanged(EXIT.id, two.exits[0].wire.ref))
    assert len(two.exits[0].opens) == asked


def test_the_links_to_exits_that_were_not_chosen_are_let_go(two):
    first, second = two.exits
    first.answer("refused")
    second.answer()
    assert not two.ingress._links
    two.tell(messages.PathChanged(EXIT.id, second.wire.ref))
    assert not two.ingress._links


def test_what_is_declined_at_the_chosen_exit_goes_by_the_path_of_the_stream(two):
    second = two.exits[1]
    two.run(HEDGE_AFTER_S + 0.1)
    second.answer()
    asked = len(second.opens)
    two.ingress._send_to(OTHER_EXIT.id, second.opens[:1])
    two.run(0.1)
    assert len(second.opens) == asked + 1


# Its own end


@pytest.mark.parametrize("how", ["stop", "close"])
def test_an_ingress_that_ends_while_it_opens_resets_its_client(two, how):
    two.run(HEDGE_AFTER_S + 0.1)
    if how == "stop":
        two.ingress.ref.stop(block=False)
    else:
        two.ingress.ref.tell(messages.CloseConnection("the agent is leaving"))
    two.run(0.1)
    assert two.client.end == RESET
    assert two.is_over


def test_a_number_that_is_not_wanted_any_more_when_it_is_registered_is_given_back():
    scene = Opening(EXIT, register=False)
    scene.tell(messages.CloseConnection("the agent is leaving"))
    assert scene.table.ended == [(1, False)]
    scene.world.stop()


def test_a_number_that_comes_after_the_time_is_given_back():
    scene = Opening(EXIT, register=False)
    scene.client.socket.abort()
    scene.run(HANG_UP_POLL_S + 0.5)
    assert scene.ingress.ref.is_alive()
    scene.table.numbers = 1
    scene.tell(messages.IngressRegistered(EXIT.id, 1, scene.exits[0].wire.ref))
    assert scene.exits[0].opens == []
    assert scene.is_over
    scene.world.stop()
