"""Links that get new keys all the time, under load: nobody notices, whatever else happens to them."""

import random

import pytest
from msgspec.structs import replace

from mesh.addresses import TcpAddress
from mesh.link.rekeying import RekeyLimits
from scripts.simulation.conversation import Pace, Terms
from tests.examples import seeds
from tests.simulation.mesh_world import KEY, LISTEN_PORT, MIB, SERVICE_PORT, mesh_world, talks

NAMES = ("branch", "left", "right", "hq")
BY_TIME = RekeyLimits(after_s=1.2, answer_s=10.0, rate=10.0, burst=10.0)
BY_VOLUME = RekeyLimits(after_bytes=100_000, answer_s=10.0, rate=10.0, burst=10.0)


def rekeying_diamond(mesh, limits, *, without=()):
    """Two relays between branch and hq; agents in ``without`` lack the feature."""
    mesh.plan("branch", peers=["left", "right"], listeners={KEY: LISTEN_PORT})
    mesh.plan("left")
    mesh.plan("right")
    mesh.plan("hq", peers=["left", "right"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
    for name in NAMES:
        plan = mesh.plans[name]
        features = () if name in without else plan.setup.features
        plan.setup = replace(plan.setup, rekey_limits=limits, features=features)
    for one, other in (("branch", "left"), ("branch", "right"), ("left", "hq"), ("right", "hq")):
        mesh.network.shape(one, other, bytes_per_s=1e6, latency_s=0.02)
    mesh.serve("service")
    mesh.start()
    mesh.converge()


def counted(mesh, name):
    return {agent: getattr(mesh.plans[agent].meters, name) for agent in NAMES}


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("limits", [BY_TIME, BY_VOLUME], ids=["by time", "by volume"])
def test_new_keys_cost_no_link_and_no_frame(seed, limits):
    with mesh_world(seed) as mesh:
        rekeying_diamond(mesh, limits)
        talks(mesh, random.Random(seed), count=3, size=MIB)
        mesh.converse(Terms(99, 4_000, 4_000), Pace(byte_count=200, pause_s=0.5))
        mesh.run_until_said(120.0)
        mesh.assert_all_complete()
        rekeyed = counted(mesh, "links_rekeyed")
        assert min(rekeyed["branch"], rekeyed["hq"]) >= 2
        for nothing in ("links_lost", "links_broken", "frames_forged", "frames_unknown"):
            assert not any(counted(mesh, nothing).values()), nothing
        mesh.finish()


@pytest.mark.parametrize("seed", seeds(1))
def test_links_that_break_in_the_middle_of_it_come_again(seed):
    draw = random.Random(seed)
    with mesh_world(seed) as mesh:
        rekeying_diamond(mesh, BY_TIME)
        talks(mesh, draw)
        for _ in range(6):
            mesh.run(0.3 + draw.random())
            transit = draw.choice(("left", "right"))
            end = draw.choice(("branch", "hq"))
            match draw.randrange(3):
                case 0:
                    mesh.network.cut(end, transit, reset=draw.random() < 0.5)
                    mesh.run(draw.choice((0.05, 1.0)))
                    mesh.network.heal(end, transit)
                case 1:
                    mesh.world.pause(transit)
                    mesh.run(draw.choice((0.5, 2.0)))
                    mesh.world.resume(transit)
                case _:
                    mesh.restart(transit)
            mesh.run(3.0)
        mesh.run_until_said(120.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        assert not any(counted(mesh, "links_broken").values())
        mesh.run(20.0)
        before = counted(mesh, "links_rekeyed")
        mesh.run(10.0)
        assert all(counted(mesh, "links_rekeyed")[name] > before[name] for name in NAMES)
        mesh.finish()


def test_an_agent_that_lacks_the_feature_is_a_peer_like_any_other():
    with mesh_world(1) as mesh:
        rekeying_diamond(mesh, BY_TIME, without=("left",))
        talks(mesh, random.Random(1), count=2)
        mesh.run_until_said(60.0)
        mesh.run(5.0)
        mesh.assert_all_complete()
        rekeyed = counted(mesh, "links_rekeyed")
        assert not rekeyed["left"]
        assert all(rekeyed[name] for name in ("branch", "right", "hq"))
        assert not any(counted(mesh, "links_lost").values())
        mesh.finish()
