"""The life of an admitted link: silence, challenges, farewell. All around it only listen."""

import itertools

import msgspec
import pytest

from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as messages
from actors.messages.connection_table import FramesArrived
from actors.messages.peer_directory import ChallengeArrived
from mesh.config.schema import Config, ConnectionsSection
from mesh.link import bodies as link_bodies
from mesh.link.frame_sealing import FrameWriter
from mesh.link.frames import FrameType, link_frame
from mesh.link.link import LEAVE_TIMEOUT_S
from mesh.link.rekeying import Rekeying, State
from mesh.link.silence import Pulse
from mesh.sampling import MARK
from mesh.trust.certificates import CERTIFICATE_POLL_S
from tests.actors.links.link_company import (
    ADMIT,
    PEER,
    LinkScene,
    certificate_of,
    data,
    key_source,
)

PING = link_frame(FrameType.PING, link_bodies.encode_ping(77))


# Silence


def test_the_round_trip_is_measured_three_times_within_the_timeout(scene):
    scene.admitted()
    scene.world.network.shape("here", "there", latency_s=0.05)
    scene.directory.heard.clear()
    scene.run(3.05)
    measured = scene.directory.of(directory_messages.LinkMeasured)
    assert len(measured) in (3, 4)
    assert {message.link_urn for message in measured} == {scene.link.actor_urn}
    assert [message.rtt_s for message in measured] == pytest.approx([0.1] * len(measured))


def test_an_answer_to_an_earlier_ping_or_a_second_one_is_no_measurement(scene):
    peer = scene.admitted(answers=False)
    token = link_bodies.decode_ping(peer.of(FrameType.PING)[0].body)
    for wrong in (token - 1, token + 1):
        peer.send_frames(link_frame(FrameType.PONG, link_bodies.encode_pong(wrong)))
    scene.run(0.1)
    assert scene.directory.of(directory_messages.LinkMeasured) == []
    for _ in range(3):
        peer.send_frames(link_frame(FrameType.PONG, link_bodies.encode_pong(token)))
        scene.run(0.1)
    assert len(scene.directory.of(directory_messages.LinkMeasured)) == 1


def test_a_silent_peer_is_dead_after_the_timeout_and_not_before(scene, caplog):
    caplog.set_level("INFO")
    peer = scene.admitted(answers=False)
    scene.run(2.8)
    assert scene.is_alive
    scene.run(1.1)
    assert scene.link_ended
    assert peer.end
    assert scene.counts == (0, 0, 1)
    assert "silent for 3" in caplog.text


def test_a_peer_is_dead_at_the_timeout_wherever_between_two_pings_it_fell_silent(scene):
    peer = scene.admitted(answers=False)
    scene.run(2.4)
    peer.send_frames(data(0))
    scene.run(2.98)
    assert scene.is_alive
    scene.run(0.05)
    assert scene.link_ended


def test_any_frame_of_the_peer_breaks_its_silence(scene):
    peer = scene.admitted(answers=False)
    for number in range(10):
        scene.run(2.0)
        peer.send_frames(data(number))
    assert scene.is_alive


def test_an_agent_that_stood_still_gives_its_peer_one_more_period(scene):
    peer = scene.admitted()
    scene.world.pause("here")
    scene.run(30.0)
    scene.world.resume("here")
    scene.run(5.0)
    assert scene.is_alive
    peer.stop_answering()
    scene.world.pause("here")
    scene.run(30.0)
    scene.world.resume("here")
    scene.run(0.5)
    assert scene.is_alive
    scene.run(2.0)
    assert not scene.is_alive


def test_a_peer_that_takes_nothing_is_dead_though_it_speaks(scene, caplog):
    caplog.set_level("INFO")
    peer = scene.admitted(answers=False)
    peer.read(False)
    scene.tell(messages.SendFrames(tuple(data(n, 60_000, to_peer=True) for n in range(40))))
    for number in range(12):
        peer.send_frames(data(number))
        scene.run(0.4)
    assert scene.link_ended
    assert "has taken nothing for 3" in caplog.text


@pytest.fixture
def patient():
    """A link that pings three times an hour."""
    scene = LinkScene(Config(connections=ConnectionsSection(timeout_s=3_600.0)))
    yield scene
    scene.world.stop()


@pytest.mark.parametrize("timeout", ["scene", "patient"])
def test_a_link_ends_with_its_peers_certificate(request, timeout, caplog):
    scene = request.getfixturevalue(timeout)
    peer = scene.accept(scene.handshake(initiator=True, certificate=certificate_of(PEER, valid_s=100)))
    scene.run(0.1)
    scene.tell(ADMIT)
    scene.run(99.8)
    assert scene.is_alive
    scene.run(0.2)
    assert scene.link_ended
    assert peer.reasons == ["certificate expired"]
    assert "the certificate of peer has expired" in caplog.text


def test_a_link_ends_a_minute_after_a_clock_was_set_beyond_its_peers_certificate(patient):
    scene = patient
    scene.accept(scene.handshake(initiator=True, certificate=certificate_of(PEER, valid_s=100_000)))
    scene.run(0.1)
    scene.tell(ADMIT)
    scene.run(100.0)
    assert scene.is_alive
    scene.world.dispatcher("here").clock_skew_s = 200_000.0
    scene.run(CERTIFICATE_POLL_S + 0.1)
    assert scene.link_ended


# Challenges


def test_only_the_answer_to_the_challenge_that_was_asked_counts(scene):
    peer = scene.admitted()
    asked, guessed = b"n" * 16, b"g" * 16
    unasked = link_frame(FrameType.CHALLENGE_ANSWER, link_bodies.encode_challenge(guessed))
    peer.send_frames(unasked)
    scene.run(0.1)
    scene.tell(messages.ChallengePeer(asked))
    peer.send_frames(unasked)
    scene.run(0.1)
    assert peer.of(FrameType.CHALLENGE)[0].body == link_bodies.encode_challenge(asked)
    assert scene.directory.of(directory_messages.PeerAnswered) == []
    answer = link_frame(FrameType.CHALLENGE_ANSWER, link_bodies.encode_challenge(asked))
    peer.send_frames(answer, answer)
    scene.run(0.1)
    answered = directory_messages.PeerAnswered(scene.link.actor_urn, PEER.id)
    assert scene.directory.of(directory_messages.PeerAnswered) == [answered]


def test_a_challenge_is_answered(scene):
    peer = scene.admitted()
    peer.send_frames(link_frame(FrameType.CHALLENGE, link_bodies.encode_challenge(b"n" * 16)))
    scene.run(0.1)
    assert peer.of(FrameType.CHALLENGE_ANSWER)[0].body == link_bodies.encode_challenge(b"n" * 16)
    assert scene.directory.of(ChallengeArrived) == [ChallengeArrived(PEER.id)]


# Farewell


def numbers(peer):
    return [frame.number for frame in peer.of(FrameType.DATA)]


def test_what_is_queued_and_the_reason_arrive_though_the_peers_bytes_are_unread(scene):
    scene.world.network.shape("here", "there", bytes_per_s=2e6)
    peer = scene.admitted()
    queued = tuple(data(number, 60_000, to_peer=True) for number in range(10))
    scene.tell(messages.SendFrames(queued))
    for number in range(20):
        scene.world.at(scene.world.now() + 0.02 * number, lambda: peer.send_frames(data(0, 60_000)))
    scene.tell(messages.CloseLink("the agent has left"))
    scene.run(2.0)
    assert numbers(peer) == list(range(10))
    assert peer.reasons == ["the agent has left"]
    assert scene.link_ended


def test_frames_that_come_too_late_do_not_spoil_the_farewell(scene):
    scene.world.network.shape("here", "there", bytes_per_s=1e5)
    peer = scene.admitted()
    queued = tuple(data(number, 2_000, to_peer=True) for number in range(5))
    scene.tell(messages.SendFrames(queued), messages.CloseLink("bye"))
    peer.send_frames(*[data(number, 20_000) for number in range(5)])
    scene.run(0.02)
    assert "waiting for the peer to close" in str(scene.link)
    scene.link.ref.tell(messages.SendFrames(queued[:1]))
    scene.link.ref.tell(messages.SendControl(FrameType.PING, PING.body))
    scene.run(2.0)
    assert numbers(peer) == list(range(5))
    assert peer.reasons == ["bye"]


def test_a_link_that_waits_for_admission_says_why_it_is_turned_away(scene):
    peer = scene.accepted()
    peer.send_frames(*[data(number, 60_000) for number in range(30)])
    scene.run(0.5)
    scene.tell(messages.CloseLink("another link to this peer is up"))
    scene.run(LEAVE_TIMEOUT_S + 0.5)
    assert peer.reasons == ["another link to this peer is up"]
    assert scene.link_ended
    assert scene.table.heard == []


@pytest.mark.parametrize("reads", [True, False])
def test_a_farewell_takes_a_second_at_the_most(scene, reads):
    peer = scene.admitted()
    peer.read(reads)
    scene.tell(messages.SendFrames(tuple(data(n, 60_000, to_peer=True) for n in range(100))))
    peer.closes_at_end = False
    scene.tell(messages.CloseLink("bye"), messages.CloseLink("bye again"))
    scene.run(LEAVE_TIMEOUT_S - 0.1)
    assert scene.is_alive
    scene.run(0.2)
    assert scene.link_ended
    assert peer.reasons == (["bye"] if reads else [])


def test_the_peers_farewell_ends_the_link_after_what_came_before_it(scene, caplog):
    caplog.set_level("INFO")
    peer = scene.admitted()
    farewell = link_frame(FrameType.CLOSE, link_bodies.encode_close("maintenance\x1b[2J"))
    peer.send_frames(data(0), farewell)
    scene.run(0.1)
    assert scene.table.heard == [FramesArrived((data(0),), PEER.id)]
    assert scene.link_ended
    assert "maintenance\\x1b[2J" in caplog.text
    assert scene.counts == (0, 0, 1)
    (ended,) = scene.directory.of(directory_messages.LinkEnded)
    assert (ended.why, ended.has_left) == ("the peer closed it: maintenance\\x1b[2J", False)


def test_a_peer_that_leaves_in_order_is_told_apart_from_one_that_is_lost(scene):
    peer = scene.admitted()
    peer.send_frames(link_frame(FrameType.CLOSE, link_bodies.encode_close(link_bodies.HAS_LEFT)))
    scene.run(0.1)
    (ended,) = scene.directory.of(directory_messages.LinkEnded)
    assert ended.has_left


@pytest.mark.parametrize(
    ("how", "why"), [("close", "the peer closed the connection"), ("abort", "Connection reset by peer")]
)
def test_a_connection_that_breaks_ends_the_link(scene, how, why):
    peer = scene.admitted()
    getattr(peer.socket, how)()
    scene.run(0.1)
    assert scene.link_ended
    assert scene.directory.heard[-1] == directory_messages.LinkEnded(scene.link.actor_urn, PEER.id, why)
    assert scene.counts == (0, 0, 1)


def test_a_link_writes_once_for_all_messages_of_a_turn(scene):
    peer = scene.admitted()
    sent = itertools.count()
    before = scene.link._socket.send
    scene.link._socket.send = lambda buffers: (next(sent), before(buffers))[1]
    for number in range(20):
        scene.link.ref.tell(messages.SendFrames((data(number, to_peer=True),)))
    scene.run(0.1)
    assert next(sent) == 1
    assert numbers(peer) == list(range(20))


def test_the_reasons_of_a_peer_are_no_places_of_their_own_in_the_log(scene, caplog):
    caplog.set_level("INFO")
    for number in range(20):
        peer = scene.admitted()
        reason = f"reason {number}: {'x' * number}"
        peer.send_frames(link_frame(FrameType.CLOSE, link_bodies.encode_close(reason)))
        scene.run(0.5)
    lost = [record for record in caplog.records if "link lost" in record.getMessage()]
    assert len(lost) == 20
    assert len({getattr(record, MARK) for record in lost}) == 1


# New keys


@pytest.fixture
def rekeyed():
    """A link that asks for new keys at its second ping, and its peer, which dialed and is about to ask."""
    scene = LinkScene()
    source = key_source(scene.world.dispatcher("here"), b"s" * 32, after_s=1.1)
    scene.settings = msgspec.structs.replace(scene.settings, key_source=source)
    peer = scene.accepted()
    source = key_source(scene.world.dispatcher("there"), b"S" * 32, after_s=0.0)
    rekeying = Rekeying(source, is_dialer=True, peer=peer.peer, pulse=Pulse(3.0, scene.world.now()))
    peer.read_with(rekeying.take)
    scene.tell(ADMIT)
    yield scene, peer, rekeying
    scene.world.stop()


def test_a_request_for_new_keys_does_not_wait_behind_the_answer_to_the_peers(rekeyed):
    """Both ask at once, while all that the link has to send waits for a peer that does not read."""
    scene, peer, rekeying = rekeyed
    scene.run(0.9)
    peer.read(False)
    scene.tell(messages.SendFrames(tuple(data(n, 60_000, to_peer=True) for n in range(40))))
    own = scene.link._link._own_frames.rekeying
    scene.run(0.4)
    assert own.state is State.ASKED
    assert scene.link._output.is_blocked
    wanted = []
    rekeying.judge(scene.world.now(), 0, wanted)
    peer.send_frames(*(link_frame(each.frame_type, each.body) for each in wanted))
    scene.run(0.2)
    assert own.state is State.ANSWERED
    peer.read(True)
    scene.run(0.5)
    assert [frame.type for frame in peer.of(FrameType.REKEY, FrameType.NEW_KEY)] == [
        FrameType.REKEY,
        FrameType.NEW_KEY,
    ]
    rekeying.hand_over(wanted)
    switch = wanted[1]
    peer.send_frames(link_frame(FrameType.NEW_KEY, switch.body))
    peer.writer = FrameWriter(switch.key)
    peer.send_frames(data(1))
    scene.run(0.1)
    assert [arrived.frames for arrived in scene.table.of(FramesArrived)] == [(data(1),)]
    assert scene.meters.links_rekeyed == 1


def test_what_earlier_links_to_the_peer_have_carried_wears_no_keys_of_a_new_one():
    scene = LinkScene()
    source = key_source(scene.world.dispatcher("here"), b"s" * 32, after_bytes=10_000)
    scene.settings = msgspec.structs.replace(scene.settings, key_source=source)
    scene.meters.peers.linked("another link", PEER.id).sent_bytes = 1_000_000
    peer = scene.admitted()
    scene.run(1.5)
    assert peer.of(FrameType.REKEY) == []
    scene.tell(messages.SendFrames((data(1, 10_000, to_peer=True),)))
    scene.run(1.5)
    assert len(peer.of(FrameType.REKEY)) == 1
    scene.world.stop()
