"""An exit that accepts an OPEN, and how it ends; the ingress is in the hands of the test."""

import pytest

from actors.messages import connection as messages
from mesh.connection.key_stock import KeyStock
from mesh.connection.stream.control import Reset, ResetCode, encode_acknowledgement, encode_reset
from mesh.link.frames import FrameType
from scripts.lab.frames import changed
from tests.actors.connections.end_company import RESET
from tests.actors.connections.exit_company import Answering, Asker

pytestmark = pytest.mark.usefixtures("no_crashes")

# Accepting


def test_the_target_is_connected_before_the_open_is_accepted(scene):
    scene.world.network.shape("hq", "target", latency_s=0.5)
    scene.ask(run_s=0.9)
    assert scene.answers == []
    scene.run(0.3)
    reply = scene.read_answer()
    assert reply.accepted
    assert reply.credit == 65_536
    assert scene.exit_meters.opens_answered == 1
    assert scene.pending.used == 1
    assert scene.pending.settled_as == []


def test_an_open_that_is_repeated_gets_the_same_bytes_again(scene):
    scene.ask()
    scene.tell(scene.asker.open)
    scene.tell(scene.asker.open)
    assert len(scene.answers) == 3
    assert len(set(map(repr, scene.answers))) == 1
    assert len(scene.door._backlog) == 1


def test_an_open_that_is_repeated_before_the_answer_waits_for_it(scene):
    scene.world.network.shape("hq", "target", latency_s=0.5)
    scene.ask()
    scene.tell(scene.asker.open)
    scene.run(1.2)
    assert len(scene.door._backlog) == 1
    assert len({frame.body for frame in scene.answers}) == 1


def test_a_key_pair_is_made_ahead_for_the_next_open_once_the_ingress_has_confirmed():
    made: list[int] = []
    stock = KeyStock(lambda count: bytes((made.append(count) or len(made),)) * count, lambda: 0.0)
    scene = Answering(ephemerals=stock).ask()
    scene.read_answer()
    assert made == [32]
    for number in range(2):
        scene.tell(scene.session.seal_segment(FrameType.DATA, number, b"hello"))
    assert made == [32] * 2
    scene.ask(Asker(number=8))
    assert scene.pending.used == 2
    assert made == [32] * 2
    scene.world.stop()


def test_another_open_with_the_same_number_gets_no_answer(scene):
    scene.ask()
    scene.tell(Asker(seed=b"another ephemeral key of 32 byte").open)
    assert len(scene.answers) == 1


def test_the_answer_is_repeated_until_the_ingress_is_heard_and_no_longer(scene):
    scene.ask(run_s=0.3)
    assert len(scene.answers) == 2
    scene.read_answer()
    scene.tell(scene.session.seal_segment(FrameType.DATA, 0, b"hello"))
    scene.run(30.0)
    assert len(scene.answers) == 2
    assert scene.pending.settled_as == [True]
    assert scene.exit.ref.is_alive()


def test_data_in_one_message_with_a_repeated_open_is_delivered(scene):
    scene.ask()
    target = scene.take_target()
    scene.read_answer()
    scene.tell(scene.asker.open, scene.session.seal_segment(FrameType.DATA, 0, b"hello"))
    scene.run(0.1)
    assert bytes(target.received) == b"hello"


def test_what_the_target_says_first_does_not_wait_for_the_ingress(scene):
    scene.ask()
    scene.take_target().send(b"SSH-2.0-target\r\n")
    scene.run(0.1)
    scene.read_answer()
    [segment] = scene.wire.of(FrameType.DATA)
    assert scene.session.open_segment(segment) == b"SSH-2.0-target\r\n"


def test_an_accept_that_nobody_confirms_is_given_up(scene):
    scene.ask()
    target = scene.take_target()
    scene.run(9.8)
    assert scene.exit.ref.is_alive()
    scene.run(0.5)
    assert scene.is_over
    assert target.end == RESET
    assert scene.left_endpoint == 1


def test_a_forged_frame_confirms_nothing(scene):
    scene.ask()
    scene.read_answer()
    genuine = scene.session.seal_segment(FrameType.DATA, 0, b"hello")
    scene.tell(changed(genuine, body=genuine.body[:-1] + b"\0"))
    scene.run(10.5)
    assert scene.is_over


@pytest.mark.parametrize("kind", [FrameType.ACK, FrameType.PROBE])
def test_any_acknowledgement_confirms(scene, kind):
    scene.ask()
    scene.read_answer()
    payload = encode_acknowledgement(
        next_number=0, credit=65_536, missing_until=0, marked=0, echo=0, silence_s=0.0, delay_s=0.0
    )
    scene.tell(scene.session.seal_control(kind, payload))
    assert scene.pending.settled_as == [True]
    scene.run(10.5)
    assert len(scene.answers) == 1
    assert scene.exit.ref.is_alive()


@pytest.mark.parametrize("final_number", [0, 1])
def test_a_reset_confirms_nothing(scene, final_number):
    scene.ask()
    scene.read_answer()
    reset = encode_reset(Reset(ResetCode.RESET, is_answer=False, final_number=final_number))
    scene.tell(scene.session.seal_control(FrameType.RESET, reset))
    assert scene.pending.settled_as == []
    assert len(scene.wire.of(FrameType.RESET)) == 1
    scene.run(2.0)
    assert scene.is_over


def test_what_comes_before_any_number_of_resets_confirms(scene):
    scene.ask()
    scene.read_answer()
    reset = encode_reset(Reset(ResetCode.RESET, is_answer=False, final_number=0))
    genuine = scene.session.seal_control(FrameType.RESET, reset)
    forged = [changed(genuine, body=bytes(len(genuine.body)))] * 3_000  # in one read of a link
    scene.tell(*forged)
    assert scene.exit.ref.is_alive()
    assert scene.pending.settled_as == []
    said = scene.session.seal_segment(FrameType.DATA, 0, b"hello")
    scene.tell(said, *forged, genuine)
    assert scene.pending.settled_as == [True]
    scene.run(2.0)
    assert scene.is_over


def test_an_exit_that_was_not_chosen_resets_its_target(scene):
    scene.ask()
    target = scene.take_target()
    scene.read_answer()
    reset = encode_reset(Reset(ResetCode.CANCELLED, is_answer=False, final_number=0))
    scene.tell(scene.session.seal_control(FrameType.RESET, reset))
    scene.run(1.0)
    assert target.end == RESET
    assert scene.is_over
    assert scene.exit_meters.connections_reset == 0  # no client has lost anything


# Its own end


def test_an_agent_that_leaves_rejects_what_is_being_opened(scene):
    scene.world.network.shape("hq", "target", latency_s=0.5)
    scene.ask()
    scene.exit.ref.tell(messages.CloseConnection("the agent is leaving"))
    scene.run(2.0)
    assert scene.rejection == "unavailable"
    assert scene.is_over


def test_an_agent_that_leaves_resets_what_is_open(scene):
    scene.ask()
    target = scene.take_target()
    scene.read_answer()
    scene.exit.ref.tell(messages.CloseConnection("the agent is leaving"))
    scene.run(0.1)
    assert len(scene.wire.of(FrameType.RESET)) == 1
    assert target.end == RESET
    assert scene.is_over
    assert scene.left_endpoint == 1


def test_a_connect_that_succeeds_too_late_is_closed(scene):
    scene.world.network.shape("hq", "target", latency_s=0.5)
    scene.ask()
    scene.exit.ref.stop(block=False)
    scene.run(2.0)
    assert scene.is_over
