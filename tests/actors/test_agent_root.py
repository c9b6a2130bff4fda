"""The root actor: what is built anew when a part dies, and how an agent leaves."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from actors.accepting import AcceptingActor
from actors.agent import GRACE_S, Agent
from actors.agent_setup import AgentSetup, EndpointSetup, ListenerSetup
from actors.connection_end import ConnectionEnd
from actors.messages import agent as messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.peer_link import LEAVE_TIMEOUT_S
from actors.runtime import supervisor_messages
from actors.runtime.seam import Connected, ConnectFailed, SocketOptions
from actors.runtime.virtual_world import UNIX_START_S, VirtualWorld
from mesh.addresses import TcpAddress
from mesh.identity import Identity
from mesh.relay_budget import RelayBudget
from mesh.stream import StreamBudget
from mesh.trust import issue_certificate, read_certificate
from tests.actors.company import AUTHORITY, IDENTITIES, start
from tests.actors.link_company import TRUST, RawPeer

RESET = "Connection reset by peer"
ON_PURPOSE = "on purpose"
"""A message that nobody takes, or an error that a test causes: the crash is no surprise."""
KEY, PORT, PEER_PORT = "my-api", 6000, 4433
ANY_PORT = TcpAddress("127.0.0.1", 0)
CORE = {
    "route table": "RouteTable",
    "connection table": "ConnectionTable",
    "loopback": "Loopback",
    "peer directory": "PeerDirectory",
    "supervisor": "Supervisor",
}


class Mesh:
    """Branch - relay - hq; hq offers a service on the host ``service``, clients reach it by branch."""

    def __init__(self) -> None:
        self.world = VirtualWorld(1)
        self.roots: dict[str, Any] = {}
        self.budgets: dict[str, StreamBudget] = {}
        self.left: list[tuple[str, float]] = []
        self.door = self.world.dispatcher("service").bind(TcpAddress("", 80))
        self.door.listen()
        for name in ("relay", "hq", "branch"):
            self.begin(name)
        self.run(3.0)

    def begin(self, name: str, ports: int = 0) -> None:
        """Start an agent; branch with so many listeners and acceptors more, whose port the system chooses."""
        relay = (TcpAddress("relay", PEER_PORT),)
        match name:
            case "relay":
                own: dict[str, Any] = {"accept": (TcpAddress("", PEER_PORT),)}
            case "hq":
                own = {"peers": relay, "endpoints": (EndpointSetup(KEY, TcpAddress("service", 80)),)}
            case _:
                own = {
                    "peers": relay,
                    "accept": (ANY_PORT,) * ports,
                    "listeners": (
                        ListenerSetup(KEY, TcpAddress("", PORT)),
                        *[ListenerSetup(KEY, ANY_PORT)] * ports,
                    ),
                }
        self.budgets[name] = StreamBudget(1 << 28)
        Agent.start(
            self.world.dispatcher(name),
            setup=AgentSetup(**credentials(self.identity(name), name), **own),
            meters=Meters(),
            budget=self.budgets[name],
            relay_budget=RelayBudget(1 << 26),
            on_left=lambda: self.left.append((name, self.world.now())),
        )
        self.roots[name] = self.world.dispatcher(name).actors[-1]

    def ports(self, name: str) -> dict[str, str | None]:
        """What is wrong with each port of the agent, by the name of who has it."""
        reports = self.world.ask(self.roots[name].ref, messages.GetPorts())
        return {report.name: report.trouble for report in sorted(reports, key=lambda each: each.name)}

    def identity(self, name: str) -> Identity:
        return IDENTITIES[("relay", "hq", "branch").index(name)]

    def run(self, duration_s: float) -> None:
        self.world.run(duration_s)

    def refs(self, name: str) -> Any:
        return self.world.ask(self.roots[name].ref, messages.GetRefs())

    def snapshot(self, name: str) -> Any:
        return self.world.ask(self.refs(name).route_table, route_messages.GetSnapshot())

    def record(self, of: str, at: str) -> Any:
        return self.snapshot(at).records.get(self.identity(of).id)

    def counts(self, name: str) -> tuple[int, int, int]:
        question = table_messages.GetConnectionCounts()
        counts = self.world.ask(self.refs(name).connection_table, question)
        return counts.ingress, counts.exit, counts.pending_opens

    def kinds(self, name: str) -> Counter[str]:
        return Counter(type(actor).__name__ for actor in self.world.dispatcher(name).actors)

    def actor(self, name: str, kind: str) -> Any:
        [found] = [actor for actor in self.world.dispatcher(name).actors if type(actor).__name__ == kind]
        return found

    def kill(self, name: str, kind: str, how: str = "stop") -> Any:
        victim = self.actor(name, kind)
        if how == "stop":
            victim.ref.stop(block=False)
        else:
            victim.ref.tell(ON_PURPOSE)
        self.run(0.0)
        return victim

    def connect(self) -> Any:
        """A client's program, or what its connect failed with."""
        ear = start(self.world, host="client")
        ear.dispatcher.connect(ear.ref, TcpAddress("branch", PORT), 1, SocketOptions())
        self.world.run_while(lambda: not ear.heard, 10.0)
        [answer] = ear.heard
        ear.ref.stop(block=False)
        if isinstance(answer, ConnectFailed):
            return answer
        assert isinstance(answer, Connected)
        return start(self.world, RawPeer, answer.socket, None, False, host="client")

    def converse(self) -> tuple[RawPeer, RawPeer]:
        """A client and the service, connected."""
        client = self.connect()
        client.send(b"hello")
        self.run(0.5)
        service = start(self.world, RawPeer, self.door.accept(), None, False, host="service")
        self.run(0.1)
        assert bytes(service.octets) == b"hello"
        return client, service

    def leave(self, name: str, drain_timeout_s: float) -> float:
        """Tell the agent to leave; when that was."""
        self.roots[name].ref.tell(messages.Leave(drain_timeout_s))
        return self.world.now()

    def gone_after(self, name: str, since: float, limit_s: float = 60.0, settle_s: float = 0.0) -> float:
        """Let time pass until the agent has left; the seconds since ``since``.

        Nothing of it is left ``settle_s`` later: the links of an agent that leaves in disorder still say so.
        """
        self.world.run_while(lambda: name not in dict(self.left), limit_s)
        self.run(settle_s)
        assert [who for who, _ in self.left] == [name]
        assert self.kinds(name) == Counter()
        assert self.world.open_sockets(name) == 0
        assert self.budgets[name].reserved_octets == 0
        return dict(self.left)[name] - since


def credentials(identity: Identity, name: str) -> dict[str, Any]:
    wire = issue_certificate(
        AUTHORITY,
        subject=identity.public_key,
        name=name,
        not_before=int(UNIX_START_S),
        not_after=int(UNIX_START_S) + 1_000_000,
        may_relay=True,
        may_register=["*"],
        may_use=["*"],
    )
    certificate = read_certificate(wire)
    return {
        "identity": identity,
        "certificate": certificate,
        "certificate_wire": wire,
        "trust": TRUST,
    }


@pytest.fixture
def mesh(caplog):
    mesh = Mesh()
    yield mesh
    mesh.world.stop()
    crashes = [record for record in caplog.get_records("call") if record.exc_info]
    assert [record for record in crashes if ON_PURPOSE not in str(record.exc_info[1])] == []


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
        assert mesh.budgets[agent].reserved_octets == 0
    mesh.converse()
    assert mesh.left == []


@pytest.mark.parametrize("part", CORE)
def test_a_relay_whose_vital_actor_dies_keeps_its_neighbours_connections(mesh, part):
    client, service = mesh.converse()
    mesh.kill("relay", CORE[part])
    client.send(b" again")
    mesh.run(15.0)
    assert bytes(service.octets) == b"hello again"
    assert (client.end, service.end) == ("", "")


def test_the_root_knows_which_ports_are_open_and_why_others_are_not(mesh):
    assert mesh.ports("relay") == {f"acceptor :{PEER_PORT}": None}
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": None}
    mesh.kill("branch", "Listener")
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": "closed"}
    taker = mesh.world.dispatcher("branch").bind(TcpAddress("", PORT))
    mesh.run(5.0)
    assert mesh.ports("branch") == {f"listener {KEY} :{PORT}": "port taken"}
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
    assert max(pauses) > 1.5
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
        messages.ConnectionsGone(),
        messages.DrainTimedOut(),
        messages.ResetTimedOut(),
        messages.Withdrawn(),
        messages.LinksClosed(),
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
    assert bytes(service.octets) == b"hello again"
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
    assert bytes(service.octets) == b"hello again"
    mesh.converse()


def test_a_listener_that_restarts_takes_its_port_again_and_its_connections_stay(mesh):
    client, service = mesh.converse()
    mesh.kill("branch", "Listener", "crash")
    mesh.run(2.0)
    [entry] = mesh.record("branch", "hq").body.listeners
    assert entry.key == KEY
    client.send(b" again")
    mesh.run(0.5)
    assert bytes(service.octets) == b"hello again"
    mesh.converse()


def test_while_an_endpoint_does_not_come_up_the_mesh_does_not_offer_it(mesh, monkeypatch):
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(ON_PURPOSE)

    with monkeypatch.context() as broken:
        broken.setattr("actors.agent_composition.Endpoint.start", fail)
        mesh.kill("hq", "Endpoint")
        mesh.run(2.0)
        assert mesh.record("hq", "branch").offered_keys == ()
        assert isinstance(mesh.connect(), ConnectFailed)
    mesh.run(30.0)
    mesh.converse()


@pytest.mark.parametrize("kind", ["Dialer", "Acceptor"])
def test_a_dialer_or_acceptor_that_restarts_leaves_links_and_connections_alone(mesh, kind):
    client, service = mesh.converse()
    name = "branch" if kind == "Dialer" else "relay"
    links = [actor for actor in mesh.world.dispatcher(name).actors if type(actor).__name__ == "PeerLink"]
    mesh.kill(name, kind, "crash")
    mesh.run(20.0)
    client.send(b" again")
    mesh.run(0.5)
    assert bytes(service.octets) == b"hello again"
    assert (client.end, service.end) == ("", "")
    assert mesh.kinds(name)[kind] == 1
    assert mesh.kinds(name)["PeerLink"] == len(links)


# Leaving


def test_an_agent_without_connections_leaves_when_the_mesh_has_routed_around_it(mesh, caplog):
    caplog.set_level("INFO")
    since = mesh.leave("hq", 10.0)
    mesh.run(0.2)
    assert mesh.record("hq", "branch").body.draining
    assert GRACE_S <= mesh.gone_after("hq", since) < GRACE_S + 0.5
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
    assert bytes(client.octets) == b"bye" * 100_000
    assert (client.end, service.end) == ("EOF", "EOF")


@pytest.mark.parametrize("name", ["branch", "hq"])
def test_while_an_agent_drains_nobody_new_is_let_in(mesh, name):
    client, service = mesh.converse()
    mesh.leave(name, 60.0)
    mesh.run(2.0)
    assert isinstance(mesh.connect(), ConnectFailed)
    client.send(b" again")
    mesh.run(0.5)
    assert bytes(service.octets) == b"hello again"
    assert mesh.left == []


def test_ports_that_have_all_but_their_number_in_common_are_told_apart_and_all_closed(mesh):
    mesh.gone_after("branch", mesh.leave("branch", 0.0))
    mesh.begin("branch", ports=2)
    mesh.run(3.0)
    found = [each for each in mesh.world.dispatcher("branch").actors if isinstance(each, AcceptingActor)]
    assert len({each._listening.local_name for each in found}) == 5
    names = [f"acceptor {ANY_PORT} (1)", f"acceptor {ANY_PORT} (2)", f"listener {KEY} :{PORT}"]
    names += [f"listener {KEY} {ANY_PORT} (2)", f"listener {KEY} {ANY_PORT} (3)"]
    assert mesh.ports("branch") == dict.fromkeys(names)
    mesh.converse()
    mesh.leave("branch", 60.0)
    mesh.run(2.0)
    assert [each._listening for each in found] == [None] * 5
    assert mesh.ports("branch") == dict.fromkeys(names, "closed")


@pytest.mark.parametrize(("name", "kind"), [("branch", "Listener"), ("hq", "Endpoint")])
def test_what_dies_while_its_agent_drains_does_not_come_back_to_let_anybody_in(mesh, name, kind):
    mesh.converse()
    mesh.leave(name, 60.0)
    mesh.run(2.0)
    mesh.kill(name, kind)
    mesh.run(3.0)
    assert isinstance(mesh.connect(), ConnectFailed)


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


def test_an_agent_whose_supervisor_dies_while_it_stops_its_children_leaves_all_the_same(mesh, monkeypatch):
    def fail(*_: Any) -> None:
        raise RuntimeError(ON_PURPOSE)

    monkeypatch.setattr("actors.agent.Supervisor._shut_down", fail)
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
