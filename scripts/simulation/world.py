"""A mesh in a simulated world: real root actors on simulated hosts, with services and clients beside them."""

import contextlib
import logging
import resource
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from actors.connections.control_end import ServeControl, serve_nobody
from actors.messages import agent as agent_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.root.agent import Agent
from actors.root.setup import AgentSetup
from actors.route_table import RouteTable
from actors.runtime.seam import SocketOptions
from actors.runtime.virtual.world import UNIX_START_S, VirtualWorld
from mesh.addresses import TcpAddress
from mesh.config.schema import (
    AcceptSection,
    AgentSection,
    Config,
    ConnectionsSection,
    EndpointSection,
    ForwardSection,
    LimitsSection,
    ListenerSection,
    PeerSection,
)
from mesh.connection.key_terms import KeyLimits
from mesh.connection.pair_sessions import PairLimits
from mesh.connection.stream import StreamBudget
from mesh.link.relay_budget import RelayBudget
from mesh.routing.routes import RouteSnapshot
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import AgentId, Identity
from mesh.trust.revocations import Revocation, Revocations, next_number, sign_list
from scripts.simulation.client import Client
from scripts.simulation.conversation import Conversation, Heard, Pace, Terms
from scripts.simulation.service import Service
from scripts.simulation.sharing import SharedReader, remembered_check

PEER_PORT: Final = 4433
LISTEN_PORT: Final = 5432
SERVICE_PORT: Final = 80
KEY: Final = "my-api"
USUAL_KEYS: Final = KeyLimits()
USUAL_PAIRS: Final = PairLimits()

S = TypeVar("S", bound=msgspec.Struct)
AnyMesh = TypeVar("AnyMesh", bound="MeshWorld")


@dataclass
class Plan:
    """An agent as configured, and what is known of its process."""

    name: str
    setup: AgentSetup
    meters: Meters = field(default_factory=Meters)
    budget: StreamBudget = field(default_factory=lambda: StreamBudget(0))
    relay_budget: RelayBudget = field(default_factory=lambda: RelayBudget(0))
    root: Any = None
    """Its root actor, where it was started and not killed."""
    left: list[float] = field(default_factory=list)
    """When it took leave, or its root actor ended otherwise."""


class Complaints(logging.Handler):
    """Keeps what is logged, and apart from it what no scenario may cause: an actor's crash.

    Args:
        host_at_work: whose turn it is, where the world knows.
    """

    def __init__(self, host_at_work: Callable[[], str] = str) -> None:
        super().__init__(logging.INFO)
        self._host_at_work = host_at_work
        self.lines: list[str] = []
        self.hosts: list[str] = []
        """Who logged each line."""
        self.crashes: list[str] = []
        self.listener: Callable[[str], None] | None = None
        """Hears every line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        line = f"{record.name}: {record.getMessage()}"
        self.lines.append(line)
        self.hosts.append(self._host_at_work())
        if record.exc_info:
            self.crashes.append(self.format(record))
        if self.listener is not None:
            self.listener(line)

    def count(self, text: str) -> int:
        """Lines with ``text`` in them."""
        return sum(text in line for line in self.lines)

    def of(self, host: str, text: str) -> list[str]:
        """Lines of one host with ``text`` in them."""
        return [line for line, of in zip(self.lines, self.hosts, strict=True) if of == host and text in line]


class MeshWorld:
    """Agents, services and clients; one seed, one history.

    Args:
        seed: of everything random, identities too.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.world = VirtualWorld(seed)
        self.network = self.world.network
        self.plans: dict[str, Plan] = {}
        self.records: dict[int, Heard] = {}
        """The service's side of each conversation, by number."""
        self.silent: list[Heard] = []
        """Connections to services that have not said what they are."""
        self.met: Counter[int] = Counter()
        """Connections to services that brought bytes of a client, by its number."""
        self.crashed_at: list[float] = []
        """When agents were killed."""
        self.conversations: list[Conversation] = []
        self.services: dict[str, Any] = {}
        self.clock_skews: dict[str, float] = {}
        """How far the clock of an agent's next process is ahead."""
        self.log = Complaints(lambda: self.world.host_at_work)
        self._reader = SharedReader()
        self._numbers: dict[str, int] = {}
        """Of the newest revocation list of each authority."""
        self._stores: dict[tuple[str, ...], TrustStore] = {}
        """By the names of their authorities; agents that trust the same share one."""

    def identity(self, name: str) -> Identity:
        """The key of an agent or an authority."""
        return Identity((name.encode() + b"." * 32)[:24] + self.seed.to_bytes(8, "big"))

    def store_of(self, *authorities: str) -> TrustStore:
        """What agents judge others by that believe these, by name, and know of no revocations."""
        store = self._stores.get(authorities)
        if store is None:
            keys = [self.identity(authority).public_key for authority in authorities]
            store = self._stores[authorities] = TrustStore(keys, verify=remembered_check)
        return store

    # -- agents ----------------------------------------------------------------------------------------------

    def plan(
        self,
        name: str,
        *,
        peers: Sequence[str] = (),
        endpoints: dict[str, TcpAddress] | None = None,
        endpoint_sections: Sequence[EndpointSection] = (),
        listeners: dict[str, int] | None = None,
        listener_sections: Sequence[ListenerSection] = (),
        max_connections: int = 0,
        identity_of: str = "",
        authority: str = "authority",
        accepts: bool = True,
        relays: bool = True,
        may_register: Sequence[str] = ("*",),
        may_use: Sequence[str] = ("*",),
        may_relay: bool = True,
        may_manage: bool = False,
        serve_control: ServeControl = serve_nobody,
        valid_s: int = 10_000_000,
        connection_keys: KeyLimits = USUAL_KEYS,
        pair_limits: PairLimits = USUAL_PAIRS,
        **settings: Any,
    ) -> Plan:
        """Configure an agent on the host of its name; ``identity_of`` makes it a copy of another."""
        identity = self.identity(identity_of or name)
        wire = self._certificate(
            identity_of or name,
            authority=authority,
            not_after=int(UNIX_START_S) + valid_s,
            may_register=may_register,
            may_use=may_use,
            may_relay=may_relay,
            may_manage=may_manage,
        )
        own_store = self.store_of(authority)
        setup = AgentSetup(
            identity=identity,
            certificate=own_store.admit(wire, UNIX_START_S),
            certificate_wire=wire,
            trust=own_store,
            config=Config(
                agent=AgentSection(relay=relays and may_relay),
                accept=(AcceptSection(address=TcpAddress("", PEER_PORT)),) if accepts else (),
                peers=tuple(PeerSection(address=TcpAddress(peer, PEER_PORT)) for peer in peers),
                forward=ForwardSection(
                    endpoints=(
                        *(
                            EndpointSection(key=key, target=target)
                            for key, target in (endpoints or {}).items()
                        ),
                        *endpoint_sections,
                    ),
                    listeners=(
                        *(
                            ListenerSection(
                                key=key, address=TcpAddress("", port), max_connections=max_connections
                            )
                            for key, port in (listeners or {}).items()
                        ),
                        *listener_sections,
                    ),
                ),
                connections=_section(ConnectionsSection, settings),
                limits=_section(LimitsSection, settings),
            ),
            descriptor_limit=resource.RLIM_INFINITY,
            connection_keys=connection_keys,
            pair_limits=pair_limits,
            reader=self._reader,
            serve_control=serve_control,
            keep_revocations=lambda revocations: self._keep(name, revocations),
        )
        if settings:
            raise TypeError(f"no settings of an agent: {', '.join(settings)}")
        plan = self.plans[name] = Plan(name, setup)
        return plan

    def _certificate(self, agent: str, *, authority: str = "authority", **changes: Any) -> bytes:
        says = {"not_before": int(UNIX_START_S) - 1000, "may_use": ["*"], "name": agent} | changes
        return issue_certificate(self.identity(authority), subject=self.identity(agent).public_key, **says)

    def _keep(self, name: str, revocations: Revocations) -> None:
        """What an agent has on its disk when it is started again."""
        plan = self.plans[name]
        plan.setup = plan.setup.revoking(revocations)

    def start(self, *names: str) -> None:
        """Start agents, each in a new process on its host; all that are configured where none is named."""
        for name in names or tuple(self.plans):
            plan = self.plans[name]
            plan.meters = Meters()
            plan.budget = StreamBudget(plan.setup.config.limits.stream_buffer_bytes)
            plan.relay_budget = RelayBudget(plan.setup.config.limits.relay_buffer_bytes)
            plan.root = Agent.start(
                self.world.dispatcher(name, self.clock_skews.get(name, 0.0)),
                setup=plan.setup,
                meters=plan.meters,
                budget=plan.budget,
                relay_budget=plan.relay_budget,
                on_left=lambda plan=plan: plan.left.append(self.world.now()),
            )

    def crash(self, name: str) -> None:
        """Kill an agent's process."""
        self.crashed_at.append(self.world.now())
        self.world.crash(name)
        self.plans[name].root = None

    def restart(self, name: str) -> None:
        """Kill an agent's process and start another."""
        self.crash(name)
        self.start(name)

    def leave(self, name: str, drain_timeout_s: float = 10.0) -> None:
        """SIGTERM."""
        self.plans[name].root.tell(agent_messages.Leave(drain_timeout_s))

    def revoke(self, *names: str, at: str, authority: str = "authority") -> None:
        """Have an agent tell the mesh that these, and nobody else, are revoked by an authority."""
        unix_s = UNIX_START_S + self.world.now()
        held = self._numbers.get(authority, 0)
        self._numbers[authority] = number = next_number(held, unix_s)
        entries = [Revocation(self.id_of(name), int(unix_s), name=name) for name in names]
        wire = sign_list(self.identity(authority), number, entries)
        for table in self.actors_on(at, RouteTable):
            table.ref.tell(route_messages.TakeRevocations((wire,)))

    def id_of(self, name: str) -> AgentId:
        """An agent's ID."""
        return self.plans[name].setup.identity.id

    def ask(self, name: str, actor: str, question: Any) -> Any:
        """Ask a core actor of an agent: ``route_table``, ``connection_table`` or ``directory``."""
        refs = self.world.ask(self.plans[name].root, agent_messages.GetRefs())
        return self.world.ask(getattr(refs, actor), question)

    def snapshot(self, name: str) -> RouteSnapshot:
        """An agent's routes, asked for as the dashboard does."""
        return self.ask(name, "route_table", route_messages.GetSnapshot())

    def peers(self, name: str) -> dict[str, Any]:
        """Connected peers by name."""
        statuses = self.ask(name, "directory", directory_messages.GetPeers())
        return {status.name: status for status in statuses if status.state == "connected"}

    def routes(self, name: str) -> RouteSnapshot | None:
        """An agent's routes, looked up without an event; ``None`` while it has no route table."""
        for actor in self.world.dispatcher(name).actors:
            if isinstance(actor, RouteTable):
                return actor._state.snapshot
        return None

    @property
    def running(self) -> list[str]:
        """Agents whose root actor lives."""
        return [name for name, plan in self.plans.items() if plan.root is not None and plan.root.is_alive()]

    def actors_on(self, name: str, kind: type = object) -> list[Any]:
        """The actors of an agent's process, in the order of their start."""
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
            met=self.met,
            host=host,
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
        """Let so much time pass."""
        self.world.run(duration_s)

    def run_until(self, is_so: Any, limit_s: float) -> float:
        """Let time pass until ``is_so()``; the seconds it took."""
        start = self.world.now()
        self.world.run_while(lambda: not is_so(), limit_s)
        return self.world.now() - start


@contextlib.contextmanager
def simulated_mesh(mesh: AnyMesh) -> Iterator[AnyMesh]:
    """Hear what ``mesh`` logs; in the end all its actors are ended."""
    loggers = [logging.getLogger(name) for name in ("mesh", "pykka", "actors")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(mesh.log)
        logger.setLevel(logging.INFO)
    try:
        with mesh.world:
            yield mesh
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(mesh.log)
            logger.setLevel(level)


def _section(section: type[S], settings: dict[str, Any]) -> S:
    """What of ``settings`` belongs to ``section``; it is taken out of them."""
    return section(**{name: settings.pop(name) for name in section.__struct_fields__ if name in settings})
