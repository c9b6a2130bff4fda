"""Agents that leave in order: what is open finishes, or is reset once the drain timeout is over."""

import errno
import random

import pytest

from actors.root.agent import LAST_CALL_S
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import diamond, mesh_world, talks, three_agents, transit_of


@pytest.mark.parametrize("who", ["branch", "relay", "hq"])
def test_leaving_lets_connections_finish_and_takes_the_agent_off_the_map(who):
    with mesh_world(1) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=1e6)
        three_agents(mesh)
        mesh.converse(Terms(1, 1_500_000, 1_500_000))
        mesh.run(0.5)
        mesh.leave(who)
        mesh.run(0.2)
        late = mesh.converse(Terms(2, 10, 10))
        mesh.run_until_said(35.0)
        mesh.run(5.0)
        assert mesh.plans[who].left, "it has not left"
        assert mesh.plans[who].left[0] < 14.0
        assert not mesh.world.dispatcher(who).actors
        assert mesh.world.open_sockets(who) == 0
        if who != "relay":
            assert mesh.conversations[0].heard.is_complete
            assert late.heard.is_complete, "it has nobody else, and the end is not near"
        else:
            mesh.assert_nothing_wrong()
        for name in mesh.running:
            assert mesh.id_of(who) not in mesh.snapshot(name).next_hops
        mesh.run(40.0)
        mesh.assert_nothing_wrong()
        mesh.assert_nothing_left()


@pytest.mark.parametrize("who", ["branch", "hq"])
def test_nobody_is_let_in_from_the_last_call_on(who):
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.converse(Terms(1, 2000, 1000), Pace(byte_count=1500, pause_s=500.0))
        mesh.run(1.0)
        mesh.leave(who, 5.0)
        mesh.run(5.0 - 1.2 * LAST_CALL_S)
        served = mesh.converse(Terms(2, 10, 10))
        mesh.run(0.6 * LAST_CALL_S)
        late = mesh.converse(Terms(3, 10, 10))
        mesh.run_until_said(8.0)
        assert served.heard.is_complete
        assert late.heard.refused
        mesh.run(3.0)
        assert mesh.plans[who].left
        mesh.finish()


def test_leaving_with_a_connection_that_does_not_finish_resets_it_after_the_drain_timeout():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        idle = mesh.converse(Terms(1, 2000, 1000), Pace(byte_count=1500, pause_s=500.0))
        mesh.run(1.0)
        mesh.leave("hq", 5.0)
        mesh.run_until_said(8.0)
        assert idle.heard.error == errno.ECONNRESET
        mesh.run(3.0)
        assert mesh.plans["hq"].left
        mesh.finish()


@pytest.mark.parametrize("seed", range(4))
def test_a_relay_that_leaves_costs_no_connection_where_there_is_another_way(seed):
    draw = random.Random(seed)
    with mesh_world(seed) as mesh:
        diamond(mesh)
        talks(mesh, draw)
        mesh.run(0.7)
        transit = transit_of(mesh)
        mesh.leave(transit)
        mesh.run(1.0)
        assert transit_of(mesh) != transit
        mesh.run_until_said(60.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        assert mesh.plans[transit].left
        mesh.finish()
