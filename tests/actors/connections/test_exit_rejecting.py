"""What an exit rejects, with which reason, and what it does not answer at all."""

import msgspec
import pytest

from actors.messages import connection as messages
from actors.messages.endpoint import AdmitConnection, ConnectionLeft
from mesh.connection.endings import Ending
from mesh.connection.exit_opening import ENDPOINT_TIMEOUT_S, REJECT_LINGER_S
from mesh.connection.reject_codes import RejectCode
from mesh.connection.shares import Shares
from mesh.connection.short_open import SHORT_OPEN
from mesh.connection.stream.window import DEFAULT_LIMITS
from mesh.link.frames import FrameType
from mesh.routing.records import trusted_record
from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import display_id
from mesh.trust.policy import Policy
from scripts.lab.frames import changed
from tests.actors.company import AUTHORITY
from tests.actors.connections.end_company import EXIT, INGRESS, KEY, TARGET
from tests.actors.connections.exit_company import Asker
from tests.mesh.connection.replies import padded, unpadded

pytestmark = pytest.mark.usefixtures("no_crashes")


def test_a_rejection_lingers_to_be_repeated(scene):
    scene.ask(Asker(key="unheard-of"))
    assert scene.rejection == "unknown-key"
    scene.run(REJECT_LINGER_S - 0.3)
    scene.tell(scene.asker.open)
    assert len(scene.answers) == 2
    assert len({frame.body for frame in scene.answers}) == 1
    scene.run(0.3)
    assert scene.is_over
    assert scene.pending.settled_as == [False]
    assert scene.endpoint.heard == []


def test_it_is_repeated_though_the_other_form_of_the_open_comes_in_front(scene):
    scene.ask(Asker(key="unheard-of"))
    other = changed(scene.asker.open, number=SHORT_OPEN, body=b"x" * len(scene.asker.open.body))
    scene.tell(other, scene.asker.open, scene.asker.open)
    assert len(scene.answers) == 2
    assert scene.exit_meters.frames_forged == 0


def test_what_was_rejected_is_not_counted_as_reset_when_the_agent_leaves(scene, caplog):
    scene.ask(Asker(key="unheard-of"))
    with caplog.at_level("INFO", logger="mesh.connections"):
        scene.exit.ref.tell(messages.CloseConnection("the agent is leaving"))
        scene.run(0.1)
    assert scene.is_over
    assert scene.exit_meters.connections_reset == 0
    assert caplog.records == []


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
    assert scene.exit_meters.served.of(KEY).endings[Ending.REFUSED] == 1
    scene.run(2.0)
    assert scene.is_over


@pytest.mark.parametrize(
    ("listed", "rejection"),
    [("agent", None), ("ID", None), ("another", "not-permitted"), ("agen", "not-permitted")],
)
def test_an_endpoint_that_names_who_may_use_it_lets_in_no_other(scene, listed, rejection, caplog):
    listed = display_id(INGRESS.id) if listed == "ID" else listed
    scene.settings = msgspec.structs.replace(scene.settings, policy=Policy({KEY: frozenset({listed})}, {}))
    with caplog.at_level("INFO", logger="mesh.connections"):
        scene.ask()
    if rejection is None:
        assert AdmitConnection(scene.exit.ref, INGRESS.id) in scene.endpoint.heard
    else:
        reply = scene.read_answer()
        why = "this endpoint's allow: does not name agent"
        assert (reply.code, reply.reason, scene.endpoint.heard) == (rejection, why, [])
        assert f"{rejection}: {why}" in caplog.text
    assert scene.exit_meters.opens_not_allowed == (rejection is not None)


NOT_THERE = "unknown-key", "no endpoint has this key here"


def test_a_key_that_no_endpoint_has_is_rejected_with_that(scene):
    scene.ask(Asker(key="unheard-of"))
    reply = scene.read_answer()
    assert (reply.code, reply.reason) == NOT_THERE


def test_an_endpoint_that_is_not_shown_to_an_agent_is_for_it_one_that_is_not_there(scene, caplog):
    """Else whoever may use ``db-*`` could try which keys there are."""
    policy = Policy({KEY: frozenset({"another"})}, {}, frozenset({KEY}))
    scene.settings = msgspec.structs.replace(scene.settings, policy=policy)
    with caplog.at_level("INFO", logger="mesh.connections"):
        scene.ask()
    reply = scene.read_answer()
    assert (reply.code, reply.reason) == NOT_THERE
    assert scene.endpoint.heard == []
    assert "this endpoint's allow: does not name agent" in caplog.text
    assert scene.exit_meters.opens_not_allowed == 1


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
    scene.exit.ref.tell(messages.TargetGranted(TARGET, is_counted=False))
    scene.run(0.1)
    assert scene.read_answer().accepted


@pytest.mark.parametrize("end", ["time is over", "the agent leaves"])
def test_an_endpoint_that_is_too_late_hears_that_its_place_is_free(scene, end):
    scene.endpoint.target = None
    scene.ask()
    if end == "the agent leaves":
        scene.exit.ref.tell(messages.CloseConnection("the agent is leaving"))
    scene.run(scene.settings.config.connections.open_timeout_s)
    assert scene.rejection == ("unavailable" if end == "the agent leaves" else "timed-out")
    left = scene.endpoint.heard.index(ConnectionLeft(scene.exit.actor_urn))
    assert scene.endpoint.heard.index(AdmitConnection(scene.exit.ref, INGRESS.id)) < left
    if end != "the agent leaves":
        scene.exit.ref.tell(messages.TargetGranted(TARGET, is_counted=False))
    scene.run(2.0)
    assert scene.is_over
    assert scene.left_endpoint == 1
    assert scene.world.open_sockets("target") == 1


def test_a_connection_that_the_endpoint_denies_is_rejected_with_its_reason(scene):
    scene.endpoint.target = None
    scene.ask()
    scene.exit.ref.tell(messages.TargetDenied(RejectCode.AT_CAPACITY, "the endpoint is at max_connections"))
    scene.run(0.1)
    assert scene.rejection == "at-capacity"
    scene.run(2.0)
    assert scene.is_over
    assert scene.left_endpoint == 0


def test_an_open_that_does_not_authenticate_gets_no_answer(scene):
    asker = Asker()
    forged = changed(asker.open, body=asker.open.body[:-1] + b"\0")
    scene.start_exit(forged, link=scene.wire.ref, table=scene.table, settings=scene.settings)
    scene.run(0.1)
    assert scene.wire.frames == []
    assert scene.exit_meters.frames_forged == 1
    assert scene.pending.used == 0
    assert scene.is_over


@pytest.mark.parametrize("request_", [[], ["key", -1], [7, 7], ["", 7], "key"])
def test_an_authentic_open_that_cannot_be_read_is_rejected(scene, request_):
    asker = Asker()
    handshake = asker.unasked()._handshake
    message = handshake.write_message(padded(request_))
    opening = changed(asker.open, body=asker.open.body[:32] + message)
    scene.start_exit(opening, link=scene.wire.ref, table=scene.table, settings=scene.settings)
    scene.run(0.1)
    (answer,) = scene.answers
    assert answer.type == FrameType.REJECT
    assert unpadded(handshake.read_message(answer.body))[:3] == [False, 0, "malformed"]
    assert scene.pending.used == 1
    assert (scene.exit_meters.opens_rejected, scene.exit_meters.frames_forged) == (1, 0)
    scene.run(REJECT_LINGER_S)
    assert scene.is_over


def crowd(scene, count, holder=INGRESS.id):
    """Others hold so many of 9 places."""
    shares = Shares(9)
    for _ in range(count):
        shares.take(holder)
    scene.settings = msgspec.structs.replace(scene.settings, places=shares)
    scene.taken_by_others = count


def test_an_ingress_that_holds_its_share_of_the_descriptors_is_rejected(scene):
    crowd(scene, 8)
    scene.ask()
    answer = scene.read_answer()
    assert (answer.accepted, answer.code) == (False, "at-capacity")
    assert answer.reason == "this agent holds its share of the exit's descriptors"
    assert scene.exit_meters.opens_beyond_share == 1
    assert scene.left_endpoint == 1
    scene.run(2.0)
    assert scene.is_over


def test_beside_it_others_are_served(scene):
    crowd(scene, 8, EXIT.id)
    scene.ask()
    assert scene.read_answer().accepted
    assert scene.settings.places.taken == 9
    scene.exit.ref.stop(block=False)
    scene.run(0.0)
    assert scene.settings.places.taken == 8


def test_where_no_descriptor_is_left_nobodys_share_is_blamed(scene):
    crowd(scene, 9)
    scene.ask()
    answer = scene.read_answer()
    assert (answer.accepted, answer.code) == (False, "at-capacity")
    assert answer.reason == "no descriptor of the exit is left for connections"
    assert (scene.exit_meters.opens_denied, scene.exit_meters.opens_beyond_share) == (1, 0)


def test_with_no_window_left_an_open_is_rejected_and_leaves_nothing(scene):
    budget = scene.settings.budget
    others = budget.free_bytes
    budget.reserve(others)
    scene.ask()
    answer = scene.read_answer()
    assert (answer.accepted, answer.code) == (False, "at-capacity")
    assert answer.reason == "no share of the exit's limits.stream_buffer is left for this agent"
    assert scene.exit_meters.opens_beyond_share == 1
    scene.run(2.0)
    budget.release(others)
    assert scene.is_over


def test_with_little_left_a_connection_starts_with_the_smallest_window(scene):
    budget = scene.settings.budget
    others = budget.limit_bytes // 2
    budget.reserve(others)
    scene.ask()
    assert scene.read_answer().credit == DEFAULT_LIMITS.floor
    assert budget.reserved_bytes == others + DEFAULT_LIMITS.floor
    scene.exit.ref.stop(block=False)
    scene.run(0.0)
    assert budget.reserved_bytes == others
