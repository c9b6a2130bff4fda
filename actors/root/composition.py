"""What an agent is made of: which actors there are, and who knows whom.

The route table, the connection table, the loopback and the peer directory are the core: all others hold their
references. Endpoints, listeners, acceptors and dialers are services: children of a supervisor, each with a
name that survives its restarts.
"""

import resource
import sys
from collections.abc import Iterator
from typing import Final

import msgspec

from actors.connections.connection_settings import ConnectionSettings
from actors.connections.connection_table import ConnectionTable
from actors.connections.endpoint import Endpoint
from actors.connections.endpoint_refs import EndpointRefs
from actors.connections.exit_connection import ExitConnection
from actors.connections.ingress_connection import IngressConnection
from actors.connections.listener import Listener
from actors.connections.offers import KnownOffers
from actors.links.acceptor import Acceptor
from actors.links.budgets import peer_budgets
from actors.links.dialer import Dialer
from actors.links.loopback import Loopback
from actors.links.peer_directory import PeerDirectory
from actors.links.peer_link import PeerLink
from actors.links.settings import LinkRefs, LinkSettings
from actors.messages import acceptor as acceptor_messages
from actors.messages import agent as agent_messages
from actors.messages import connection as connection_messages
from actors.messages import connection_table as table_messages
from actors.messages import dialer as dialer_messages
from actors.messages import endpoint as endpoint_messages
from actors.messages import listener as listener_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as link_messages
from actors.messages import route_table as route_messages
from actors.messages.client_count import ClientCount
from actors.meters import Meters
from actors.root.setup import AgentSetup, acceptor_name, endpoint_name, listener_name
from actors.route_table import RouteTable
from actors.runtime.children import AnyChildSpec, ChildSpec
from actors.runtime.descriptors import spare_descriptors
from actors.runtime.reference import ActorRef
from actors.runtime.seam import Dispatcher, Ref, StreamSocket
from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection, ListenerSection, PeerSection
from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.connection.door import Door
from mesh.connection.key_stock import KeyStock
from mesh.connection.offer import Offer
from mesh.connection.pending_open import PendingOpen
from mesh.connection.session_handshake import Party
from mesh.connection.shares import Shares
from mesh.connection.stream import StreamBudget
from mesh.link.frames import Frame
from mesh.link.futile import EVERYBODY, Payer
from mesh.link.relay_budget import RelayBudget
from mesh.routing.origination import OwnAgent
from mesh.routing.records import Record
from mesh.trust.identity import INSTANCE_BYTES, AgentId, Instance
from mesh.trust.noise.primitives import SharedSecrets, key_pair

STRANGERS_SHARE: Final = 16
"""Of the descriptors, for strangers on an acceptor and for links that are opened there, each."""


class Surroundings(msgspec.Struct, frozen=True):
    """What every build of an agent finds, and what outlives it."""

    dispatcher: Dispatcher
    setup: AgentSetup
    meters: Meters
    budget: StreamBudget
    relay_budget: RelayBudget
    root: Ref[agent_messages.Inbound]


class Core(msgspec.Struct, frozen=True):
    """The actors that all others need."""

    route_table: ActorRef[route_messages.Inbound]
    connection_table: ActorRef[table_messages.Inbound]
    loopback: ActorRef[link_messages.SendFrames]
    directory: ActorRef[directory_messages.Inbound]


class Composition:
    """One build of an agent. Making it starts the core; its specs say how the services start.

    It is one instance in the mesh, with keys of its own.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        dispatcher, setup = surroundings.dispatcher, surroundings.setup
        self._instance = Instance(dispatcher.random_bytes(INSTANCE_BYTES))
        static = key_pair(dispatcher.random_bytes(32))
        self._doors: dict[str, Door] = {}
        self._connections = ConnectionSettings(
            own_id=setup.identity.id,
            instance=self._instance,
            static=static,
            shared=SharedSecrets(static),
            budget=surroundings.budget,
            numbers=ConnectionNumbers(),
            places=Shares(exit_places(setup.descriptor_limit)),
            ephemerals=KeyStock(dispatcher.random_bytes, dispatcher.now),
            config=setup.config,
            allowed={
                endpoint.key: frozenset(endpoint.allow)
                for endpoint in setup.config.forward.endpoints
                if endpoint.allow
            },
            doors=self._doors,
        )
        self._endpoints = EndpointRefs()
        self._offers = KnownOffers()
        self.core = self._start_core()
        self._links = LinkSettings(
            identity=setup.identity,
            certificate=setup.certificate_wire,
            instance=self._instance,
            static=key_pair(dispatcher.random_bytes(32)),
            trust=setup.trust,
            relay_budget=surroundings.relay_budget,
            config=setup.config,
            budgets=peer_budgets(),
            versions=setup.versions,
            features=setup.features,
        )
        self._link_refs = LinkRefs(self.core.directory, self.core.route_table, self.core.connection_table)

    def services(self) -> Iterator[AnyChildSpec]:
        """All that the setup asks for, in the order of their start."""
        config = self._around.setup.config
        for endpoint in config.forward.endpoints:
            yield self.endpoint(endpoint)
        for number, listener in enumerate(config.forward.listeners, 1):
            yield self.listener(listener_name(listener.key, listener.address, number), listener)
        for number, accept in enumerate(config.accept, 1):
            yield self.acceptor(acceptor_name(accept.address, number), accept.address)
        for peer in config.peers:
            yield self.dialer(peer)

    def endpoint(self, section: EndpointSection) -> ChildSpec[endpoint_messages.Inbound]:
        """One that offers its key."""
        name = endpoint_name(section.key)
        admitted: dict[
            str, endpoint_messages.AdmitConnection
        ] = {}  # of each that is started for this section

        door = self._doors[section.key] = Door(section.target)

        def start() -> ActorRef[endpoint_messages.Inbound]:
            ref = Endpoint.start(
                self._around.dispatcher,
                name=name,
                key=section.key,
                target=section.target,
                route_table=self.core.route_table,
                meters=self._around.meters,
                admitted=admitted,
                door=door,
                max_connections=section.max_connections,
                health_check=section.health_check,
                root=self._around.root,
            )
            self._endpoints.put(section.key, ref)
            return ref

        def when_gone() -> None:
            self._endpoints.forget(section.key)

        return ChildSpec(name, start, retire=endpoint_messages.StopOffering(), when_gone=when_gone)

    def listener(self, name: str, section: ListenerSection) -> ChildSpec[listener_messages.Inbound]:
        """One local port."""
        around = self._around
        clients = ClientCount()  # for each listener that is started under this name

        def start_ingress(
            prepare_for: Offer | None, listener: Ref[listener_messages.Inbound]
        ) -> Ref[connection_messages.IngressInbound]:
            return IngressConnection.start(
                around.dispatcher,
                key=section.key,
                prepare_for=prepare_for,
                listener=listener,
                table=self.core.connection_table,
                settings=self._connections,
                meters=around.meters,
            )

        def start() -> ActorRef[listener_messages.Inbound]:
            return Listener.start(
                around.dispatcher,
                name=name,
                key=section.key,
                address=section.address,
                max_connections=section.max_connections,
                believed=frozenset(section.agents),
                may_use=around.setup.certificate.allows_use(section.key),
                route_table=self.core.route_table,
                start_ingress=start_ingress,
                clients=clients,
                loops=self._connections.loops,
                offers=self._offers,
                meters=around.meters,
                root=around.root,
            )

        return ChildSpec(name, start, retire=listener_messages.StopListening())

    def acceptor(self, name: str, address: TcpAddress) -> ChildSpec[acceptor_messages.Inbound]:
        """One port for peers."""
        around, setup = self._around, self._around.setup

        def start_link(
            socket: StreamSocket, acceptor: Ref[acceptor_messages.Inbound], received: bytes, payer: Payer
        ) -> Ref[link_messages.Inbound]:
            return self._start_link(socket, acceptor=acceptor, received=received, paid_by=payer)

        def start() -> ActorRef[acceptor_messages.Inbound]:
            return Acceptor.start(
                around.dispatcher,
                name=name,
                address=address,
                start_link=start_link,
                trust=setup.trust,
                max_unauthenticated=stranger_places(
                    setup.config.limits.unauthenticated_links, setup.descriptor_limit
                ),
                meters=around.meters,
                root=around.root,
            )

        return ChildSpec(name, start, retire=listener_messages.StopListening())

    def dialer(self, peer: PeerSection) -> ChildSpec[dialer_messages.Inbound]:
        """One that keeps a link to ``peer``."""

        def start_link(
            socket: StreamSocket, dialer: Ref[dialer_messages.Inbound], ticket: bytes
        ) -> Ref[link_messages.Inbound]:
            return self._start_link(socket, dialer=dialer, expected=peer.id, ticket=ticket)

        def start() -> ActorRef[dialer_messages.Inbound]:
            return Dialer.start(
                self._around.dispatcher,
                address=peer.address,
                directory=self.core.directory,
                start_link=start_link,
            )

        return ChildSpec(f"dialer {peer.address}", start)

    def _start_link(
        self,
        socket: StreamSocket,
        *,
        dialer: Ref[dialer_messages.Inbound] | None = None,
        acceptor: Ref[acceptor_messages.Inbound] | None = None,
        expected: AgentId | None = None,
        ticket: bytes = b"",
        received: bytes = b"",
        paid_by: Payer = EVERYBODY,
    ) -> Ref[link_messages.Inbound]:
        return PeerLink.start(
            self._around.dispatcher,
            socket=socket,
            is_dialer=dialer is not None,
            settings=self._links,
            refs=self._link_refs,
            meters=self._around.meters,
            dialer=dialer,
            acceptor=acceptor,
            expected=expected,
            ticket=ticket,
            received=received,
            paid_by=paid_by,
        )

    def _start_core(self) -> Core:
        around, setup = self._around, self._around.setup
        route_table = RouteTable.start(
            around.dispatcher,
            identity=setup.identity,
            fixed=OwnAgent(
                certificate=setup.certificate_wire,
                session_key=self._connections.static.public,
                instance=self._instance,
                relays=setup.relays,
            ),
            certificate=setup.certificate,
            trust=setup.trust,
            reader=setup.reader,
            settings=setup.config.routing,
            alarms=around.meters.alarms,
        )

        def start_exit(
            frame: Frame,
            party: Party,
            record: Record,
            link: Ref[link_messages.SendFrames],
            pending: PendingOpen,
        ) -> Ref[connection_messages.ExitInbound]:
            return ExitConnection.start(
                around.dispatcher,
                open_frame=frame,
                pending=pending,
                party=party,
                record=record,
                link=link,
                endpoints=self._endpoints.frozen(),
                table=connection_table,
                settings=self._connections,
                meters=around.meters,
            )

        connection_table = ConnectionTable.start(
            around.dispatcher,
            own_id=setup.identity.id,
            instance=self._instance,
            numbers=self._connections.numbers,
            start_exit=start_exit,
            max_pending_opens=setup.config.limits.pending_opens,
            meters=around.meters,
        )
        loopback = Loopback.start(
            around.dispatcher, own_id=setup.identity.id, connection_table=connection_table
        )
        directory = PeerDirectory.start(
            around.dispatcher,
            own_id=setup.identity.id,
            relays=setup.relays,
            route_table=route_table,
            connection_table=connection_table,
            loopback=loopback,
            meters=around.meters,
        )
        route_table.tell(route_messages.Subscribe(connection_table))
        return Core(route_table, connection_table, loopback, directory)


def exit_places(descriptor_limit: int) -> int:
    """Connections to targets that there are descriptors for; listeners' clients take of the same."""
    if descriptor_limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, descriptor_limit - spare_descriptors(descriptor_limit))


def stranger_places(wanted: int, descriptor_limit: int) -> int:
    """As many as are wanted, but no large part of the descriptors."""
    if descriptor_limit == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(1, descriptor_limit // STRANGERS_SHARE))
