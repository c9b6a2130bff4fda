"""Who may say what on a link, and what may be skipped."""

from typing import Any

import pytest

from actors.messages import peer_link as messages
from actors.messages.connection_table import FramesArrived
from mesh.alarms import AlarmKind
from mesh.link import bodies as link_bodies
from mesh.link.frames import MAX_SKIPPED_BODY_BYTES, Frame, FrameType, link_frame
from mesh.sampling import ALARM_MARK, MARK
from mesh.trust.naming import named
from scripts.lab.frames import changed
from tests.actors.company import start
from tests.actors.links.link_company import ALICE, BOB, OWN, PEER, LinkScene
from tests.frame_sizes import smallest_body

OF_CONNECTIONS = [kind for kind in FrameType if kind >= FrameType.OPEN]
IN_NAME = "in the name of another: its certificate does not let the peer relay"


def frame(kind: int, source: Any, destination: Any, **changes: Any) -> Frame:
    made = Frame(kind, False, source.id, destination.id, 1, 0, smallest_body(kind))
    return changed(made, **changes)


def is_up(scene: LinkScene, peer: Any) -> bool:
    """Whether the link answers a ping."""
    peer.frames.clear()
    peer.send_frames(link_frame(FrameType.PING, link_bodies.encode_ping(77)))
    scene.run(0.1)
    return [link_bodies.decode_pong(pong.body) for pong in peer.of(FrameType.PONG)] == [77]


@pytest.mark.parametrize("from_exit", [False, True])
@pytest.mark.parametrize("destination", [OWN, ALICE], ids=["for here", "for others"])
@pytest.mark.parametrize("kind", [*OF_CONNECTIONS, 0x60])
def test_who_may_not_relay_speaks_for_itself_only(scene, caplog, kind, destination, from_exit):
    alice = start(scene.world)
    peer = scene.admitted(may_relay=False)
    scene.tell(messages.ForwardingChanged({ALICE.id: alice.ref}, None))
    peer.send_frames(frame(kind, BOB, destination, from_exit=from_exit))
    scene.run(0.1)
    if kind == 0x60 and destination is OWN:
        assert scene.is_alive, "what is skipped here is in nobody's name"
        return
    assert scene.link_ended
    assert scene.counts == (0, 1, 1)
    [line] = scene.complaints(caplog)
    assert IN_NAME in line
    member = named("peer", PEER.id)
    assert f"peer {member} at" in line
    [said] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert (getattr(said, MARK), getattr(said, ALARM_MARK)) == (member, "tampering")
    assert scene.meters.alarms.counts() == ((AlarmKind.TAMPERING, member, 1),)
    assert scene.table.heard == alice.heard == []


def test_what_comes_behind_a_close_is_not_judged_any_more(scene, caplog):
    peer = scene.admitted(may_relay=False)
    close = link_frame(FrameType.CLOSE, link_bodies.encode_close("that is all"))
    peer.send_frames(close, frame(FrameType.DATA, BOB, OWN), close)
    scene.run(0.1)
    assert scene.link_ended
    assert [each.getMessage() for each in caplog.records if each.levelname in ("WARNING", "ERROR")] == []
    assert scene.meters.alarms.counts() == ()
    assert scene.table.heard == []


@pytest.mark.parametrize("kind", OF_CONNECTIONS)
def test_who_may_not_relay_may_speak_for_itself(scene, kind):
    alice = start(scene.world)
    peer = scene.admitted(may_relay=False)
    scene.tell(messages.ForwardingChanged({ALICE.id: alice.ref}, None))
    to_here, to_alice = frame(kind, PEER, OWN), frame(kind, PEER, ALICE)
    peer.send_frames(to_here, to_alice)
    assert is_up(scene, peer)
    assert scene.table.heard == [FramesArrived((to_here,), PEER.id)]
    assert alice.heard == [messages.SendFrames((to_alice.after_a_hop(16),))]


@pytest.mark.parametrize("kind", OF_CONNECTIONS)
def test_who_may_relay_may_bring_what_others_say(scene, kind):
    peer = scene.admitted()
    sent = frame(kind, BOB, OWN)
    peer.send_frames(sent)
    assert is_up(scene, peer)
    assert scene.table.heard == [FramesArrived((sent,), PEER.id)]


@pytest.mark.parametrize("kind", OF_CONNECTIONS)
def test_what_a_relay_brings_in_this_agents_own_name_is_dropped_and_counted(scene, kind):
    alice = start(scene.world)
    peer = scene.admitted()
    scene.tell(messages.ForwardingChanged({ALICE.id: alice.ref}, None))
    peer.send_frames(frame(kind, OWN, OWN), frame(kind, OWN, ALICE), genuine := frame(kind, BOB, ALICE))
    assert is_up(scene, peer)
    assert scene.table.heard == []
    assert alice.heard == [messages.SendFrames((genuine.after_a_hop(16),))]
    assert scene.meters.frames_returned == 2


@pytest.mark.parametrize("kind", [0x40, 0x4F, 0x5F])
@pytest.mark.parametrize("byte_count", [0, 1, 65_536])
def test_a_frame_of_the_links_own_that_may_be_skipped_is_dropped(scene, kind, byte_count):
    peer = scene.admitted(may_relay=False)
    peer.send_frames(Frame(kind, False, bytes(16), bytes(16), 0, 0, bytes(byte_count), 0))
    assert is_up(scene, peer)
    assert scene.table.heard == scene.route_table.heard == []


@pytest.mark.parametrize("kind", [0x60, 0x6F, 0x7F])
@pytest.mark.parametrize("byte_count", [0, 1, MAX_SKIPPED_BODY_BYTES])
def test_a_connections_frame_that_may_be_skipped_is_passed_on_and_dropped_at_its_end(scene, kind, byte_count):
    alice = start(scene.world)
    peer = scene.admitted()
    scene.tell(messages.ForwardingChanged({ALICE.id: alice.ref}, None))
    passing = frame(kind, BOB, ALICE, body=bytes(byte_count), from_exit=True, number=7)
    peer.send_frames(frame(kind, BOB, OWN, body=bytes(byte_count)), passing)
    assert is_up(scene, peer)
    assert scene.table.heard == []
    assert alice.heard == [messages.SendFrames((passing.after_a_hop(16),))]


def test_what_is_passed_on_though_unknown_leaves_as_it_came(scene):
    peer = scene.admitted()
    peer.frames.clear()
    sent = frame(0x60, OWN, PEER, body=b"new")
    scene.tell(messages.SendFrames((sent,)))
    scene.run(0.1)
    assert peer.frames == [sent]
