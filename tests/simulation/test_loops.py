"""Connections that come back to where they began, in a simulated mesh."""

import errno

from mesh.addresses import TcpAddress
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, mesh_world


def went_round(mesh, number, at):
    """Whether a client of the circle is reset within two seconds, and nothing is left soon after."""
    talk = mesh.converse(Terms(number, 1_000, 1_000), Pace(finishes=False), at=at)
    mesh.run(2.0)
    return talk.heard.error == errno.ECONNRESET


def counted(mesh, name):
    meters = mesh.plans[name].meters
    return meters.loops_cut, meters.clients_accepted


def test_an_agent_whose_target_is_its_own_listener():
    with mesh_world(1) as mesh:
        mesh.plan("solo", endpoints={KEY: TcpAddress("solo", LISTEN_PORT)}, listeners={KEY: LISTEN_PORT})
        mesh.start()
        mesh.converge()
        assert all(went_round(mesh, number, "solo") for number in range(1, 4))
        cut, accepted = counted(mesh, "solo")
        assert cut >= 3
        assert accepted <= 3
        mesh.assert_nothing_left(15.0)


def two_agents(mesh, *, latency_s=0.0):
    """Branch listens; hq's target is that listener."""
    mesh.plan("branch", peers=["hq"], listeners={KEY: LISTEN_PORT})
    mesh.plan("hq", endpoints={KEY: TcpAddress("branch", LISTEN_PORT)})
    if latency_s:
        mesh.network.shape("branch", "hq", latency_s=latency_s)
    mesh.start()
    mesh.converge()


def test_a_target_that_is_the_listener_of_the_ingress():
    for latency_s in (0.0, 0.05):
        with mesh_world(1) as mesh:
            two_agents(mesh, latency_s=latency_s)
            assert went_round(mesh, 1, "branch")
            cut, accepted = counted(mesh, "branch")
            assert cut >= 1
            assert accepted <= 4
            assert went_round(mesh, 2, "branch")  # by now hq is no candidate for a while
            assert counted(mesh, "branch")[1] == accepted
            mesh.run(5.0)
            assert went_round(mesh, 3, "branch")
            assert counted(mesh, "branch")[1] <= 2 * accepted
            mesh.assert_nothing_left(15.0)
            mesh.converge()


def test_exits_that_take_turns_and_the_circle_that_grows_until_descriptors_end():
    with mesh_world(1) as mesh:
        mesh.plan("branch", peers=["hq", "depot"], listeners={KEY: LISTEN_PORT})
        for name in ("hq", "depot"):
            mesh.plan(name, endpoints={KEY: TcpAddress("branch", LISTEN_PORT)})
        mesh.start()
        mesh.converge()
        mesh.world.network.host("branch").descriptor_limit = 100
        talk = mesh.converse(Terms(1, 1_000, 1_000), Pace(finishes=False), at="branch")
        mesh.run(10.0)
        assert talk.heard.error == errno.ECONNRESET
        meters = mesh.plans["branch"].meters
        assert meters.clients_turned_away + meters.loops_cut >= 1
        assert meters.links_lost == 0
        mesh.assert_nothing_left(15.0)
