"""What a link does with frames: those for here, those for others, its own; and what it may hold."""

from typing import Any

import pytest

from actors.links.output import AT_ONCE_BYTES
from actors.links.peer_link import MAX_CONTROL_BYTES
from actors.messages import peer_link as messages
from actors.messages.connection_table import FramesArrived
from actors.messages.route_table import DigestArrived, RecordsArrived
from mesh.config.schema import Config, ConnectionsSection, RoutingSection
from mesh.link import bodies as link_bodies
from mesh.link.bodies import Digest, DigestEntry, Records, WireRecord
from mesh.link.frames import Frame, FrameType, link_frame
from mesh.link.relay_budget import RelayBudget
from mesh.trust.identity import Instance
from scripts.lab.frames import changed
from tests.actors.company import start
from tests.actors.links.link_company import ALICE, BOB, OWN, PEER, LinkScene


def frame(destination: Any, connection: int = 1, hop_limit: int = 16, **changes: Any) -> Frame:
    made = Frame(FrameType.DATA, False, PEER.id, destination.id, connection, 0, b"sealed", hop_limit)
    return changed(made, **changes)


def ping(token: int) -> Frame:
    return link_frame(FrameType.PING, link_bodies.encode_ping(token))


@pytest.fixture
def roads(scene):
    """Links to Alice and Bob, which only listen."""
    links = {ALICE.id: start(scene.world), BOB.id: start(scene.world)}
    peer = scene.admitted()
    scene.tell(messages.ForwardingChanged({agent: link.ref for agent, link in links.items()}, None))
    return scene, peer, links[ALICE.id], links[BOB.id]


# Transit


def test_frames_of_one_read_are_grouped_by_destination_in_their_order(roads):
    scene, peer, alice, bob = roads
    order = [ALICE, OWN, BOB, ALICE, OWN, ALICE]
    peer.send_frames(*[frame(agent, number=number) for number, agent in enumerate(order)])
    scene.run(0.1)
    assert scene.table.heard == [FramesArrived((frame(OWN, number=1), frame(OWN, number=4)), PEER.id)]
    [to_alice], [to_bob] = alice.heard, bob.heard
    assert to_alice == messages.SendFrames(
        tuple(frame(ALICE, number=number, hop_limit=15) for number in (0, 3, 5))
    )
    assert to_bob == messages.SendFrames((frame(BOB, number=2, hop_limit=15),))
    assert (scene.meters.frames_forwarded, scene.meters.bytes_forwarded) == (4, 4 * len(b"sealed"))


def test_each_link_takes_a_hop_and_no_sender_gets_more_than_the_maximum():
    scene = LinkScene(Config(routing=RoutingSection(max_hops=4)))
    alice, peer = start(scene.world), scene.admitted()
    scene.tell(messages.ForwardingChanged({ALICE.id: alice.ref}, None))
    peer.send_frames(*[frame(ALICE, number=limit, hop_limit=limit) for limit in (2, 3, 4, 5, 255)])
    scene.run(0.1)
    assert [passed.hop_limit for passed in alice.heard[0].frames] == [1, 2, 3, 3, 3]
    scene.world.stop()


def test_a_frame_whose_hops_are_used_up_goes_no_further(roads):
    scene, peer, alice, _ = roads
    peer.send_frames(*[frame(ALICE, number=limit, hop_limit=limit) for limit in (0, 1, 2)])
    peer.send_frames(frame(OWN, hop_limit=0))
    scene.run(0.1)
    assert [passed.number for message in alice.heard for passed in message.frames] == [2]
    assert scene.meters.frames_expired == 2
    heard = len(alice.heard)
    peer.send_frames(frame(ALICE, number=3, hop_limit=1))
    scene.run(0.1)
    assert scene.meters.frames_expired == 3
    assert len(alice.heard) == heard, "nothing is passed on, so nobody is woken"
    assert scene.table.heard == [FramesArrived((frame(OWN, hop_limit=0),), PEER.id)]


def test_a_frame_that_no_link_leads_on_is_dropped(roads):
    scene, peer, alice, _ = roads
    scene.tell(messages.ForwardingChanged({ALICE.id: alice.ref}, None))
    peer.send_frames(frame(BOB), frame(BOB), frame(ALICE))
    scene.run(0.1)
    assert scene.meters.frames_unroutable == 2
    assert len(alice.heard) == 1
    assert scene.is_alive


def test_a_frame_does_not_go_back_by_the_link_that_it_came_by(roads):
    scene, peer, alice, _ = roads
    scene.tell(messages.ForwardingChanged({ALICE.id: alice.ref, BOB.id: scene.link.ref}, None))
    peer.send_frames(frame(BOB), frame(ALICE), frame(BOB))
    scene.run(0.1)
    assert peer.of(FrameType.DATA) == []
    assert scene.meters.frames_unroutable == 2
    assert scene.meters.frames_forwarded == 1
    assert len(alice.heard) == 1


def test_a_frame_for_a_link_that_has_just_ended_is_dropped(roads):
    scene, peer, alice, _ = roads
    alice.ref.stop(block=False)
    scene.run(0.0)
    peer.send_frames(frame(ALICE), frame(OWN))
    scene.run(0.1)
    assert scene.table.heard == [FramesArrived((frame(OWN),), PEER.id)]
    assert scene.is_alive


def test_an_agent_that_relays_for_nobody_passes_nothing_on(scene):
    peer = scene.admitted()
    peer.send_frames(frame(ALICE))
    scene.run(0.1)
    assert scene.meters.frames_unroutable == 1


def test_transit_leaves_marks_bodies_and_directions_alone(roads):
    scene, peer, alice, _ = roads
    sent = frame(ALICE, marked=True, from_exit=True, body=bytes(range(256)) * 200, number=2**64 - 1)
    peer.send_frames(sent)
    scene.run(0.1)
    assert alice.heard == [messages.SendFrames((sent.after_a_hop(16),))]


# The link's own


def test_records_and_digests_go_to_the_route_table_with_the_peers_id(scene):
    peer = scene.admitted()
    record = WireRecord(b"signed", b"s" * 64, 5)
    digest = Digest((DigestEntry(ALICE.id, 1, 2, Instance(bytes(16))),))
    peer.send_frames(
        link_frame(FrameType.RECORDS, link_bodies.encode_records(Records((record,)))),
        link_frame(FrameType.DIGEST, link_bodies.encode_digest(digest)),
    )
    scene.run(0.1)
    assert scene.route_table.heard == [RecordsArrived(PEER.id, (record,)), DigestArrived(PEER.id, digest)]


def test_the_records_of_one_read_go_together_and_where_there_are_none_nothing_goes(scene):
    peer = scene.admitted()
    records = [WireRecord(bytes((number,)), b"s" * 64, 5) for number in range(3)]
    frames = [
        link_frame(FrameType.RECORDS, link_bodies.encode_records(Records(tuple(batch))))
        for batch in ([], records[:1], [], records[1:])
    ]
    peer.send_frames(*frames)
    scene.run(0.1)
    assert scene.route_table.heard == [RecordsArrived(PEER.id, tuple(records))]
    peer.send_frames(*frames[:1] * 100)
    scene.run(0.1)
    assert len(scene.route_table.heard) == 1


def test_what_the_agent_has_to_say_goes_before_data_that_waits(scene):
    peer = scene.admitted()
    peer.frames.clear()
    body = bytes(AT_ONCE_BYTES + 1)
    data = tuple(frame(PEER, number=number, source=OWN.id, body=body) for number in range(3))
    digest = link_bodies.encode_digest(Digest(()))
    scene.link.ref.tell(messages.SendFrames(data))
    scene.link.ref.tell(messages.SendControl(FrameType.DIGEST, digest))
    scene.run(0.1)
    assert peer.frames == [link_frame(FrameType.DIGEST, digest), *data]


# What it may hold


def test_data_beyond_the_relay_buffer_is_dropped_and_counted():
    scene = LinkScene(relay_budget=RelayBudget(3_000_000))
    peer = scene.admitted(answers=False)
    peer.read(False)
    sent = tuple(frame(PEER, number=n, source=OWN.id, body=bytes(60_000)) for n in range(100))
    scene.tell(messages.SendFrames(sent))
    assert 1_000_000 < scene.link._output.queue.byte_count <= 2_000_000
    scene.run(10.0)
    assert not scene.is_alive
    budget = scene.settings.relay_budget
    assert budget.dropped_frames > 50
    assert budget.held_bytes == 0
    scene.world.stop()


def test_data_that_queues_is_marked(scene):
    scene.world.network.shape("here", "there", bytes_per_s=1e6)
    peer = scene.admitted()
    scene.tell(
        messages.SendFrames(
            tuple(frame(PEER, number=n, source=OWN.id, body=bytes(60_000)) for n in range(20))
        )
    )
    scene.run(3.0)
    marks = [arrived.marked for arrived in peer.of(FrameType.DATA)]
    assert marks[0]
    assert not any(marks[-4:])
    assert len(marks) == 20


def flood(scene, peer, seconds, tokens=10_000):
    """Ping all the time, and never read; the most that the link's queue held meanwhile."""
    peer.read(False)
    most, token = 0, 0
    for _ in range(int(seconds * 100)):
        if peer.unsent_bytes == 0 and not peer.end:
            peer.send_frames(*[ping(token + n) for n in range(tokens)])
            token += tokens
        scene.run(0.01)
        most = max(most, scene.link._output.queue.byte_count)
        if not scene.is_alive:
            break
    return most


def test_a_peer_that_pings_and_does_not_read_is_dropped_in_time(scene):
    peer = scene.admitted(answers=False)
    most = flood(scene, peer, 5.0, tokens=100)
    assert scene.link_ended
    assert most < MAX_CONTROL_BYTES
    assert scene.meters.links_lost == 1


@pytest.mark.interpreted
def test_a_peer_that_pings_faster_than_it_reads_is_dropped_before_it_takes_the_memory(monkeypatch):
    monkeypatch.setattr("actors.links.peer_link.MAX_CONTROL_BYTES", 1_000_000)
    scene = LinkScene(Config(connections=ConnectionsSection(timeout_s=1000.0)))
    peer = scene.admitted(answers=False)
    most = flood(scene, peer, 30.0)
    assert scene.link_ended
    assert most < 1_010_000
    assert scene.counts == (0, 1, 1)
    scene.world.stop()


def test_a_peer_that_pings_a_lot_and_reads_is_answered(scene):
    peer = scene.admitted()
    peer.frames.clear()
    for burst in range(20):
        peer.send_frames(*[ping(burst * 1000 + token) for token in range(1000)])
        scene.run(0.05)
    scene.run(1.0)
    answered = [link_bodies.decode_pong(pong.body) for pong in peer.of(FrameType.PONG)]
    assert answered == list(range(20_000))
    assert scene.is_alive


# Counted


def test_a_peer_has_the_bytes_and_round_trips_of_its_link_until_that_ends(roads):
    scene, peer, _, _ = roads
    meter = scene.meters.peers.by_peer()[PEER.id]
    before = meter.received_bytes
    peer.send_frames(*[frame(ALICE, number=number) for number in range(3)])
    scene.run(0.1)
    assert meter.forwarded_bytes == 3 * len(b"sealed")
    assert meter.received_bytes > before + meter.forwarded_bytes
    scene.run(30.0)
    assert meter.sent_bytes > 0
    assert sum(meter.round_trips.counts) > 0
    scene.tell(messages.CloseLink("enough"))
    scene.run(30.0)
    assert not scene.is_alive
    assert scene.meters.peers.by_peer() == {}


def test_one_that_has_not_been_admitted_makes_no_series(scene):
    scene.accepted()
    assert scene.meters.peers.by_peer() == {}
