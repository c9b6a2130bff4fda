"""The root actor: what is built anew when a part dies, and what restarts by itself."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from actors.accepting import PORT_TAKEN
from actors.messages import agent as messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.root.agent import MAX_REBUILD_S
from actors.runtime import supervisor_messages
from actors.runtime.seam import ConnectFailed
from mesh.addresses import TcpAddress
from mesh.link.link import LEAVE_TIMEOUT_S
from tests.actors.root.root_mesh import CORE, KEY, ON_PURPOSE, PEER_PORT, PORT, RESET, running_mesh


@pytest.fixture
def mesh(caplog):
    yield from running_mesh(caplog)


# A part dies


@pytest.mark.parametrize("how", ["stop", "crash"])
@pytest.mark.parametrize("part", CORE)
@pytest.mark.parametrize("name", ["branch", "hq"])
def test_when_a_vital_actor_dies_everything_starts_anew(mesh, caplog, name, part, how):
    before, instance = mesh.kinds(name), mesh.record(name, "relay").instance
    client, service = mesh.converse()
    if part == "loopback" and how == "crash":
        how = "stop"  # it takes anything
    mesh.kill(name, CORE[part], how)
    assert f"the {part} has died; starting everything anew" in caplog.text
    mesh.run(15.0)
    assert (client.end, service.end) == (RESET, RESET)
    assert mesh.kinds(name) == before
    assert mesh.record(name, "relay").instance != instance
    for agent in ("branch", "hq"):
        assert mesh.counts(agent) == (0, 0, 0)
        assert mesh.budgets[agent].reserved_bytes == 0
    mesh.converse()
    assert mesh.left == []


@pytest.mark.parametrize("part", CORE)
def test_a_relay_whose_vital_actor_dies_keeps_its_neighbours_connections(mesh, part):
    client, service = mesh.converse()
    mesh.kill("relay", CORE[part])
    client.send(b" again")
    mesh.run(15.0)
    assert bytes(service.received) == b"hello again"
    assert (client.end, service.end) == ("", "")


def test_the_root_knows_which_ports_are_open_and_why_others_are_not(mesh):
    assert mesh.ports("relay") == {f"acceptor :{PEER_PORT}": None}
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": None}
    mesh.kill("branch", "Listener")
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": "closed"}
    taker = mesh.world.dispatcher("branch").bind(TcpAddress("", PORT))
    mesh.run(5.0)
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": PORT_TAKEN}
    taker.close()
    mesh.run(60.0)
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": None}


def test_all_parts_dying_at_once_is_one_rebuild(mesh, caplog):
    before = mesh.kinds("branch")
    for kind in CORE.values():
        mesh.actor("branch", kind).ref.stop(block=False)
    mesh.run(10.0)
    assert caplog.text.count("starting everything anew") == 1
    assert mesh.kinds("branch") == before


def test_between_two_builds_there_is_nobody_to_ask(mesh):
    mesh.kill("branch", "ConnectionTable")
    assert mesh.roots["branch"].on_receive(messages.GetRefs()) is None


def test_an_agent_that_is_told_to_leave_between_two_builds_leaves(mesh):
    mesh.kill("branch", "ConnectionTable")
    since = mesh.leave("branch", 10.0)
    assert mesh.gone_after("branch", since, settle_s=LEAVE_TIMEOUT_S + 0.1) < 2.0


def test_parts_that_die_again_and_again_are_built_ever_less_often(mesh):
    builds = []
    for _ in range(40):
        found = [a for a in mesh.world.dispatcher("branch").actors if type(a).__name__ == "RouteTable"]
        if found:
            builds.append(mesh.world.now())
            mesh.kill("branch", "RouteTable")
        mesh.run(0.5)
    pauses = [later - earlier for earlier, later in pairwise(builds)]
    assert 1.5 < max(pauses) <= MAX_REBUILD_S + 0.5
    assert len(builds) < 20
    mesh.run(70.0)
    mesh.kill("branch", "RouteTable")
    mesh.run(1.5)
    assert mesh.kinds("branch")["RouteTable"] == 1


@pytest.mark.parametrize(
    "message",
    [
        messages.RebuildDue(),
        messages.GraceOver(),
        table_messages.ConnectionsGone(),
        messages.DrainTimedOut(),
        messages.ResetTimedOut(),
        route_messages.Withdrawn(),
        directory_messages.LinksClosed(),
        messages.ClosingTimedOut(),
        supervisor_messages.ChildrenStopped(()),
        messages.CoreEnded("route table", 0),
    ],
)
def test_what_belongs_to_another_phase_does_not_touch_an_agent_that_runs(mesh, message):
    before, instance = mesh.kinds("hq"), mesh.record("hq", "relay").instance
    client, service = mesh.converse()
    mesh.roots["hq"].ref.tell(message)
    client.send(b" again")
    mesh.run(5.0)
    assert bytes(service.received) == b"hello again"
    assert (client.end, service.end, mesh.left) == ("", "", [])
    assert mesh.kinds("hq") == before + Counter(ExitConnection=1)
    assert mesh.record("hq", "relay").instance == instance


# A service restarts


def test_an_endpoint_that_restarts_is_offered_again_and_its_connections_stay(mesh):
    client, service = mesh.converse()
    versions = mesh.record("hq", "branch").freshness
    mesh.kill("hq", "Endpoint", "crash")
    mesh.run(2.0)
    assert mesh.record("hq", "branch").freshness > versions
    assert mesh.record("hq", "branch").offered_keys == (KEY,)
    client.send(b" again")
    mesh.run(0.5)
    assert bytes(service.received) == b"hello again"
    mesh.converse()


def test_a_listener_that_restarts_takes_its_port_again_and_its_connections_stay(mesh):
    client, service = mesh.converse()
    mesh.kill("branch", "Listener", "crash")
    mesh.run(2.0)
    [entry] = mesh.record("branch", "hq").body.listeners
    assert entry.key == KEY
    client.send(b" again")
    mesh.run(0.5)
    assert bytes(service.received) == b"hello again"
    mesh.converse()


def test_while_an_endpoint_does_not_come_up_the_mesh_does_not_offer_it(mesh, monkeypatch):
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(ON_PURPOSE)

    with monkeypatch.context() as broken:
        broken.setattr("actors.root.services.Endpoint.start", fail)
        mesh.kill("hq", "Endpoint")
        mesh.run(2.0)
        assert mesh.record("hq", "branch").offered_keys == ()
        assert isinstance(mesh.connect(), ConnectFailed)
    mesh.run(30.0)
    mesh.converse()


@pytest.mark.parametrize("state", ["runs", "waits to be started again"])
def test_a_key_whose_endpoint_is_removed_is_unknown(mesh, caplog, monkeypatch, state):
    caplog.set_level("INFO", logger="mesh.connections")
    supervisor = mesh.actor("hq", "Supervisor")
    if state != "runs":

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError(ON_PURPOSE)

        monkeypatch.setattr("actors.root.services.Endpoint.start", fail)
        mesh.kill("hq", "Endpoint", "crash")
    mesh.world.network.shape("relay", "branch", latency_s=0.5)  # it hears of the withdrawal too late
    supervisor.ref.tell(supervisor_messages.RemoveChild(f"endpoint {KEY}"))
    mesh.run(0.0)
    client = mesh.connect()
    mesh.run(5.0)
    assert client.end == RESET
    assert f" of {KEY} from branch" in caplog.text
    assert ": refused: unknown-key: " in caplog.text
    assert ": restarting: " not in caplog.text


@pytest.mark.parametrize("kind", ["Dialer", "Acceptor"])
def test_a_dialer_or_acceptor_that_restarts_leaves_links_and_connections_alone(mesh, kind):
    client, service = mesh.converse()
    name = "branch" if kind == "Dialer" else "relay"
    links = [actor for actor in mesh.world.dispatcher(name).actors if type(actor).__name__ == "PeerLink"]
    mesh.kill(name, kind, "crash")
    mesh.run(20.0)
    client.send(b" again")
    mesh.run(0.5)
    assert bytes(service.received) == b"hello again"
    assert (client.end, service.end) == ("", "")
    assert mesh.kinds(name)[kind] == 1
    assert mesh.kinds(name)["PeerLink"] == len(links)
