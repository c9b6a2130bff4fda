"""The root actor: how an agent leaves."""

from typing import Any

import pytest

from actors.accepting import AcceptingActor
from actors.connections.connection_end import ConnectionEnd
from actors.messages import peer_directory as directory_messages
from actors.root.agent import GRACE_S, LAST_CALL_S, PREFERENCE_S
from actors.runtime.seam import ConnectFailed
from mesh.link.link import LEAVE_TIMEOUT_S
from tests.actors.root.root_mesh import ANY_PORT, CORE, KEY, ON_PURPOSE, PORT, RESET, running_mesh


@pytest.fixture
def mesh(caplog):
    yield from running_mesh(caplog)


def test_an_agent_without_connections_leaves_when_the_mesh_has_routed_around_it(mesh, caplog):
    caplog.set_level("INFO")
    since = mesh.leave("hq", 10.0)
    mesh.run(0.2)
    spared = mesh.record("hq", "branch").body
    assert (spared.draining, spared.relays) == (True, True)
    assert KEY in mesh.snapshot("branch").candidates
    mesh.run(PREFERENCE_S)
    ending = mesh.record("hq", "branch").body
    assert (ending.draining, ending.relays) == (True, False)
    assert PREFERENCE_S + GRACE_S <= mesh.gone_after("hq", since) < PREFERENCE_S + GRACE_S + 0.5
    mesh.run(0.2)
    record = mesh.record("hq", "branch")
    assert record is None or record.body.withdrawn
    assert KEY not in mesh.snapshot("branch").candidates
    assert "the agent has left" in caplog.text
    assert isinstance(mesh.connect(), ConnectFailed)


@pytest.mark.parametrize("name", ["branch", "relay", "hq"])
def test_an_agent_that_leaves_at_once_leaves_nothing(mesh, name):
    mesh.converse()
    since = mesh.leave(name, 0.0)
    assert mesh.gone_after(name, since) < 3.5


def test_an_agent_waits_for_its_connections_to_finish(mesh):
    client, service = mesh.converse()
    client.closes_at_end = False
    since = mesh.leave("hq", 60.0)
    mesh.run(20.0)
    assert (client.end, service.end, mesh.left) == ("", "", [])
    service.send(b"bye" * 100_000)
    service.socket.shutdown_write()
    mesh.run(1.0)
    client.socket.shutdown_write()
    took = mesh.gone_after("hq", since)
    assert 20.0 < took < 26.0
    assert bytes(client.received) == b"bye" * 100_000
    assert (client.end, service.end) == ("EOF", "EOF")


@pytest.mark.parametrize("name", ["branch", "relay", "hq"])
def test_an_agent_that_leaves_serves_those_who_have_nobody_else_until_the_last_call(mesh, name):
    client, service = mesh.converse()
    mesh.leave(name, 60.0)
    if name == "relay":
        mesh.run(PREFERENCE_S / 2)
        mesh.converse()
        return  # nothing ends at it, so it does not wait
    mesh.run(58.0)
    mesh.converse()
    mesh.run(1.0)  # the last call
    assert isinstance(mesh.connect(), ConnectFailed)
    client.send(b" again")
    mesh.run(0.3)
    assert bytes(service.received) == b"hello again"
    assert mesh.left == []


def test_what_comes_while_an_agent_leaves_may_finish_after_the_last_call(mesh):
    mesh.converse()
    since = mesh.leave("hq", 10.0)
    mesh.run(10.0 - LAST_CALL_S - 0.5)
    late, service = mesh.converse()
    mesh.run(0.5)
    late.closes_at_end = service.closes_at_end = True
    late.socket.shutdown_write()
    mesh.run(0.2)
    assert (late.end, service.end) == ("EOF", "EOF")
    assert mesh.gone_after("hq", since) < 12.0


@pytest.mark.parametrize("name", ["branch", "hq"])
def test_an_agent_leaves_once_its_last_connection_is_gone_whoever_else_might_come(mesh, name):
    client, service = mesh.converse()
    since = mesh.leave(name, 60.0)
    mesh.run(5.0)
    client.socket.shutdown_write()
    service.socket.shutdown_write()
    assert mesh.gone_after(name, since) < 8.0


def test_ports_that_have_all_but_their_number_in_common_are_told_apart_and_all_closed(mesh):
    mesh.gone_after("branch", mesh.leave("branch", 0.0))
    mesh.begin("branch", ports=2)
    mesh.run(3.0)
    found = [each for each in mesh.world.dispatcher("branch").actors if isinstance(each, AcceptingActor)]
    assert len({each._listening.local_name for each in found}) == 5
    names = [f"acceptor {ANY_PORT} (1)", f"acceptor {ANY_PORT} (2)", f"listener {KEY} :{PORT}"]
    names += [f"listener {KEY} {ANY_PORT} (1)", f"listener {KEY} {ANY_PORT} (2)"]
    assert mesh.ports("branch") == dict.fromkeys(names)
    mesh.converse()
    mesh.leave("branch", 60.0)
    mesh.run(59.5)
    assert [each._listening for each in found] == [None] * 5
    assert mesh.ports("branch") == dict.fromkeys(names, "closed")


@pytest.mark.parametrize(("name", "kind"), [("branch", "Listener"), ("hq", "Endpoint")])
def test_what_dies_while_its_agent_drains_does_not_come_back_to_let_anybody_in(mesh, name, kind):
    mesh.converse()
    mesh.leave(name, 60.0)
    mesh.run(59.1)
    mesh.kill(name, kind)
    mesh.run(0.8)
    assert isinstance(mesh.connect(), ConnectFailed)
    assert mesh.left == []


@pytest.mark.parametrize("name", ["branch", "hq"])
def test_connections_that_do_not_finish_in_time_are_reset_at_both_ends(mesh, name, caplog):
    client, service = mesh.converse()
    since = mesh.leave(name, 5.0)
    mesh.run(4.9)
    assert (client.end, service.end) == ("", "")
    mesh.run(0.3)
    assert (client.end, service.end) == (RESET, RESET)
    assert 5.0 < mesh.gone_after(name, since) < 8.0
    assert "connections are left after the drain timeout" in caplog.text
    other = "hq" if name == "branch" else "branch"
    mesh.run(2.0)
    assert mesh.counts(other) == (0, 0, 0)
    assert not [actor for actor in mesh.world.dispatcher(other).actors if isinstance(actor, ConnectionEnd)]


def test_a_relay_leaves_without_waiting_for_what_passes_through(mesh):
    mesh.converse()
    since = mesh.leave("relay", 30.0)
    assert GRACE_S <= mesh.gone_after("relay", since) < 2.0


def test_an_agent_leaves_once(mesh):
    mesh.leave("hq", 60.0)
    since = mesh.leave("hq", 0.0)
    mesh.gone_after("hq", since)
    mesh.run(10.0)
    assert len(mesh.left) == 1


def test_an_agent_cut_off_from_its_peers_leaves_all_the_same(mesh):
    mesh.converse()
    mesh.world.network.cut("hq", "relay")
    since = mesh.leave("hq", 3.0)
    assert mesh.gone_after("hq", since) < 8.0


@pytest.mark.parametrize("part", CORE)
@pytest.mark.parametrize("after_s", [0.1, 0.31, 5.1])
def test_an_agent_whose_vital_actor_dies_while_it_leaves_leaves_all_the_same(mesh, part, after_s):
    mesh.converse()
    since = mesh.leave("hq", 5.0)
    mesh.run(after_s)
    if CORE[part] in mesh.kinds("hq"):
        mesh.kill("hq", CORE[part])
    assert mesh.gone_after("hq", since, settle_s=LEAVE_TIMEOUT_S + 0.1) < 12.0


def test_links_of_an_agent_that_leaves_in_disorder_do_not_say_that_it_starts_anew_for_certain(mesh, caplog):
    since = mesh.leave("hq", 5.0)
    mesh.run(0.1)
    mesh.kill("hq", "RouteTable")  # without it nobody says when the links are to be closed
    caplog.set_level("INFO", logger="mesh")
    mesh.gone_after("hq", since, settle_s=LEAVE_TIMEOUT_S + 0.1)
    assert (
        "link lost: the peer closed it: the agent starts anew, or leaves in disorder (peer hq" in caplog.text
    )


def test_an_agent_whose_supervisor_dies_while_it_stops_its_children_leaves_all_the_same(mesh, monkeypatch):
    def fail(*_: Any) -> None:
        raise RuntimeError(ON_PURPOSE)

    monkeypatch.setattr("actors.root.agent.Supervisor._shut_down", fail)
    since = mesh.leave("hq", 1.0)
    assert mesh.gone_after("hq", since, limit_s=30.0, settle_s=LEAVE_TIMEOUT_S + 0.1) < 12.0


def test_an_agent_that_has_left_and_comes_back_is_found_again(mesh):
    since = mesh.leave("hq", 1.0)
    mesh.gone_after("hq", since)
    mesh.run(1.0)
    mesh.begin("hq")
    mesh.run(10.0)
    mesh.converse()
    statuses = mesh.world.ask(mesh.refs("relay").directory, directory_messages.GetPeers())
    assert sorted(status.name for status in statuses) == ["branch", "hq"]
