"""A relay that interferes with openings and endings only, in front of two exits that forget pair sessions."""

import random

import pytest

from actors.connections.connection_table import ConnectionTable
from mesh.addresses import TcpAddress
from mesh.link.frames import FrameType
from scripts.simulation.conversation import Manner, Pace, Terms
from tests.examples import seeds
from tests.simulation.hostile_transit import MISCHIEF, HostileLink
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world

SPARED = frozenset({FrameType.DATA})
TALKS = 25
ACTS = 6


class HostileToOpenings(HostileLink):
    """Passes on what was said, as any relay."""

    def _pass_on(self, destination, frames):
        self._go_on([frame for frame in frames if frame.type in SPARED])
        super()._pass_on(destination, [frame for frame in frames if frame.type not in SPARED])


def two_exits(mesh, draw):
    near, far = (0.0005, 0.005, 0.02), (0.0001, 0.005)
    mesh.network.shape("branch", "relay", latency_s=draw.choice(near))
    for name in ("hq-1", "hq-2"):
        service = f"{name}.service"
        mesh.network.shape("relay", name, latency_s=draw.choice(near))
        mesh.network.shape(name, service, latency_s=draw.choice(far))
        mesh.plan(name, peers=["relay"], endpoints={KEY: TcpAddress(service, SERVICE_PORT)})
        mesh.serve(service)
    mesh.plan("relay")
    mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT})
    mesh.start()
    mesh.converge()


def befall(mesh, draw):
    """Something happens to one of the exits, or to what it shares with branch."""
    who, lasts_s = draw.choice(("hq-1", "hq-2")), draw.choice((0.1, 0.7, 1.5))
    match draw.choice(("restart", "forget", "pause", "cut")):
        case "restart":
            mesh.restart(who)
        case "forget":
            one, other = draw.sample((who, "branch"), 2)
            for table in mesh.actors_on(one, ConnectionTable):
                table._pairs.pairs.forget(mesh.plans[other].setup.identity.id)
        case "pause":
            mesh.world.pause(who)
            mesh.run(lasts_s)
            mesh.world.resume(who)
        case "cut":
            mesh.network.cut(who, f"{who}.service")
            mesh.run(lasts_s)
            mesh.network.heal(who, f"{who}.service")
    mesh.run(draw.random())


@pytest.mark.parametrize("seed", seeds(2))
def test_no_first_bytes_reach_two_services_and_no_end_is_made_up(seed):
    draw = random.Random(f"openings {seed}")
    HostileToOpenings.plan(seed, MISCHIEF, 0.0)
    with mesh_world(seed, {"relay": HostileToOpenings}) as mesh:
        two_exits(mesh, draw)
        for number in range(4):
            mesh.converse(Terms(number, 64, 64), start_s=0.1 * number)
        mesh.run(2.0)
        HostileToOpenings.chance = draw.choice((0.05, 0.2, 0.5))
        manners = (Manner.AT_ONCE, Manner.AFTER_END, Manner.FINISH_FIRST, Manner.LAST_WORDS, Manner.IN_STEP)
        for number in range(4, 4 + TALKS):
            up, down = draw.choice((0, 64, 1003, 5000)), draw.choice((0, 64, 1024, 9000))
            pace = Pace(byte_count=draw.choice((0, 0, 30)), pause_s=0.005)
            mesh.converse(Terms(number, up, down, draw.choice(manners)), pace, start_s=6.0 * draw.random())
        for _ in range(ACTS):
            befall(mesh, draw)
        mesh.run(10.0)
        assert HostileToOpenings.done
        HostileToOpenings.chance = 0.0
        mesh.run_until_said(200.0)
        mesh.finish(limit_s=120.0)
        assert any(talk.heard.is_complete for talk in mesh.conversations)
