"""A link until it is admitted: handshake, judgement, admission. All around it only listen."""

import pytest

from actors.messages import acceptor as acceptor_messages
from actors.messages import dialer as dialer_messages
from actors.messages import peer_link as messages
from actors.messages.connection_table import FramesArrived
from actors.messages.peer_directory import LinkTurnedAway
from mesh.alarms import AlarmKind
from mesh.link import bodies as link_bodies
from mesh.link.frames import FrameType, link_frame
from mesh.sampling import ALARM_MARK
from mesh.trust.certificates import TrustStore
from tests.actors.links.link_company import (
    ADMIT,
    FOREIGN_AUTHORITY,
    OWN,
    PEER,
    LinkScene,
    certificate_of,
    data,
)

PING = link_frame(FrameType.PING, link_bodies.encode_ping(77))


def test_an_accepted_peer_that_proves_itself_waits_for_admission(scene):
    peer = scene.accepted()
    [established] = scene.established
    assert (established.peer_id, established.peer_name) == (PEER.id, "peer")
    assert established.peer_instance == b"p" * 16
    assert not established.is_dialer
    assert established.dialer is None
    assert established.rtt_s == pytest.approx(0.002)
    assert scene.caller.heard == [acceptor_messages.HandshakeEnded(scene.link.actor_urn)]
    assert peer.peer.peer_id == OWN.id
    assert peer.frames == []


def test_a_dialed_peer_is_reported_once_it_has_judged_this_agent(scene):
    peer = scene.dial(scene.handshake(initiator=False))
    scene.run(5.0)
    assert peer.peer.peer_id == OWN.id
    assert scene.established == []
    assert "judgement" in str(scene.link)
    peer.send_frames(PING)
    scene.run(0.1)
    [established] = scene.established
    assert established.is_dialer
    assert established.dialer is scene.caller.ref
    assert established.rtt_s == pytest.approx(0.002)


def test_a_dialed_link_leaves_its_ticket_as_soon_as_the_peer_has_admitted_it(scene):
    """Whatever this agent decides: the peer knows no earlier ticket from then on."""
    peer = scene.dial(scene.handshake(initiator=False))
    scene.run(0.1)
    assert scene.caller.of(dialer_messages.TicketLeft) == []
    peer.send_frames(PING)
    scene.run(0.1)
    scene.tell(messages.CloseLink("another link to this peer is up"))
    scene.run(5.0)
    left = dialer_messages.TicketLeft(scene.link.actor_urn, peer.peer.ticket)
    assert scene.caller.of(dialer_messages.TicketLeft) == [left]


def test_what_came_with_the_judgement_is_handled_at_the_admission(scene):
    peer = scene.dial(scene.handshake(initiator=False))
    scene.run(0.1)
    peer.send_frames(PING, data(0), data(1))
    scene.run(0.1)
    assert scene.table.heard == []
    scene.tell(ADMIT)
    scene.run(0.1)
    assert scene.table.heard == [FramesArrived((data(0), data(1)), PEER.id)]
    assert link_bodies.decode_pong(peer.of(FrameType.PONG)[0].body) == 77


def test_frames_that_came_with_the_last_message_of_the_handshake_are_not_lost(scene):
    peer = scene.accept()
    shaking = scene.handshake(initiator=True)
    peer.send(shaking.start())
    scene.run(0.1)
    progress = shaking.receive(bytes(peer.received), scene.world.dispatcher("there").unix_time())
    peer.established(progress.established)
    peer.send(progress.to_send + peer.seal(PING, data(0))[:100])
    scene.run(0.1)
    assert scene.table.heard == []
    scene.tell(ADMIT)
    peer.send(peer.sealed[100:])
    scene.run(0.1)
    assert scene.table.heard == [FramesArrived((data(0),), PEER.id)]


def test_a_link_that_waits_for_admission_leaves_its_peers_bytes_in_the_kernel(scene):
    peer = scene.accepted()
    peer.send_frames(*[data(number, 60_000) for number in range(100)])
    scene.run(2.0)
    assert scene.link._link._reader.buffered_bytes == 0
    assert peer.unsent_bytes > 4_000_000
    assert scene.table.heard == []
    scene.tell(ADMIT)
    scene.run(1.0)
    arrived = [frame for message in scene.table.of(FramesArrived) for frame in message.frames]
    assert [frame.number for frame in arrived] == list(range(100))


def refused(scene, caplog, peer, text):
    scene.run(0.1)
    assert scene.counts == (1, 0, 0)
    assert scene.established == []
    assert not scene.is_alive
    assert peer.end
    [line] = scene.complaints(caplog)
    assert text in line


STRANGER = "shows no authority that this agent trusts"
WITHOUT_A_WORD = "without a word: it does not trust the authority that signed this agent's certificate"

BAD_CERTIFICATES = {
    "foreign": ({"authority": FOREIGN_AUTHORITY}, "signed by an authority that this agent does not trust"),
    "expired": ({"valid_s": -10}, "expired"),
}


@pytest.mark.parametrize("side", ["accept", "dial"])
@pytest.mark.parametrize("fault", BAD_CERTIFICATES)
def test_a_peer_with_a_bad_certificate_is_refused_with_the_reason(scene, caplog, side, fault):
    changes, reason = BAD_CERTIFICATES[fault]
    certificate = certificate_of(PEER, "mallory", **changes)
    handshake = scene.handshake(initiator=side == "accept", certificate=certificate)
    is_stranger = side == "accept" and fault == "foreign"
    peer = getattr(scene, side)(handshake)
    refused(scene, caplog, peer, STRANGER if is_stranger else reason)
    assert ("'mallory'" in scene.complaints(caplog)[0]) == (not is_stranger)
    assert (peer.received == b"") == is_stranger
    kind = dialer_messages.DialedLinkEnded if side == "dial" else acceptor_messages.HandshakeEnded
    assert scene.caller.of(kind) == scene.caller.heard[-1:] == [kind(scene.link.actor_urn)]


@pytest.mark.parametrize("fault", BAD_CERTIFICATES)
def test_an_agent_whose_certificate_the_dialed_peer_refuses_is_told_so(fault, caplog):
    changes, reason = BAD_CERTIFICATES[fault]
    scene = LinkScene(certificate=certificate_of(OWN, "own", **changes))
    peer = scene.dial(scene.handshake(initiator=False))
    scene.run(0.1)
    assert (STRANGER if fault == "foreign" else reason) in peer.refusal
    peer.socket.close()
    told = WITHOUT_A_WORD if fault == "foreign" else "it may not trust this agent's certificate"
    refused(scene, caplog, peer.closed(), told)
    scene.world.stop()


@pytest.mark.parametrize("fault", BAD_CERTIFICATES)
def test_an_agent_whose_certificate_the_accepted_peer_refuses_is_told_so(fault, caplog):
    changes, reason = BAD_CERTIFICATES[fault]
    scene = LinkScene(certificate=certificate_of(OWN, "own", **changes))
    peer = scene.accept(scene.handshake(initiator=True))
    scene.run(0.1)
    assert reason in peer.refusal
    peer.socket.close()
    refused(scene, caplog, peer.closed(), "its log says why if it refused us")
    scene.world.stop()


def test_an_agent_is_no_peer_of_itself(scene, caplog):
    peer = scene.accept(scene.handshake(initiator=True, identity=OWN, trust=TrustStore([])))
    scene.run(0.1)
    assert peer.refusal
    other = scene.dial(scene.handshake(initiator=False, identity=OWN))
    refused(scene, caplog, other, "own identity")
    assert scene.meters.alarms.counts() == ((AlarmKind.IDENTITY, "this agent", 1),)
    [line] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert getattr(line, ALARM_MARK) == "identity"
    assert "another running agent has a copy of its key" in line.getMessage()


def test_the_reason_of_a_peer_that_closes_instead_of_admitting_is_reported(scene, caplog):
    peer = scene.dial(scene.handshake(initiator=False))
    scene.run(0.1)
    reason = "duplicate identity\n: another one"
    peer.send_frames(link_frame(FrameType.CLOSE, link_bodies.encode_close(reason)))
    scene.run(0.1)
    assert scene.counts == (1, 0, 0)
    assert not scene.is_alive
    [away] = scene.directory.of(LinkTurnedAway)
    assert away.reason == reason
    assert scene.caller.of(dialer_messages.TicketLeft) == []
    assert caplog.records == [], "the directory knows whether that is news"


def test_a_dialed_port_that_closes_at_once_is_refused(scene, caplog):
    peer = scene.dial()
    peer.socket.close()
    refused(scene, caplog, peer.closed(), WITHOUT_A_WORD)


def test_a_reset_behind_message_2_ends_the_dialed_link_as_refused(scene, caplog):
    peer = scene.dial()
    scene.run(0.1)
    shaking = scene.handshake(initiator=False)
    progress = shaking.receive(bytes(peer.received), scene.world.dispatcher("there").unix_time())
    scene.world.pause("here")
    peer.send(progress.to_send)
    scene.run(0.1)
    peer.socket.abort()
    scene.run(0.1)
    scene.world.resume("here")
    refused(scene, caplog, peer.closed(), "")


@pytest.mark.parametrize("state", ["handshake", "judgement", "admission"])
def test_every_state_before_the_admission_times_out(scene, state, caplog):
    if state == "handshake":
        peer = scene.accept()
    elif state == "judgement":
        peer = scene.dial(scene.handshake(initiator=False))
    else:
        peer = scene.accept(scene.handshake(initiator=True))
    scene.run(9.9)
    assert state in str(scene.link)
    assert scene.is_alive
    scene.run(0.2)
    assert not scene.is_alive
    assert peer.end
    assert scene.counts[:2] == (1, 0)
    if state == "judgement":
        assert scene.complaints(caplog) == [], "its dialer has told of the silence long before"
    else:
        assert "no handshake within 10 s" in scene.complaints(caplog)[0]


def test_the_admission_ends_the_time_limit_of_the_handshake(scene):
    scene.admitted()
    scene.run(60.0)
    assert scene.is_alive
    assert scene.counts == (0, 0, 0)


def test_a_link_that_has_proven_itself_by_the_time_it_is_to_make_room_stays(scene):
    peer = scene.accepted()
    scene.tell(messages.MakeRoom())
    scene.run(0.1)
    assert scene.is_alive
    scene.tell(ADMIT, messages.MakeRoom())
    scene.run(0.1)
    assert scene.is_alive
    assert peer.end == ""
    assert scene.counts == (0, 0, 0)


@pytest.mark.parametrize("told", [messages.MakeRoom(), messages.CloseLink("leaving")])
def test_a_link_that_is_not_wanted_is_closed_while_it_shakes_hands(scene, told):
    peer = scene.accept()
    scene.tell(told)
    scene.run(0.1)
    assert scene.link_ended
    assert peer.end == "EOF"
    assert scene.counts == (1, 0, 0)


@pytest.mark.parametrize("core", ["directory", "table"])
def test_a_link_ends_with_the_directory_and_with_the_connection_table(scene, core):
    peer = scene.admitted()
    getattr(scene, core).ref.stop(block=False)
    scene.run(1.0)
    assert peer.reasons == ["the agent starts anew, or leaves in disorder"]
    assert not scene.is_alive
