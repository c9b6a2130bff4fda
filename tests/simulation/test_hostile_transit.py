"""A transit agent that listens, alters and invents: it learns nothing, nothing it made is delivered."""

import random

import pytest

from actors.links.peer_link import PeerLink
from mesh.link.frames import FrameType
from scripts.simulation.conversation import Manner, Pace, Terms
from tests.examples import seeds
from tests.simulation.hostile_transit import MISCHIEF, HostileLink, RecordingLink
from tests.simulation.mesh_world import KEY, mesh_world, three_agents


def test_a_transit_agent_that_records_everything_finds_neither_payload_nor_routing_key():
    RecordingLink.recorded = []
    with mesh_world(1, {"relay": RecordingLink}) as mesh:
        three_agents(mesh)
        for number in range(5):
            mesh.converse(Terms(number, 200_000, 200_000))
        mesh.run_until_said(20.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()
        recorded = b"|".join(frame.body for frame in RecordingLink.recorded)
        assert len(recorded) > 2_000_000
        assert {frame.type for frame in RecordingLink.recorded} >= {
            FrameType.OPEN, FrameType.ACCEPT, FrameType.DATA, FrameType.FIN, FrameType.ACK
        }  # fmt: skip
        assert KEY.encode() not in recorded
        for talk in mesh.conversations:
            for text in (talk.terms.request, talk.terms.answer):
                for start in range(0, len(text) - 8, 9_973):
                    assert text[start : start + 8] not in recorded


def hostile(seed: int, kinds: tuple[str, ...], chance: float, *, until_s: float = 30.0) -> dict[str, int]:
    """Some connections through a hostile relay; how many ended how."""
    draw = random.Random(f"{seed} {kinds} {chance}")
    HostileLink.plan(seed, kinds, chance)
    with mesh_world(seed, {"relay": HostileLink}) as mesh:
        mesh.network.shape("relay", "hq", latency_s=draw.choice([0.001, 0.02]))
        three_agents(mesh)
        for number in range(6):
            terms = Terms(
                number, draw.randrange(150_000), draw.randrange(150_000), Manner(draw.choice([0, 1, 3]))
            )
            pace = Pace(byte_count=draw.choice([0, 3000]), pause_s=0.01)
            mesh.converse(terms, pace, start_s=draw.random())
        mesh.run(until_s)
        mesh.assert_nothing_wrong()
        links = [link for name in mesh.running for link in mesh.actors_on(name, PeerLink)]
        assert len(links) == 4, f"seed {seed}: a link was lost"
        HostileLink.chance = 0.0  # honest from now on: whatever is left must come to its end
        mesh.run_until_said(200.0)
        mesh.finish(limit_s=120.0)
        ended = [talk.heard.is_complete for talk in mesh.conversations]
        return {"complete": sum(ended), "reset": len(ended) - sum(ended)}


@pytest.mark.parametrize("kind", MISCHIEF)
@pytest.mark.parametrize("seed", seeds(2))
def test_one_kind_of_mischief_is_survived(seed, kind):
    ended = hostile(seed, (kind,), 0.1)
    assert HostileLink.done.get(kind), "nothing was done"
    # Nothing that it invents, replays or marks ends a connection: only what is withheld may delay one.
    assert ended == {"complete": 6, "reset": 0}, (seed, kind, ended)


@pytest.mark.parametrize("seed", seeds(30))
def test_all_mischief_together_never_forges_a_byte_or_an_end(seed):
    hostile(seed, MISCHIEF, (0.02, 0.2, 0.6)[seed % 3])
