"""Actors that crash under open connections: each is replaced, and no count is lost."""

import errno
import random

import pytest

from actors.connections.endpoint import Endpoint
from actors.connections.listener import Listener
from actors.messages import agent as agent_messages
from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world, talks, three_agents


@pytest.mark.parametrize("core", ["route_table", "connection_table", "directory"])
@pytest.mark.parametrize("who", ["branch", "relay", "hq"])
def test_a_core_actor_that_crashes_starts_the_agent_anew(core, who):
    with mesh_world(1) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=3e6)
        three_agents(mesh)
        talks(mesh, random.Random(1))
        mesh.run(0.5)
        before = mesh.snapshot("branch").records[mesh.id_of(who)].instance
        refs = mesh.world.ask(mesh.plans[who].root, agent_messages.GetRefs())
        getattr(refs, core).tell("no such message")
        mesh.run_until_said(120.0)
        mesh.run(20.0)
        assert len(mesh.log.crashes) == 1
        mesh.log.crashes.clear()
        assert mesh.snapshot("branch").records[mesh.id_of(who)].instance != before
        after = mesh.converse(Terms(1000, 10_000, 10_000))
        mesh.run_until(lambda: after.heard.is_over, 30.0)
        assert after.heard.is_complete, after.heard
        mesh.finish()


@pytest.mark.parametrize(
    "victim",
    ["Endpoint", "Listener", "Acceptor", "Dialer", "PeerLink", "IngressConnection", "ExitConnection"],
)
def test_an_actor_that_crashes_is_replaced_and_disturbs_no_other(victim):
    with mesh_world(1) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=3e6)
        three_agents(mesh)
        talks(mesh, random.Random(1))
        mesh.run(1.0)
        found = next(
            actor
            for name in ("branch", "hq", "relay")
            for actor in mesh.actors_on(name)
            if type(actor).__name__ == victim
        )
        found.actor_ref.tell("no such message")
        mesh.run_until_said(60.0)
        mesh.run(10.0)
        assert len(mesh.log.crashes) == 1
        mesh.log.crashes.clear()
        hurt = [talk for talk in mesh.conversations if not talk.heard.is_complete]
        allowed = 1 if "Connection" in victim else 0
        assert len(hurt) <= allowed, [(t.terms, t.heard) for t in hurt]
        after = mesh.converse(Terms(1000, 10_000, 10_000))
        mesh.run_until(lambda: after.heard.is_over, 30.0)
        assert after.heard.is_complete, after.heard
        mesh.finish()


def counts_through_crashes(mesh, host, kind, *, places, stay):
    """The only actor of ``kind`` on ``host`` crashes twice, and has as many places to give as before."""
    patient = Pace(byte_count=30, pause_s=20.0)  # two pieces: it stays for 20 s
    stays = [mesh.converse(Terms(n, 20, 20), patient) for n in range(stay)]
    leaves = mesh.converse(Terms(stay, 20, 20), Pace(byte_count=30, pause_s=2.0))
    mesh.run(1.0)
    for _ in range(2):  # the second one counts on what the first left
        (crashing,) = mesh.actors_on(host, kind)
        crashing.actor_ref.tell("no such message")
        mesh.run(3.0)
    assert len(mesh.log.crashes) == 2
    mesh.log.crashes.clear()
    assert leaves.heard.is_complete
    left = places - stay
    more = [mesh.converse(Terms(10 + n, 20, 20), patient) for n in range(left + 2)]
    mesh.run(1.0)
    assert not any(talk.heard.is_over for talk in stays)
    assert sum(talk.heard.error == errno.ECONNRESET for talk in more) == 2
    assert sum(not talk.heard.is_over for talk in more) == left


def test_a_listener_that_crashes_keeps_count_of_its_clients():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT}, max_connections=5)
        mesh.restart("branch")
        mesh.converge()
        counts_through_crashes(mesh, "branch", Listener, places=5, stay=3)
        mesh.run_until_said(60.0)
        again = [mesh.converse(Terms(100 + n, 20, 20)) for n in range(5)]
        mesh.run_until_said(20.0)
        assert all(talk.heard.is_complete for talk in again)
        mesh.finish()


def test_an_endpoint_that_crashes_keeps_count_of_its_connections():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        endpoint = EndpointSection(key=KEY, target=TcpAddress("service", SERVICE_PORT), max_connections=3)
        mesh.crash("hq")
        mesh.plan("hq", peers=["relay"], endpoint_sections=[endpoint])
        mesh.start("hq")
        mesh.converge()
        counts_through_crashes(mesh, "hq", Endpoint, places=3, stay=2)
        mesh.run_until_said(60.0)
        mesh.finish()
