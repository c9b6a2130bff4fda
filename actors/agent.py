"""The root actor of an agent: starts all others, starts them anew when a vital one dies, and takes leave.

Endpoints, listeners, acceptors and dialers are restarted one by one by a supervisor. The route table, the
connection table and the peer directory know things that nothing else knows: when one of them dies everything
starts again, as a new instance, as if the process had been restarted.
"""

import enum
import logging
from collections.abc import Callable
from typing import Any, Final, assert_never

from actors.acceptor import Acceptor
from actors.agent_setup import AgentSetup, EndpointSetup, ListenerSetup, acceptor_name, listener_name
from actors.client_count import ClientCount
from actors.connection_settings import ConnectionSettings
from actors.connection_table import ConnectionTable
from actors.dialer import Dialer
from actors.endpoint import Endpoint
from actors.endpoint_refs import EndpointRefs
from actors.exit_connection import ExitConnection
from actors.ingress_connection import IngressConnection
from actors.link_settings import LinkRefs, LinkSettings
from actors.listener import Listener
from actors.loopback import Loopback
from actors.messages import agent as messages
from actors.messages import connection_table as table_messages
from actors.messages import endpoint as endpoint_messages
from actors.messages import listener as listener_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.peer_directory import PeerDirectory
from actors.peer_link import PeerLink
from actors.route_table import RouteTable
from actors.runtime import supervisor_messages
from actors.runtime.actor import Actor, ActorRef
from actors.runtime.seam import Dispatcher, Ref, StreamSocket
from actors.runtime.supervisor import ChildSpec, Supervisor
from mesh.addresses import TcpAddress
from mesh.backoff import retry_delay_s
from mesh.candidates import Offer
from mesh.connection_numbers import ConnectionNumbers
from mesh.frames import Frame
from mesh.identity import INSTANCE_OCTETS, Instance
from mesh.key_stock import KeyStock
from mesh.noise.primitives import SharedSecrets, key_pair
from mesh.origination import OwnAgent
from mesh.records import Record
from mesh.relay_budget import RelayBudget
from mesh.session import Party
from mesh.stream import StreamBudget

log = logging.getLogger("mesh.agent")

GRACE_S: Final = 0.3
"""From "not through me" to the end of a relay that carries nothing of its own: the mesh routes around it."""

CLOSING_TIMEOUT_S: Final = 2.0
"""For all links to send what they hold; each has its own, shorter, limit."""

RESET_TIMEOUT_S: Final = 0.5
"""For connections that are reset at the end of the drain to hand their links what they have to say."""

STABLE_S: Final = 60.0
"""A build that lived this long starts the backoff anew."""


class Phase(enum.Enum):
    """How far the leave-taking has come."""

    RUNNING = "running"
    DRAINING = "draining"
    CLOSING = "closing"
    STOPPING = "stopping"


class Agent(Actor[messages.Inbound]):
    """The root. It ends when the agent has left; watch it, or its ``on_left``, to know."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        setup: AgentSetup,
        meters: Meters,
        budget: StreamBudget,
        relay_budget: RelayBudget,
        on_left: Callable[[], None],
    ) -> None:
        super().__init__(dispatcher)
        self._setup = setup
        self._meters = meters
        self._budget = budget
        self._relay_budget = relay_budget
        self._on_left = on_left
        self._generation = 0
        self._built_at = 0.0
        self._failures = 0
        self._refs: messages.AgentRefs | None = None
        self._loopback: ActorRef[Any, Any] | None = None
        self._services: ActorRef[Any, Any] | None = None
        self._by_name: dict[str, ActorRef[Any, Any]] = {}
        """The running endpoints, listeners and acceptors."""
        self._ports: dict[str, messages.PortReported] = {}
        self._endpoints = EndpointRefs()
        self._phase = Phase.RUNNING
        self._grace_over = False
        self._connections_gone = False

    def on_start(self) -> None:
        """Start all actors."""
        self._build()

    def on_receive(self, message: messages.Inbound) -> Any:
        """Handle one message."""
        match message:
            case messages.CoreEnded(name=name, generation=generation):
                if generation == self._generation and self._refs is not None:
                    self._core_ended(name)
            case messages.RebuildDue():
                if self._phase is Phase.RUNNING:
                    self._build()
            case messages.GetRefs():
                return self._refs
            case messages.PortReported(name=name):
                self._ports[name] = message
            case messages.GetPorts():
                return tuple(self._ports.values())
            case messages.Leave(drain_timeout_s=drain_timeout_s):
                self._leave(drain_timeout_s)
            case messages.GraceOver():
                self._grace_over = True
                self._drained()
            case messages.ConnectionsGone():
                self._connections_gone = True
                self._drained()
            case messages.DrainTimedOut():
                self._drain_timed_out()
            case messages.ResetTimedOut():
                if self._phase is Phase.DRAINING:
                    self._withdraw()
            case messages.Withdrawn():
                if self._refs is not None:
                    closing = directory_messages.CloseAllLinks("the agent has left", self.ref)
                    self.tell(self._refs.directory, closing)
            case messages.LinksClosed() | messages.ClosingTimedOut():
                self._stop_services()
            case supervisor_messages.ChildrenStopped():
                if self._phase is Phase.STOPPING:
                    self._tear_down()
                    self.stop_now()
            case _:
                assert_never(message)
        return None

    def release(self) -> None:
        """Say that it is over, however it ended."""
        self._tear_down()
        self._on_left()

    # -- building --------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._generation += 1
        self._built_at = self.now()
        setup, dispatcher, meters = self._setup, self.dispatcher, self._meters
        instance = Instance(dispatcher.random_octets(INSTANCE_OCTETS))
        static = key_pair(dispatcher.random_octets(32))
        connections = ConnectionSettings(
            own_id=setup.identity.id,
            instance=instance,
            static=static,
            shared=SharedSecrets(static),
            budget=self._budget,
            numbers=ConnectionNumbers(),
            ephemerals=KeyStock(dispatcher.random_octets, dispatcher.now),
            open_timeout_s=setup.open_timeout_s,
            reroute_timeout_s=setup.reroute_timeout_s,
            idle_probe_s=setup.idle_probe_s,
            max_hops=setup.routing.max_hops,
        )
        route_table = RouteTable.start(
            dispatcher,
            identity=setup.identity,
            fixed=OwnAgent(
                certificate=setup.certificate_wire,
                session_key=connections.static.public,
                instance=instance,
                relays=setup.relays,
            ),
            certificate=setup.certificate,
            trust=setup.trust,
            reader=setup.reader,
            settings=setup.routing,
        )
        self._endpoints = EndpointRefs()

        def start_exit(frame: Frame, party: Party, record: Record, link: Ref[Any]) -> Ref[Any]:
            return ExitConnection.start(
                dispatcher,
                open_frame=frame,
                party=party,
                record=record,
                link=link,
                endpoints=self._endpoints.frozen(),
                table=connection_table,
                settings=connections,
                meters=meters,
            )

        connection_table = ConnectionTable.start(
            dispatcher,
            own_id=setup.identity.id,
            instance=instance,
            numbers=connections.numbers,
            start_exit=start_exit,
            max_pending_opens=setup.pending_opens,
            meters=meters,
        )
        loopback = Loopback.start(dispatcher, connection_table=connection_table)
        directory = PeerDirectory.start(
            dispatcher,
            own_id=setup.identity.id,
            relays=setup.relays,
            route_table=route_table,
            connection_table=connection_table,
            loopback=loopback,
        )
        route_table.tell(route_messages.Subscribe(connection_table))
        self._loopback = loopback
        self._refs = messages.AgentRefs(route_table, connection_table, directory)
        for name, ref in (
            ("route table", route_table),
            ("connection table", connection_table),
            ("loopback", loopback),
            ("peer directory", directory),
        ):
            self.watch(ref, messages.CoreEnded(name, self._generation))
        specs = [
            *self._endpoint_specs(route_table),
            *self._listener_specs(route_table, connection_table, connections),
            *self._link_specs(instance),
        ]
        self._services = Supervisor.start(dispatcher, specs)
        self.watch(self._services, messages.CoreEnded("supervisor", self._generation))

    def _endpoint_specs(self, route_table: Ref[Any]) -> list[ChildSpec]:
        def spec(setup: EndpointSetup) -> ChildSpec:
            admitted: dict[str, Ref[Any]] = {}  # of each endpoint that is started for this setup

            def start() -> ActorRef[Any, Any]:
                ref = Endpoint.start(
                    self.dispatcher,
                    key=setup.key,
                    target=setup.target,
                    route_table=route_table,
                    meters=self._meters,
                    admitted=admitted,
                    max_connections=setup.max_connections,
                    health_check=setup.health_check,
                )
                self._endpoints.put(setup.key, ref)
                return self._named(f"endpoint {setup.key}", ref)

            return ChildSpec(name=f"endpoint {setup.key}", start=start)

        return [spec(setup) for setup in self._setup.endpoints]

    def _listener_specs(
        self, route_table: Ref[Any], connection_table: Ref[Any], connections: ConnectionSettings
    ) -> list[ChildSpec]:
        def spec(number: int, setup: ListenerSetup) -> ChildSpec:
            name = listener_name(setup.key, setup.address, number)
            clients = ClientCount()  # for each listener that is started under this name

            def start_ingress(prepare_for: Offer | None, listener: Ref[Any]) -> Ref[Any]:
                return IngressConnection.start(
                    self.dispatcher,
                    key=setup.key,
                    prepare_for=prepare_for,
                    listener=listener,
                    table=connection_table,
                    settings=connections,
                    meters=self._meters,
                )

            def start() -> ActorRef[Any, Any]:
                ref = Listener.start(
                    self.dispatcher,
                    name=name,
                    key=setup.key,
                    address=setup.address,
                    max_connections=setup.max_connections,
                    may_use=self._setup.certificate.allows_use(setup.key),
                    route_table=route_table,
                    start_ingress=start_ingress,
                    clients=clients,
                    loops=connections.loops,
                    meters=self._meters,
                    root=self.ref,
                )
                return self._named(name, ref)

            return ChildSpec(name=name, start=start)

        return [spec(number, setup) for number, setup in enumerate(self._setup.listeners, 1)]

    def _link_specs(self, instance: Instance) -> list[ChildSpec]:
        setup, refs = self._setup, self._refs
        if refs is None:
            raise AssertionError("links need the core actors")
        settings = LinkSettings(
            identity=setup.identity,
            certificate=setup.certificate_wire,
            instance=instance,
            static=key_pair(self.dispatcher.random_octets(32)),
            trust=setup.trust,
            timeout_s=setup.timeout_s,
            relay_budget=self._relay_budget,
            max_hops=setup.routing.max_hops,
        )
        link_refs = LinkRefs(refs.directory, refs.route_table, refs.connection_table)

        def start_link(
            socket: StreamSocket, dialer: Ref[Any] | None, acceptor: Ref[Any] | None
        ) -> ActorRef[Any, Any]:
            return PeerLink.start(
                self.dispatcher,
                socket=socket,
                is_dialer=dialer is not None,
                settings=settings,
                refs=link_refs,
                meters=self._meters,
                dialer=dialer,
                acceptor=acceptor,
            )

        def acceptor_spec(number: int, address: TcpAddress) -> ChildSpec:
            name = acceptor_name(address, number)

            def start() -> ActorRef[Any, Any]:
                ref = Acceptor.start(
                    self.dispatcher,
                    name=name,
                    address=address,
                    start_link=lambda socket, acceptor: start_link(socket, None, acceptor),
                    max_unauthenticated=setup.unauthenticated_links,
                    meters=self._meters,
                    root=self.ref,
                )
                return self._named(name, ref)

            return ChildSpec(name=name, start=start)

        def dialer_spec(address: TcpAddress) -> ChildSpec:
            def start() -> ActorRef[Any, Any]:
                return Dialer.start(
                    self.dispatcher,
                    address=address,
                    directory=refs.directory,
                    start_link=lambda socket, dialer: start_link(socket, dialer, None),
                )

            return ChildSpec(name=f"dialer {address}", start=start)

        acceptors = [acceptor_spec(number, address) for number, address in enumerate(setup.accept, 1)]
        return [*acceptors, *map(dialer_spec, setup.peers)]

    def _named(self, name: str, ref: ActorRef[Any, Any]) -> ActorRef[Any, Any]:
        self._by_name[name] = ref
        if self._phase is not Phase.RUNNING:
            self._take_leave_of(name, ref)  # it died while the agent was leaving, and was started again
        return ref

    def _take_leave_of(self, name: str, ref: Ref[Any]) -> None:
        """Tell an endpoint, a listener or an acceptor to let nobody in any more."""
        is_endpoint = name.startswith("endpoint ")
        self.tell(ref, endpoint_messages.StopOffering() if is_endpoint else _STOP_LISTENING)

    # -- a vital actor died ----------------------------------------------------------------------------------

    def _core_ended(self, name: str) -> None:
        if self._phase is Phase.STOPPING:
            self.stop_now()  # nobody is left to say that all children have stopped
        if self._phase is not Phase.RUNNING:
            return
        self._failures = 0 if self.now() - self._built_at >= STABLE_S else self._failures
        delay_s = retry_delay_s(self._failures, self.dispatcher.uniform())
        self._failures += 1
        log.error("the %s has died; starting everything anew in %.2f s", name, delay_s)
        self._tear_down()
        self.schedule(delay_s, messages.RebuildDue())

    def _tear_down(self) -> None:
        """Stop what this build started; connections and links follow, which nobody else stops."""
        refs, self._refs = self._refs, None
        if refs is None:
            return
        if self._services is not None:
            self._services.stop(block=False)
        why = "the agent starts anew"
        self.tell(refs.connection_table, table_messages.CloseConnections(why))
        self.tell(refs.directory, directory_messages.CloseAllLinks(why, None))
        for ref in (refs.directory, refs.connection_table, refs.route_table, self._loopback):
            if isinstance(ref, ActorRef):
                ref.stop(block=False)
        self._by_name.clear()

    # -- leaving ---------------------------------------------------------------------------------------------

    def _leave(self, drain_timeout_s: float) -> None:
        if self._phase is not Phase.RUNNING:
            return
        self._phase = Phase.DRAINING
        refs = self._refs
        if refs is None:
            self.stop_now()
            return
        log.info("leaving: connections have %g s to finish", drain_timeout_s)
        self.tell(refs.route_table, route_messages.StartDraining())
        for name, ref in self._by_name.items():
            self._take_leave_of(name, ref)
        self.tell(refs.connection_table, table_messages.ReportEmpty(self.ref))
        self.schedule(min(GRACE_S, drain_timeout_s), messages.GraceOver())
        self.schedule(drain_timeout_s, messages.DrainTimedOut())

    def _drained(self) -> None:
        if self._phase is Phase.DRAINING and self._grace_over and self._connections_gone:
            self._withdraw()

    def _drain_timed_out(self) -> None:
        if self._phase is Phase.DRAINING and self._refs is not None and not self._connections_gone:
            log.warning("connections are left after the drain timeout; resetting them")
            self.tell(self._refs.connection_table, table_messages.CloseConnections("the agent is leaving"))
            self._grace_over = True
            self.schedule(RESET_TIMEOUT_S, messages.ResetTimedOut())

    def _withdraw(self) -> None:
        if self._refs is not None:
            self._phase = Phase.CLOSING
            self.schedule(CLOSING_TIMEOUT_S, messages.ClosingTimedOut())
            self.tell(self._refs.route_table, route_messages.Withdraw(self.ref))

    def _stop_services(self) -> None:
        if self._phase is not Phase.CLOSING or self._services is None:
            return
        self._phase = Phase.STOPPING
        if not self.tell(self._services, supervisor_messages.ShutDown(self.ref)):
            self.stop_now()


_STOP_LISTENING: Final = listener_messages.StopListening()
