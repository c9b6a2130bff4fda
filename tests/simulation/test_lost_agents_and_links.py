"""Agents and links that are lost under open connections: bytes go on or the connection is reset."""

import errno
import random

import pytest

from actors.connections.connection_end import ConnectionEnd
from scripts.simulation.conversation import Manner, Pace, Terms
from scripts.simulation.invariants import stands_by
from tests.examples import seeds
from tests.simulation.mesh_world import MIB, diamond, mesh_world, talks, three_agents, transit_of


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("fault", ["crash", "restart", "cut", "reset", "pause"])
def test_connections_outlive_the_transit_agent_that_carries_them(seed, fault):
    draw = random.Random(f"{seed} {fault}")
    with mesh_world(seed) as mesh:
        diamond(mesh)
        talks(mesh, draw)
        mesh.run(0.2 + draw.random())
        transit = transit_of(mesh)
        match fault:
            case "crash":
                mesh.crash(transit)
            case "restart":
                mesh.restart(transit)
            case "pause":
                mesh.world.pause(transit)
            case _:
                mesh.network.cut("branch", transit, reset=fault == "reset")
        mesh.run_until_said(120.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        if fault == "pause":
            mesh.world.resume(transit)
        mesh.network.heal("branch", transit)
        if fault == "crash":
            mesh.start(transit)
        mesh.run(30.0)
        mesh.finish()


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("away_s", [0.5, 5.0, 12.0])
@pytest.mark.parametrize("reset", [False, True])
def test_a_link_that_comes_back_in_time_costs_nothing(seed, away_s, reset):
    draw = random.Random(f"{seed} {away_s} {reset}")
    with mesh_world(seed) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=3e6)
        three_agents(mesh)
        talks(mesh, draw)
        mesh.run(0.2 + draw.random())
        where = draw.choice([("branch", "relay"), ("relay", "hq")])
        mesh.network.cut(*where, reset=reset)
        mesh.run(away_s)
        mesh.network.heal(*where)
        mesh.run_until_said(120.0)
        mesh.run(2.0)
        mesh.assert_nothing_wrong()
        for talk in mesh.conversations:
            # A client that came while there was no path was refused, or reset once open_timeout was over.
            assert talk.heard.is_complete or not opened(mesh, talk), (talk.terms, talk.heard)
        mesh.run(20.0)
        mesh.finish()


def opened(mesh, talk) -> bool:
    return talk.terms.number in mesh.records


@pytest.mark.parametrize("seed", seeds(2))
def test_a_link_that_stays_away_resets_its_connections_at_both_ends(seed):
    draw = random.Random(seed)
    with mesh_world(seed) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=1e6)
        three_agents(mesh)
        talks(mesh, draw)
        idle = mesh.converse(Terms(99, 2000, 1000), Pace(byte_count=1500, pause_s=200.0))
        mesh.run(1.2)
        mesh.network.cut("relay", "hq")
        mesh.run_until_said(60.0)
        assert idle.heard.error == errno.ECONNRESET
        mesh.run(10.0)
        for record in mesh.records.values():
            assert record.is_over
        mesh.assert_nothing_left(20.0)
        mesh.network.heal("relay", "hq")
        mesh.run(40.0)
        mesh.finish()


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("who", ["branch", "hq", "relay", "service", "client"])
@pytest.mark.parametrize("back_after_s", [0.0, 2.0])
def test_whoever_dies_only_takes_its_own_connections_along(seed, who, back_after_s):
    draw = random.Random(f"{seed} {who} {back_after_s}")
    with mesh_world(seed) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=3e6)
        three_agents(mesh)
        talks(mesh, draw)
        mesh.run(0.2 + draw.random())
        if who in mesh.plans:
            mesh.crash(who)
        else:
            mesh.world.crash(who)
        mesh.run(back_after_s)
        if who in mesh.plans:
            mesh.start(who)
        elif who == "service":
            mesh.records.clear()
            mesh.silent.clear()
            mesh.serve("service")
        if who != "client":
            mesh.run_until_said(120.0)
        mesh.run(20.0)
        mesh.assert_nothing_wrong()
        if who == "relay":
            mesh.run(10.0)
            for talk in mesh.conversations:
                assert talk.heard.is_complete or not opened(mesh, talk), (talk.terms, talk.heard)
        after = mesh.converse(Terms(1000, 10_000, 10_000))
        mesh.run_until(lambda: after.heard.is_over, 30.0)
        assert after.heard.is_complete, after.heard
        if who == "client":
            for number in {talk.terms.number for talk in mesh.conversations if not talk.heard.is_over}:
                service = mesh.records.pop(number, None)
                assert service is None or service.is_over, service
            mesh.conversations[:] = [talk for talk in mesh.conversations if talk.heard.is_over]
        mesh.finish()


@pytest.mark.parametrize("seed", seeds(5))
def test_bytes_survive_any_sequence_of_faults_or_the_connection_is_reset(seed):
    draw = random.Random(f"chaos {seed}")
    with mesh_world(seed) as mesh:
        diamond(mesh, reroute_timeout_s=8.0)
        hosts = ["branch", "left", "right", "hq"]
        pairs = [("branch", "left"), ("branch", "right"), ("left", "hq"), ("right", "hq")]
        number = 0
        for _ in range(12):
            for _ in range(draw.randrange(4)):
                terms = Terms(number, draw.randrange(MIB), draw.randrange(MIB), Manner(draw.randrange(2)))
                mesh.converse(
                    terms, Pace(byte_count=draw.choice([0, 20_000]), pause_s=0.05), start_s=draw.random()
                )
                number += 1
            mesh.run(draw.random() * 2)
            match draw.randrange(6):
                case 0:
                    mesh.network.cut(*draw.choice(pairs), reset=draw.random() < 0.5, one_way=False)
                case 1:
                    mesh.network.cut(*draw.choice(pairs), one_way=True)
                case 2 | 3:
                    for pair in pairs:
                        mesh.network.heal(*pair)
                case 4:
                    mesh.restart(draw.choice(hosts))
                case 5:
                    host = draw.choice(hosts)
                    mesh.world.pause(host)
                    mesh.run(draw.random() * 5)
                    mesh.world.resume(host)
            mesh.run(draw.random() * 4)
        for pair in pairs:
            mesh.network.heal(*pair)
        mesh.run_until_said(200.0)
        mesh.run(60.0)
        for name in hosts:
            left = [end for end in mesh.actors_on(name, ConnectionEnd) if not stands_by(end)]
            assert not left, (seed, name, left)
        mesh.finish()
