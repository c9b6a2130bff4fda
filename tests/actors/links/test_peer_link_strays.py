"""What a link brings in the name of an agent whose way it is not on goes on as a stray."""

from typing import Any

import msgspec
import pytest

from actors.messages import peer_link as messages
from mesh.link.frames import Frame, FrameType, turn_of_strays
from mesh.routing.routes import compute_routes
from mesh.routing.ways_back import SEARCH_BURST
from tests.actors.company import start
from tests.actors.links.link_company import ALICE, BOB, OWN, PEER, LinkScene
from tests.mesh.routing.graph_company import record_of

MESH = (OWN, PEER, ALICE, BOB)
BY_PEER = turn_of_strays(PEER.id)


@pytest.fixture
def scene():
    scene = LinkScene()
    yield scene
    scene.world.stop()


def passed(scene: LinkScene, *frames: Frame, bob_by: Any = OWN) -> list[Frame]:
    """What goes on to Alice; Bob has a link to ``bob_by`` and to nobody else."""
    alice = start(scene.world)
    peer = scene.admitted()
    links = {(OWN.id, ALICE.id), (OWN.id, PEER.id), (bob_by.id, BOB.id)}
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
    peer.send_frames(*frames)
    scene.run(0.5)
    return [frame for message in alice.heard for frame in message.frames]


def data(source: Any, number: int = 0, **changes: Any) -> Frame:
    return Frame(FrameType.DATA, False, source.id, ALICE.id, 1, number, b"body", **changes)


def test_what_comes_in_the_name_of_an_agent_that_is_elsewhere_is_a_stray(scene):
    sent = [data(BOB, 0), data(PEER, 0), data(PEER, 1), data(BOB, 1)]
    went = passed(scene, *sent)
    assert [frame.astray for frame in went] == [BY_PEER, b"", b"", BY_PEER]
    assert went == [frame.after_a_hop(16, each.astray) for frame, each in zip(sent, went, strict=True)]


def test_what_comes_by_its_sources_way_is_none(scene):
    assert [frame.astray for frame in passed(scene, data(BOB), bob_by=PEER)] == [b""]


def test_what_another_agent_has_found_astray_stays_so(scene):
    (went,) = passed(scene, data(BOB, astray=turn_of_strays(OWN.id)), bob_by=PEER)
    assert went.astray == BY_PEER


@pytest.mark.parametrize(("astray", "searches"), [(BY_PEER, 0), (b"", 1)], ids=["judged", "not"])
def test_what_has_been_judged_costs_no_search(scene, astray, searches):
    assert [frame.astray for frame in passed(scene, data(BOB, astray=astray))] == [BY_PEER]
    left = scene.settings.budgets.opens.of(PEER.id, 0.0).searches
    assert left.has(0.0, SEARCH_BURST - searches)
    assert not left.has(0.0, SEARCH_BURST - searches + 1)
