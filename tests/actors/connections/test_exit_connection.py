"""How an exit answers an OPEN; the ingress is in the hands of the test, and so is the target."""

from typing import Any

import msgspec
import pytest

from actors.messages import connection as messages
from actors.messages.connection_table import OpenAuthenticated, PendingOpenSettled
from actors.messages.endpoint import AdmitConnection, ConnectionLeft
from actors.runtime.seam import NamesResolved
from mesh.addresses import TcpAddress, UnixAddress
from mesh.connection.exit_opening import ENDPOINT_TIMEOUT_S, REJECT_LINGER_S
from mesh.connection.key_stock import KeyStock
from mesh.connection.stream.control import Reset, ResetCode, encode_acknowledgement, encode_reset
from mesh.link.frames import FrameType
from mesh.reaching import NEXT_ADDRESS_AFTER_S
from mesh.routing.records import trusted_record
from mesh.trust.certificates import issue_certificate, read_certificate
from tests.actors.company import AUTHORITY, start
from tests.actors.connections.end_company import EXIT, INGRESS, TARGET, Asker, Table, Wire, World, settings_of

RESET = "Connection reset by peer"


class Answering(World):
    """An exit that has got an OPEN."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.table = start(self.world, Table, {}, host="hq")
        self.wire = start(self.world, Wire, lambda frames: None, host="hq")
        self.settings = settings_of(EXIT, **changes)
        self.session: Any = None

    def ask(self, asker: Asker | None = None, run_s: float = 0.1) -> "Answering":
        self.asker = asker or Asker()
        self.start_exit(self.asker.open, link=self.wire.ref, table=self.table, settings=self.settings)
        self.run(run_s)
        return self

    def tell(self, *frames: Any) -> None:
        self.exit.ref.tell(messages.SegmentsArrived(frames))
        self.run(0.0)

    def read_answer(self) -> Any:
        reply, self.session = self.asker.initiator.read_reply(self.answers[0])
        return reply

    @property
    def answers(self) -> list[Any]:
        return self.wire.of(FrameType.ACCEPT, FrameType.REJECT)

    @property
    def rejection(self) -> str:
        """The code of the answer, which is a rejection."""
        reply = self.read_answer()
        assert not reply.accepted
        assert {frame.type for frame in self.answers} == {FrameType.REJECT}
        assert self.exit_meters.opens_rejected == 1
        return reply.code

    @property
    def is_over(self) -> bool:
        return (
            not self.exit.ref.is_alive()
            and self.table.ended == [(7, True)]
            and self.world.open_sockets("hq") == 0
            and self.settings.budget.reserved_bytes == 0
        )


@pytest.fixture(autouse=True)
def no_crashes(caplog):
    yield
    assert [record for record in caplog.get_records("call") if record.exc_info] == []


@pytest.fixture
def scene():
    scene = Answering()
    yield scene
    scene.world.stop()


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
    authenticated = OpenAuthenticated(INGRESS.id, settings_of(INGRESS).instance, 7)
    assert scene.table.of(OpenAuthenticated) == [authenticated]
    assert scene.table.of(PendingOpenSettled) == []


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
    assert len(scene.table.of(OpenAuthenticated)) == 2
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
    settled = PendingOpenSettled(INGRESS.id, 7)
    assert scene.table.of(PendingOpenSettled) == [settled]
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
    scene.tell(msgspec.structs.replace(genuine, body=genuine.body[:-1] + b"\0"))
    scene.run(10.5)
    assert scene.is_over


@pytest.mark.parametrize("kind", [FrameType.ACK, FrameType.PROBE])
def test_any_acknowledgement_confirms(scene, kind):
    scene.ask()
    scene.read_answer()
    payload = encode_acknowledgement(
        next_number=0, credit=65_536, missing_until=0, marked=0, echo=0, delay_s=0.0
    )
    scene.tell(scene.session.seal_control(kind, payload))
    assert len(scene.table.of(PendingOpenSettled)) == 1
    scene.run(10.5)
    assert len(scene.answers) == 1
    assert scene.exit.ref.is_alive()


@pytest.mark.parametrize("final_number", [0, 1])
def test_a_reset_confirms_nothing(scene, final_number):
    scene.ask()
    scene.read_answer()
    reset = encode_reset(Reset(ResetCode.RESET, is_answer=False, final_number=final_number))
    scene.tell(scene.session.seal_control(FrameType.RESET, reset))
    assert scene.table.of(PendingOpenSettled) == []
    assert len(scene.wire.of(FrameType.RESET)) == 1
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


# Rejecting


def test_a_rejection_lingers_to_be_repeated(scene):
    scene.ask(Asker(key="unheard-of"))
    assert scene.rejection == "unknown-key"
    scene.run(REJECT_LINGER_S - 0.3)
    scene.tell(scene.asker.open)
    assert len(scene.answers) == 2
    assert len({frame.body for frame in scene.answers}) == 1
    scene.run(0.3)
    assert scene.is_over
    assert scene.table.of(PendingOpenSettled) == [PendingOpenSettled(INGRESS.id, 7)]
    assert scene.endpoint.heard == []


def test_an_ingress_whose_certificate_does_not_permit_the_key_is_rejected(scene):
    wire = issue_certificate(
        AUTHORITY,
        subject=INGRESS.public_key,
        name="agent",
        not_before=0,
        not_after=2**37,
        may_use=["other-*"],
    )
    body = msgspec.structs.replace(scene.record.body, certificate=wire)
    scene.record = trusted_record(body, read_certificate(wire))
    scene.ask()
    assert scene.rejection == "not-permitted"
    scene.run(2.0)
    assert scene.is_over


def test_a_key_whose_endpoint_has_died_is_to_be_asked_for_again(scene):
    scene.endpoint.ref.stop(block=False)
    scene.run(0.0)
    scene.ask()
    assert scene.rejection == "restarting"


def test_an_endpoint_that_crashes_over_the_question_is_to_be_asked_for_again(scene):
    scene.endpoint.target = None
    scene.endpoint.crashes = True
    scene.ask()
    assert scene.exit.ref.is_alive()
    scene.run(ENDPOINT_TIMEOUT_S)
    assert scene.rejection == "restarting"
    scene.run(2.0)
    assert scene.is_over


def test_an_endpoint_that_is_late_is_waited_for(scene):
    scene.endpoint.target = None
    scene.ask(run_s=10 * ENDPOINT_TIMEOUT_S)
    assert scene.answers == []
    scene.exit.ref.tell(messages.TargetGranted(TARGET))
    scene.run(0.1)
    assert scene.read_answer().accepted


@pytest.mark.parametrize("end", ["time is over", "the agent leaves"])
def test_an_endpoint_that_is_too_late_hears_that_its_place_is_free(scene, end):
    scene.endpoint.target = None
    scene.ask()
    if end == "the agent leaves":
        scene.exit.ref.tell(messages.CloseConnection("the agent is leaving"))
    scene.run(scene.settings.open_timeout_s)
    assert scene.rejection == ("unavailable" if end == "the agent leaves" else "timed-out")
    left = scene.endpoint.heard.index(ConnectionLeft(scene.exit.actor_urn))
    assert scene.endpoint.heard.index(AdmitConnection(scene.exit.ref)) < left
    if end != "the agent leaves":
        scene.exit.ref.tell(messages.TargetGranted(TARGET))
    scene.run(2.0)
    assert scene.is_over
    assert scene.left_endpoint == 1
    assert scene.world.open_sockets("target") == 1


def test_a_connection_that_the_endpoint_denies_is_rejected_with_its_reason(scene):
    scene.endpoint.target = None
    scene.ask()
    scene.exit.ref.tell(messages.TargetDenied("at-capacity", "the endpoint is at max_connections"))
    scene.run(0.1)
    assert scene.rejection == "at-capacity"
    scene.run(2.0)
    assert scene.is_over
    assert scene.left_endpoint == 0


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (TcpAddress("target", 81), "refused"),
        (TcpAddress("nowhere.invalid", 80), "unresolved"),
        (TcpAddress("10.99.99.99", 80), "unreachable"),
        (UnixAddress("/run/absent.sock"), "refused"),
    ],
    ids=["refused", "unresolved", "unreachable", "absent"],
)
def test_a_target_that_cannot_be_reached_is_a_rejection_at_once(scene, target, code):
    scene.endpoint.target = target
    scene.ask()
    assert scene.rejection == code
    assert scene.left_endpoint == 1
    scene.run(2.0)
    assert scene.is_over
    assert scene.left_endpoint == 1


def test_a_target_that_does_not_answer_is_a_rejection_after_the_time_for_opening(scene):
    scene.world.network.cut("hq", "target")
    scene.ask(run_s=9.9)
    assert scene.answers == []
    scene.run(0.2)
    assert scene.rejection == "timed-out"
    scene.world.network.heal("hq", "target")
    scene.run(5.0)
    assert scene.is_over


def test_an_open_that_does_not_authenticate_gets_no_answer(scene):
    asker = Asker()
    forged = msgspec.structs.replace(asker.open, body=asker.open.body[:-1] + b"\0")
    scene.start_exit(forged, link=scene.wire.ref, table=scene.table, settings=scene.settings)
    scene.run(0.1)
    assert scene.wire.frames == []
    assert scene.exit_meters.frames_forged == 1
    assert scene.table.of(OpenAuthenticated) == []
    assert scene.is_over


@pytest.mark.parametrize("request_", [[], ["key", -1], [7, 7], ["", 7], "key"])
def test_an_authentic_open_that_cannot_be_read_is_rejected(scene, request_):
    asker = Asker()
    handshake = asker.unasked()._handshake
    message = handshake.write_message(msgspec.msgpack.encode(request_))
    opening = msgspec.structs.replace(asker.open, body=asker.open.body[:32] + message)
    scene.start_exit(opening, link=scene.wire.ref, table=scene.table, settings=scene.settings)
    scene.run(0.1)
    (answer,) = scene.answers
    assert answer.type == FrameType.REJECT
    assert msgspec.msgpack.decode(handshake.read_message(answer.body))[:3] == [False, 0, "malformed"]
    authenticated = OpenAuthenticated(INGRESS.id, settings_of(INGRESS).instance, 7)
    assert scene.table.of(OpenAuthenticated) == [authenticated]
    assert (scene.exit_meters.opens_rejected, scene.exit_meters.frames_forged) == (1, 0)
    scene.run(REJECT_LINGER_S)
    assert scene.is_over


# Addresses


def several(scene, *hosts):
    """The name of the target resolves to several hosts, of which some may be black holes."""
    for host in hosts:
        scene.world.network.add_name("service.example", host)
    scene.endpoint.target = TcpAddress("service.example", 80)


def test_behind_an_address_that_does_not_answer_the_next_is_tried(scene):
    scene.world.network.cut("hq", "black-hole")
    several(scene, "black-hole", "target")
    scene.ask(run_s=NEXT_ADDRESS_AFTER_S - 0.05)
    assert scene.answers == []
    scene.run(0.1)
    assert scene.read_answer().accepted
    scene.tell(scene.session.seal_segment(FrameType.DATA, 0, b"hello"))
    target = scene.take_target()
    scene.run(20.0)
    assert bytes(target.received) == b"hello"
    assert scene.world.open_sockets("hq") == 1


def test_behind_an_address_that_refuses_the_next_is_tried_at_once(scene):
    scene.world.dispatcher("closed")
    several(scene, "closed", "target")
    scene.ask()
    assert scene.read_answer().accepted


def test_an_address_that_answers_late_still_wins_over_black_holes(scene):
    scene.world.network.cut("hq", "black-hole")
    scene.world.network.shape("hq", "target", latency_s=1.0)
    several(scene, "target", "black-hole")
    scene.ask(run_s=2.2)
    assert scene.read_answer().accepted
    assert scene.world.open_sockets("hq") == 1


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_failures_the_refusal_is_told(scene, order):
    addresses = (TcpAddress("target", 81), TcpAddress("10.99.99.99", 80))[::order]
    scene.ask(run_s=0.0)
    scene.exit.ref.tell(NamesResolved(1, addresses))
    scene.run(1.0)
    assert scene.rejection == "refused"


def test_black_holes_only_take_the_time_for_opening(scene):
    for host in ("black-hole", "blacker-hole"):
        scene.world.network.cut("hq", host)
    several(scene, "black-hole", "blacker-hole")
    scene.ask(run_s=10.1)
    assert scene.rejection == "timed-out"
    scene.run(2.0)
    assert scene.is_over


def test_a_unix_socket_is_a_target(scene):
    door = scene.world.dispatcher("hq").bind(UnixAddress("/run/service.sock"))
    door.listen()
    scene.endpoint.target = UnixAddress("/run/service.sock")
    scene.ask()
    assert scene.read_answer().accepted
    target = scene.take_target("hq", door)
    scene.tell(scene.session.seal_segment(FrameType.DATA, 0, b"hello"))
    scene.run(0.1)
    assert bytes(target.received) == b"hello"


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
