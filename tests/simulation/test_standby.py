"""The connection that stands by for a listener's next client, in a mesh whose agents come and go."""

import errno

import pytest

from actors.connections.connection_table import ConnectionTable
from actors.connections.ingress_connection import IngressConnection
from actors.connections.listener import Listener
from actors.messages import connection_table as table_messages
from actors.messages.listener import StopListening
from mesh.connection.key_stock import EPHEMERAL_AGE_S
from scripts.simulation.conversation import Pace, Terms
from scripts.simulation.invariants import stands_by
from tests.simulation.mesh_world import mesh_world, three_agents

OVER_S = 3.0
"""After so long nothing is left of a connection that ended in order."""


@pytest.fixture
def mesh():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        yield mesh


def converse(mesh, number, pace=Pace()):  # noqa: B008
    talk = mesh.converse(Terms(number, 1000, 1000), pace)
    mesh.run_until(lambda: talk.heard.is_over, 20.0)
    return talk.heard


def standby(mesh):
    """The one that stands by at the ingress's agent, or none."""
    found = [end for end in mesh.actors_on("branch", IngressConnection) if stands_by(end)]
    assert len(found) <= 1
    return found[0] if found else None


def registered(mesh):
    (table,) = mesh.actors_on("branch", ConnectionTable)
    return table._connections


def test_clients_that_come_one_after_another_are_each_stood_by_for(mesh):
    assert converse(mesh, 0).is_complete
    for number in range(1, 6):
        waiting = standby(mesh)
        assert converse(mesh, number).is_complete
        assert standby(mesh) is not waiting
    mesh.run(OVER_S)
    assert len(registered(mesh)) == 1
    counts = mesh.ask("branch", "connection_table", table_messages.GetConnectionCounts())
    assert (counts.ingress, counts.exit) == (0, 0)
    mesh.finish()


@pytest.mark.parametrize("who", ["relay", "hq"])
def test_after_another_agent_was_restarted_the_next_client_is_served_as_ever(mesh, who):
    assert converse(mesh, 0).is_complete
    mesh.restart(who)
    mesh.converge()
    assert standby(mesh) is None  # nobody within reach offered the key for a moment
    for number in range(1, 4):
        assert converse(mesh, number).is_complete
        assert standby(mesh) is not None
    mesh.finish()


def test_a_client_that_comes_while_there_is_no_path_waits_for_it(mesh):
    assert converse(mesh, 0).is_complete
    mesh.network.cut("relay", "hq", one_way=False)
    talk = mesh.converse(Terms(1, 1000, 1000))
    mesh.run(2.5)
    assert not talk.heard.is_over
    mesh.network.heal("relay", "hq")
    mesh.run_until(lambda: talk.heard.is_over, 20.0)
    assert talk.heard.is_complete
    mesh.finish()


def test_after_a_long_time_the_next_client_is_served_as_ever(mesh):
    assert converse(mesh, 0).is_complete
    mesh.run(10 * EPHEMERAL_AGE_S)
    assert converse(mesh, 1).is_complete
    mesh.finish()


def test_when_it_crashes_the_next_client_gets_another(mesh):
    assert converse(mesh, 0).is_complete
    mesh.run(OVER_S)
    standby(mesh).actor_ref.tell("no such message")
    mesh.run(0.1)
    assert standby(mesh) is None
    assert registered(mesh) == {}
    assert converse(mesh, 1).is_complete
    assert standby(mesh) is not None
    assert len(mesh.log.crashes) == 1
    mesh.log.crashes.clear()
    mesh.finish()


@pytest.mark.parametrize("message", ["no such message", StopListening()])
def test_a_listener_that_ends_leaves_nobody_waiting(mesh, message):
    lasting = mesh.converse(Terms(0, 20, 20), Pace(byte_count=30, pause_s=20.0))
    mesh.run(1.0)
    assert standby(mesh) is not None
    (listener,) = mesh.actors_on("branch", Listener)
    listener.actor_ref.tell(message)
    mesh.run(1.0)
    assert standby(mesh) is None
    assert len(registered(mesh)) == 1
    mesh.run_until(lambda: lasting.heard.is_over, 60.0)
    assert lasting.heard.is_complete
    mesh.log.crashes.clear()
    mesh.assert_nothing_left()
    assert registered(mesh) == {}


def test_an_agent_that_leaves_does_not_wait_for_it(mesh):
    assert converse(mesh, 0).is_complete
    mesh.run(OVER_S)
    assert standby(mesh) is not None
    mesh.leave("branch")
    mesh.run(2.0)  # of the ten that connections would have
    assert mesh.running == ["relay", "hq"]


def test_a_target_that_is_gone_is_refused_to_who_was_stood_by_for_too(mesh):
    assert converse(mesh, 0).is_complete
    mesh.world.crash("service")
    mesh.run(1.0)
    assert [converse(mesh, number).error for number in range(1, 4)] == [errno.ECONNRESET] * 3
    mesh.serve("service")
    assert converse(mesh, 4).is_complete
