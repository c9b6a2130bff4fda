"""The root actor: how an agent drains without leaving."""

import pytest

from actors.messages import agent as messages
from mesh.routing.routes import RouteSnapshot
from tests.actors.root.root_mesh import KEY, running_mesh


@pytest.fixture
def mesh(caplog):
    yield from running_mesh(caplog)


def drain(mesh, name, *, draining=True):
    is_so = mesh.world.ask(mesh.roots[name].ref, messages.Drain(draining))
    mesh.run(0.2)
    return is_so


def says(mesh, name):
    """What the agent's record says elsewhere: draining, relays, withdrawn."""
    body = mesh.record(name, "branch" if name != "branch" else "relay").body
    return body.draining, body.relays, body.withdrawn


@pytest.mark.parametrize("name", ["branch", "relay", "hq"])
def test_an_agent_that_drains_asks_to_be_spared_and_serves_as_before(mesh, name):
    mesh.converse()
    drain(mesh, name)
    assert says(mesh, name) == (True, True, False)
    snapshot: RouteSnapshot = mesh.snapshot("branch")
    assert [each.agent_id for each in snapshot.candidates[KEY]] == [mesh.identity("hq").id]
    client, service = mesh.converse()
    mesh.run(60.0)
    client.send(b" again")
    mesh.run(0.2)
    assert bytes(service.received) == b"hello again"
    assert mesh.left == []


def test_draining_can_be_taken_back_and_said_twice(mesh, caplog):
    caplog.set_level("INFO")
    for draining in (True, True, False, False, True, False):
        assert drain(mesh, "hq", draining=draining)
        assert says(mesh, "hq") == (draining, True, False)
    lines = [record.message for record in caplog.records if "draining" in record.message]
    told, untold = "draining: the mesh prefers others", "not draining any more"
    assert lines == [told, untold, told, untold]


def test_what_is_started_anew_drains_still(mesh):
    drain(mesh, "hq")
    mesh.kill("hq", "RouteTable")
    mesh.run(0.0)
    drain(mesh, "hq")
    mesh.run(10.0)
    assert says(mesh, "hq") == (True, True, False)
    mesh.kill("hq", "RouteTable")
    drain(mesh, "hq", draining=False)
    mesh.run(10.0)
    assert says(mesh, "hq") == (False, True, False)


def test_an_agent_that_leaves_drains_whatever_it_is_told(mesh):
    mesh.converse()
    mesh.leave("hq", 60.0)
    mesh.run(1.0)
    assert not drain(mesh, "hq", draining=False)
    assert drain(mesh, "hq")
    assert says(mesh, "hq") == (True, True, False)


def test_an_agent_that_drains_leaves_as_any_other(mesh):
    drain(mesh, "hq")
    since = mesh.leave("hq", 10.0)
    assert mesh.gone_after("hq", since) < 1.5
