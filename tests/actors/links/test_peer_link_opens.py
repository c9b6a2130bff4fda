"""OPENs that a link brings in the names of agents whose way it is not on: few go on, and that is told."""

from typing import Any

import msgspec

from actors.links.budgets import TOLD_BURST
from actors.messages import peer_link as messages
from mesh.link.frames import Frame, FrameType
from mesh.routing.routes import compute_routes
from mesh.routing.ways_back import ROUNDABOUT_BURST
from tests.actors.company import start
from tests.actors.links.link_company import ALICE, BOB, OWN, PEER, LinkScene
from tests.frame_sizes import smallest_body
from tests.mesh.routing.graph_company import record_of

COUNT = 1_000
MESH = (OWN, PEER, ALICE, BOB)


def passed(scene: LinkScene, *, source: Any, bob_by: Any, kind: FrameType = FrameType.OPEN) -> int:
    """How many of so many frames for Alice went on."""
    alice = start(scene.world)
    peer = scene.admitted()
    links = {(OWN.id, ALICE.id), (OWN.id, PEER.id), (OWN.id if bob_by is BOB else bob_by.id, BOB.id)}
    records = {
        each.id: msgspec.structs.replace(
            record_of(0, {}),
            agent_id=each.id,
            round_trips={other.id: 0 for other in MESH if {(each.id, other.id), (other.id, each.id)} & links},
        )
        for each in MESH
    }
    snapshot = compute_routes(OWN.id, records, max_hops=16, version=1)
    scene.tell(messages.ForwardingChanged({ALICE.id: alice.ref}, snapshot))
    body = smallest_body(kind)
    peer.send_frames(
        *(Frame(kind, False, source.id, ALICE.id, number, 0, body) for number in range(1, COUNT + 1))
    )
    scene.run(0.5)
    return sum(len(message.frames) for message in alice.heard)


def test_few_opens_go_on_in_the_name_of_an_agent_that_is_elsewhere(scene, caplog):
    went = passed(scene, source=BOB, bob_by=BOB)
    assert ROUNDABOUT_BURST <= went < ROUNDABOUT_BURST + 20
    assert scene.meters.opens_held_back == COUNT - went
    assert scene.meters.frames_forwarded == went
    lines = [line for line in caplog.messages if "holding them back" in line]
    assert len(lines) == TOLD_BURST
    assert "come by peer peer" in lines[0]


def test_opens_of_whom_the_way_leads_to_by_this_link_all_go_on(scene):
    assert passed(scene, source=BOB, bob_by=PEER) == COUNT
    assert scene.meters.opens_held_back == 0


def test_opens_of_the_peer_itself_all_go_on(scene):
    assert passed(scene, source=PEER, bob_by=BOB) == COUNT


def test_other_frames_all_go_on_wherever_they_come_from(scene):
    assert passed(scene, source=BOB, bob_by=BOB, kind=FrameType.ACK) == COUNT
