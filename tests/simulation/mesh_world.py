"""A mesh in a simulated world: real root actors on simulated hosts, with services and clients beside them."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from unittest import mock

import actors.agent
from actors.agent import Agent, AgentSetup, EndpointSetup, ListenerSetup
from actors.connection_end import ConnectionEnd
from actors.messages import agent as agent_messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.peer_link import PeerLink
from actors.runtime.seam import SocketOptions
from actors.runtime.virtual_world import UNIX_START_S, VirtualWorld
from mesh.addresses import TcpAddress
from mesh.errors import AuthenticationError
from mesh.identity import AgentId, Identity, verify_signature
from mesh.routes import RouteSnapshot
from mesh.stream import StreamBudget
from mesh.trust import TrustStore, issue_certificate
from tests.simulation.programs import Client, Conversation, Heard, Pace, Service, Terms

PEER_PORT: Final = 4433
LISTEN_PORT: Final = 5432
SERVICE_PORT: Final = 80
KEY: Final = "my-api"

_checked: dict[tuple[bytes, bytes, bytes, bytes], bool] = {}


def remembered_check(public_key: bytes, context: bytes, message: bytes, signature: bytes) -> None:
    """``verify_signature``, which costs most of a simulation, once for each signature in the process."""
    key = (public_key, context, message, signature)
    if key not in _checked:
        if len(_checked) > 50_000:
            _checked.clear()
        try:
            verify_signature(*key)
        except AuthenticationError:
            _checked[key] = False
        else:
            _checked[key] = True
    if not _checked[key]:
        raise AuthenticationError("the signature does not verify")


@dataclass
class Plan:
    """An agent as configured, and what its process shares with its host."""

    name: str
    setup: AgentSetup
    meters: Meters = field(default_factory=Meters)
    budget: StreamBudget = field(default_factory=lambda: StreamBudget(0))
    root: Any = None
    left: list[float] = field(default_factory=list)


class Complaints(logging.Handler):
    """Keeps what is logged, and apart from it what no scenario may cause: an actor's crash."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.crashes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.name}: {record.getMessage()}"
        self.lines.append(line)
        if record.exc_info:
            self.crashes.append(self.format(record))

    def count(self, text: str) -> int:
        """Lines with ``text`` in them."""
        return sum(text in line for line in self.lines)


class MeshWorld:
    """Agents, services and clients; one seed, one history.

    Args:
        seed: of everything random, identities too.
        link_classes: other links than :class:`PeerLink` for the agents on some hosts.
    """

    def __init__(self, seed: int, *, link_classes: dict[str, type[PeerLink]] | None = None) -> None:
        self.seed = seed
        self.world = VirtualWorld(seed)
        self.network = self.world.network
        self.plans: dict[str, Plan] = {}
        self.records: dict[int, Heard] = {}
        """The service's side of each conversation, by number."""
        self.silent: list[Heard] = []
        """Connections to services that have not said what they are."""
        self.conversations: list[Conversation] = []
        self.services: dict[str, Any] = {}
        self.log = Complaints()
        self._authority = self._identity("authority")
        self._link_classes = link_classes or {}

    def _identity(self, name: str) -> Identity:
        return Identity((name.encode() + b"." * 32)[:24] + self.seed.to_bytes(8, "big"))

    # -- agents ----------------------------------------------------------------------------------------------

    def plan(
        self,
        name: str,
        *,
        peers: Sequence[str] = (),
        endpoints: dict[str, TcpAddress] | None = None,
        listeners: dict[str, int] | None = None,
        max_connections: int = 0,
        identity_of: str = "",
        authority: str = "",
        accepts: bool = True,
        relays: bool = True,
        valid_s: int = 10_000_000,
        **settings: Any,
    ) -> Plan:
        """Configure an agent on the host of its name; ``identity_of`` makes it a copy of another."""
        identity = self._identity(identity_of or name)
        wire = issue_certificate(
            self._identity(authority) if authority else self._authority,
            subject=identity.public_key,
            name=identity_of or name,
            not_before=int(UNIX_START_S) - 1000,
            not_after=int(UNIX_START_S) + valid_s,
            may_register=["*"],
            may_use=["*"],
            may_relay=True,
        )
        own_store = TrustStore(
            [self._identity(authority).public_key if authority else self._authority.public_key],
            verify=remembered_check,
        )
        setup = AgentSetup(
            identity=identity,
            certificate=own_store.admit(wire, UNIX_START_S),
            certificate_wire=wire,
            trust=own_store,
            relays=relays,
            accept=(TcpAddress("", PEER_PORT),) if accepts else (),
            peers=tuple(TcpAddress(peer, PEER_PORT) for peer in peers),
            endpoints=tuple(EndpointSetup(key, target) for key, target in (endpoints or {}).items()),
            listeners=tuple(
                ListenerSetup(key, TcpAddress("", port), max_connections)
                for key, port in (listeners or {}).items()
            ),
            check=remembered_check,
            **settings,
        )
        plan = self.plans[name] = Plan(name, setup)
        return plan

    def start(self, *names: str) -> None:
        """Start agents, each in a new process on its host; all that are configured where none is named."""
        for name in names or tuple(self.plans):
            plan = self.plans[name]
            plan.meters = Meters()
            plan.budget = StreamBudget(plan.setup.stream_buffer_octets)
            plan.root = Agent.start(
                self.world.dispatcher(name),
                setup=plan.setup,
                meters=plan.meters,
                budget=plan.budget,
                on_left=lambda plan=plan: plan.left.append(self.world.now()),
            )

    def crash(self, name: str) -> None:
        """Kill an agent's process."""
        self.world.crash(name)
        self.plans[name].root = None

    def restart(self, name: str) -> None:
        """Kill an agent's process and start another."""
        self.crash(name)
        self.start(name)

    def leave(self, name: str, drain_timeout_s: float = 10.0) -> None:
        """SIGTERM."""
        self.plans[name].root.tell(agent_messages.Leave(drain_timeout_s))

    def id_of(self, name: str) -> AgentId:
        return self.plans[name].setup.identity.id

    def ask(self, name: str, actor: str, question: Any) -> Any:
        """Ask a core actor of an agent: ``route_table``, ``connection_table`` or ``directory``."""
        refs = self.world.ask(self.plans[name].root, agent_messages.GetRefs())
        return self.world.ask(getattr(refs, actor), question)

    def snapshot(self, name: str) -> RouteSnapshot:
        return self.ask(name, "route_table", route_messages.GetSnapshot())

    def peers(self, name: str) -> dict[str, Any]:
        """Connected peers by name."""
        statuses = self.ask(name, "directory", directory_messages.GetPeers())
        return {status.name: status for status in statuses if status.state == "connected"}

    @property
    def running(self) -> list[str]:
        return [name for name, plan in self.plans.items() if plan.root is not None and plan.root.is_alive()]

    def actors_on(self, name: str, kind: type = object) -> list[Any]:
        return [actor for actor in self.world.dispatcher(name).actors if isinstance(actor, kind)]

    # -- programs --------------------------------------------------------------------------------------------

    def serve(self, host: str, port: int = SERVICE_PORT, options: SocketOptions = SocketOptions()) -> Any:  # noqa: B008
        """Start a service on ``host``."""
        ref = self.services[host] = Service.start(
            self.world.dispatcher(host),
            address=TcpAddress("", port),
            options=options,
            records=self.records,
            silent=self.silent,
        )
        return ref

    def converse(
        self,
        terms: Terms,
        pace: Pace = Pace(),  # noqa: B008
        *,
        at: str = "branch",
        port: int = LISTEN_PORT,
        start_s: float = 0.0,
        host: str = "client",
    ) -> Conversation:
        """Start a client in ``start_s`` seconds, of the listener at ``at``."""
        conversation = Conversation(terms, pace)
        self.conversations.append(conversation)
        self.world.at(
            self.world.now() + start_s,
            lambda: Client.start(
                self.world.dispatcher(host),
                address=TcpAddress(at, port),
                terms=terms,
                pace=pace,
                heard=conversation.heard,
            ),
        )
        return conversation

    # -- time ------------------------------------------------------------------------------------------------

    def run(self, duration_s: float) -> None:
        self.world.run(duration_s)

    def run_until(self, is_so: Any, limit_s: float) -> float:
        """Let time pass until ``is_so()``; the seconds it took."""
        start = self.world.now()
        self.world.run_while(lambda: not is_so(), limit_s)
        return self.world.now() - start

    def run_until_said(self, limit_s: float) -> None:
        """Let time pass until every conversation is over at the client."""
        try:
            self.run_until(lambda: all(c.heard.is_over for c in self.conversations), limit_s)
        except TimeoutError:
            left = [(c.terms, c.heard) for c in self.conversations if not c.heard.is_over]
            raise AssertionError(f"seed {self.seed}: not over after {limit_s} s: {left[:3]}") from None

    def converge(self, limit_s: float = 20.0) -> None:
        """Let time pass until all running agents know the same of the mesh."""
        deadline = self.world.now() + limit_s
        while True:
            self.run(0.5)
            views = [_view(self.snapshot(name)) for name in self.running]
            if all(view == views[0] for view in views) and len(views[0]) >= len(self.running):
                return
            assert self.world.now() < deadline, f"seed {self.seed}: routes differ: {views}"

    # -- what must be so -------------------------------------------------------------------------------------

    def assert_nothing_wrong(self) -> None:
        """No octet that was not sent, no end of stream before all of it: whatever else has happened."""
        assert not self.log.crashes, self.log.crashes[0]
        for conversation in self.conversations:
            _assert_right(self.seed, conversation.terms, conversation.heard, "client")
            number = conversation.terms.number
            if number in self.records:
                _assert_right(self.seed, conversation.terms, self.records[number], "service")
        known = {conversation.terms.number for conversation in self.conversations}
        assert set(self.records) <= known, f"seed {self.seed}: the service met strangers"

    def assert_all_complete(self) -> None:
        """Every conversation has ended in order at both sides."""
        for conversation in self.conversations:
            heard, other = conversation.heard, self.records.get(conversation.terms.number)
            assert heard.is_complete, f"seed {self.seed}: {conversation.terms}: {heard}; service: {other}"
            assert heard.octets == conversation.terms.down
            assert other is not None
            assert other.is_complete, f"seed {self.seed}: {conversation.terms}: service: {other}"

    def leftovers(self) -> dict[str, Any]:
        """Connections, sockets, frames and reservations that are left on running agents."""
        found: dict[str, Any] = {}
        for name in self.running:
            ends = self.actors_on(name, ConnectionEnd)
            counts = self.ask(name, "connection_table", table_messages.GetConnectionCounts())
            links = self.actors_on(name, PeerLink)
            listening = self.network.host(name).listeners
            left = {
                "connection actors": [str(end) for end in ends],
                "connections": (counts.ingress, counts.exit, counts.pending_opens),
                "sockets": self.world.open_sockets(name) - len(links) - len(listening),
                "queued frames": sum(link._queue.frames for link in links),
                "reserved octets": self.plans[name].budget.reserved_octets,
                "clients of listeners": sum(
                    actor._clients for actor in self.actors_on(name) if hasattr(actor, "_clients")
                ),
                "connections of endpoints": sum(
                    actor._connections
                    for actor in self.actors_on(name)
                    if isinstance(getattr(actor, "_connections", None), int)
                ),
            }
            if any(value not in (0, [], (0, 0, 0)) for value in left.values()):
                found[name] = left
        return found

    def assert_nothing_left(self, limit_s: float = 45.0) -> None:
        """All that connections took has been given back, soon, and the services' sockets too."""
        deadline = self.world.now() + limit_s
        while self.leftovers():
            assert self.world.now() < deadline, f"seed {self.seed}: {self.leftovers()}"
            self.run(1.0)
        for host in self.services:
            if self.world.dispatcher(host).actors:
                held = self.world.open_sockets(host)
                assert held == 1, f"seed {self.seed}: {held - 1} sockets left at the service on {host}"
        assert not self.log.crashes, self.log.crashes[0]

    def finish(self, limit_s: float = 45.0) -> str:
        """Assert that nothing is wrong and nothing left and that all agents agree; the trace's digest."""
        self.assert_nothing_wrong()
        self.assert_nothing_left(limit_s)
        self.converge()
        return self.world.trace_digest()


def _assert_right(seed: int, terms: Terms, heard: Heard, side: str) -> None:
    assert not heard.wrong, f"seed {seed}: wrong octets at the {side}: {terms}: {heard}"
    assert not heard.cut_short, f"seed {seed}: ended early at the {side}: {terms}: {heard}"


def _view(snapshot: RouteSnapshot) -> dict[str, Any]:
    return {
        record.name: (agent_id, record.instance, record.body.neighbours, record.body.endpoints)
        for agent_id, record in sorted(snapshot.records.items())
        if not record.body.withdrawn
    }


@contextlib.contextmanager
def mesh_world(seed: int, link_classes: dict[str, type[PeerLink]] | None = None) -> Iterator[MeshWorld]:
    """A mesh to be filled; in the end all its actors are ended."""
    mesh = MeshWorld(seed, link_classes=link_classes)
    loggers = [logging.getLogger(name) for name in ("mesh", "pykka", "actors")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(mesh.log)
        logger.setLevel(logging.INFO)
    router = _LinkRouter(link_classes or {})
    try:
        with mock.patch.object(actors.agent, "PeerLink", router), mesh.world:
            yield mesh
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(mesh.log)
            logger.setLevel(level)


class _LinkRouter:
    """Stands for the class of links: starts another one on some hosts."""

    def __init__(self, classes: dict[str, type[PeerLink]]) -> None:
        self._classes = classes

    def start(self, dispatcher: Any, **arguments: Any) -> Any:
        return self._classes.get(dispatcher.host_name, PeerLink).start(dispatcher, **arguments)


def three_agents(
    mesh: MeshWorld,
    *,
    service_options: SocketOptions = SocketOptions(),  # noqa: B008
    **settings: Any,
) -> None:
    """Branch - relay - hq, a service that hq offers, and let them agree on the routes."""
    mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT}, **settings)
    mesh.plan("relay", **settings)
    mesh.plan("hq", peers=["relay"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)}, **settings)
    mesh.serve("service", options=service_options)
    mesh.start()
    mesh.converge()
