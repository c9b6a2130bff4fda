"""Three agents under their root actors, in a virtual world: branch - relay - hq."""

import resource
from collections import Counter
from typing import Any

from actors.messages import agent as messages
from actors.messages import connection_table as table_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.root.agent import Agent
from actors.root.setup import AgentSetup
from actors.runtime.seam import Connected, ConnectFailed, SocketOptions
from actors.runtime.virtual.world import UNIX_START_S, VirtualWorld
from mesh.addresses import TcpAddress
from mesh.config.schema import (
    AcceptSection,
    Config,
    EndpointSection,
    ForwardSection,
    ListenerSection,
    PeerSection,
)
from mesh.connection.stream import StreamBudget
from mesh.link.relay_budget import RelayBudget
from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import Identity
from tests.actors.company import AUTHORITY, IDENTITIES, start
from tests.actors.links.link_company import TRUST, RawPeer

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
        relay = (PeerSection(address=TcpAddress("relay", PEER_PORT)),)
        match name:
            case "relay":
                own: dict[str, Any] = {"accept": (AcceptSection(address=TcpAddress("", PEER_PORT)),)}
            case "hq":
                endpoint = EndpointSection(key=KEY, target=TcpAddress("service", 80))
                own = {"peers": relay, "forward": ForwardSection(endpoints=(endpoint,))}
            case _:
                own = {
                    "peers": relay,
                    "accept": (AcceptSection(address=ANY_PORT),) * ports,
                    "forward": ForwardSection(
                        listeners=(
                            ListenerSection(key=KEY, address=TcpAddress("", PORT)),
                            *[ListenerSection(key=KEY, address=ANY_PORT)] * ports,
                        )
                    ),
                }
        self.budgets[name] = StreamBudget(1 << 28)
        Agent.start(
            self.world.dispatcher(name),
            setup=AgentSetup(**credentials(self.identity(name), name), config=Config(**own)),
            meters=Meters(),
            budget=self.budgets[name],
            relay_budget=RelayBudget(1 << 26),
            on_left=lambda: self.left.append((name, self.world.now())),
        )
        self.roots[name] = self.world.dispatcher(name).actors[-1]

    def ports(self, name: str) -> dict[str, str | None]:
        """What is wrong with each port of the agent, by the name of who has it."""
        reports = self.world.ask(self.roots[name].ref, messages.GetParts())
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

    def links(self, name: str) -> list[Any]:
        return [each for each in self.world.dispatcher(name).actors if type(each).__name__ == "PeerLink"]

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
        assert bytes(service.received) == b"hello"
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
        assert self.budgets[name].reserved_bytes == 0
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
        "descriptor_limit": resource.RLIM_INFINITY,
    }


def running_mesh(caplog: Any) -> Any:
    """The body of a fixture: a mesh that runs, and in the end no crash but those on purpose."""
    mesh = Mesh()
    yield mesh
    mesh.world.stop()
    crashes = [record for record in caplog.get_records("call") if record.exc_info]
    assert [record for record in crashes if ON_PURPOSE not in str(record.exc_info[1])] == []
