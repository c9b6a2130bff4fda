"""Two links between the same agents, or two agents with the same identity."""

import random

import pytest

from actors.links.peer_link import PeerLink
from actors.messages import route_table as route_messages
from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection
from scripts.simulation.conversation import Pace, Terms
from tests.examples import seeds
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, diamond, mesh_world, three_agents


@pytest.mark.parametrize("seed", seeds(20))
def test_two_that_dial_each_other_end_up_with_one_link(seed):
    draw = random.Random(seed)
    with mesh_world(seed) as mesh:
        mesh.network.shape("branch", "hq", latency_s=draw.choice([0.0, 0.001, 0.2]))
        mesh.plan("branch", peers=["hq"], listeners={KEY: LISTEN_PORT})
        mesh.plan("hq", peers=["branch"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
        mesh.serve("service")
        mesh.start("branch")
        mesh.run(draw.choice([0.0, 0.0, draw.random()]))
        mesh.start("hq")
        mesh.converge()
        mesh.run(10.0)
        for name in ("branch", "hq"):
            assert len(mesh.actors_on(name, PeerLink)) == 1
            assert len(mesh.peers(name)) == 1
        assert mesh.peers("branch")["hq"].is_dialer != mesh.peers("hq")["branch"].is_dialer
        links = [mesh.actors_on(name, PeerLink)[0] for name in ("branch", "hq")]
        mesh.converse(Terms(1, 100_000, 100_000))
        mesh.run_until_said(20.0)
        mesh.run(60.0)
        assert links == [mesh.actors_on(name, PeerLink)[0] for name in ("branch", "hq")]
        mesh.assert_all_complete()
        mesh.finish()
        # Either end comes back, and again there is one link.
        mesh.restart(draw.choice(["branch", "hq"]))
        mesh.run(20.0)
        mesh.converge()
        for name in ("branch", "hq"):
            assert len(mesh.actors_on(name, PeerLink)) == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_restarted_peer_is_not_locked_out_by_its_own_dead_link(seed):
    with mesh_world(seed) as mesh:
        three_agents(mesh)
        mesh.network.cut("branch", "relay")  # the reset of the crash gets lost
        mesh.crash("branch")
        mesh.network.heal("branch", "relay")
        mesh.start("branch")
        mesh.converge(10.0)
        assert set(mesh.peers("relay")) == {"branch", "hq"}
        mesh.converse(Terms(1, 1000, 1000))
        mesh.run_until_said(10.0)
        mesh.assert_all_complete()
        mesh.finish()


def test_a_duplicate_identity_is_refused_and_reported_by_both():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.plan("impostor", peers=["relay"], identity_of="branch", accepts=False)
        mesh.converse(Terms(1, 2_000_000, 20_000), Pace(byte_count=10_000, pause_s=0.1))
        mesh.start("impostor")
        mesh.run(30.0)
        own = mesh.actors_on("relay", PeerLink)
        assert len([link for link in own if link._link.name]) == 2
        (told,) = mesh.log.of("relay", "duplicate identity")  # once, however often the copy dials
        assert "branch" in told
        (told,) = mesh.log.of("branch", "duplicate identity")
        assert "relay" in told
        assert mesh.log.of("impostor", "duplicate identity")
        assert not mesh.log.of("hq", "duplicate identity")
        mesh.crash("impostor")
        mesh.run_until_said(60.0)
        mesh.assert_all_complete()
        mesh.run(60.0)
        mesh.finish()


def test_copies_of_an_identity_at_two_relays_find_out_about_each_other():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.plan("far", peers=["relay"])
        mesh.plan("impostor", peers=["far"], identity_of="branch", accepts=False)
        mesh.start("far")
        mesh.converge()
        mesh.start("impostor")
        told = "another running agent has this agent's identity key"
        mesh.run(5.0)
        for name in ("branch", "impostor"):
            assert mesh.log.of(name, told), mesh.log.lines
        mesh.run(60.0)
        for name in ("relay", "far", "hq"):
            assert mesh.log.of(name, "two running agents have the identity of branch"), mesh.log.lines
        mesh.crash("impostor")
        mesh.run(60.0)
        mesh.finish()


@pytest.mark.parametrize("leaves", ["branch", "impostor"])
def test_of_two_copies_the_one_that_stays_is_ready_once_the_other_has_left(leaves):
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.plan("far", peers=["relay"])
        mesh.plan("impostor", peers=["far"], identity_of="branch", accepts=False)
        mesh.start("far")
        mesh.converge()
        mesh.start("impostor")
        mesh.run(300.0)
        copies = {"branch", "impostor"}
        for name in copies:
            [problem] = mesh.ask(name, "route_table", route_messages.GetProblems())
            assert problem.startswith("another running agent has this agent's identity key")
        [stays] = copies - {leaves}
        mesh.leave(leaves)
        mesh.run(1.0)
        assert mesh.ask(stays, "route_table", route_messages.GetProblems()) == ()
        [warning] = mesh.ask(stays, "route_table", route_messages.GetWarnings())
        assert warning.startswith("another agent with this agent's identity key was running")
        mesh.run(60.0)
        assert mesh.ask(stays, "route_table", route_messages.GetProblems()) == ()


def test_what_a_run_has_left_with_one_that_stood_still_does_not_stand_in_for_the_next():
    """The next run's clock is behind; the last words of the one before come after its first."""
    with mesh_world(1) as mesh:
        mesh.network.cut("branch", "left")  # it hears of branch by way of hq
        diamond(mesh)
        mesh.world.pause("right")
        for key in ("one", "other"):
            section = EndpointSection(key=key, target=TcpAddress("service", SERVICE_PORT))
            mesh.reconfigure("branch", endpoints=(section,))
            mesh.run(0.5)
        mesh.network.cut("branch", "right")  # the reset of the crash gets lost, what was said before does not
        mesh.crash("branch")
        for relay in ("left", "right"):
            mesh.network.heal("branch", relay)
        mesh.clock_skews["branch"] = -5.0
        mesh.start("branch")
        mesh.run(1.0)
        mesh.world.resume("right")
        mesh.run(5.0)
        mesh.converge()
        assert not mesh.log.count("two running agents")
        mesh.converse(Terms(1, 1000, 1000))
        mesh.run_until_said(10.0)
        mesh.assert_all_complete()
        mesh.finish()
