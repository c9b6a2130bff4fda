"""The services of an agent: children of its supervisor, each with a name that survives restarts and reloads.

Endpoints, listeners, acceptors and dialers; the names are those of :mod:`mesh.config.services`.
"""

from collections.abc import Callable, Iterator
from typing import Final, assert_never
from weakref import WeakValueDictionary

from actors.connections.endpoint import Endpoint
from actors.connections.ingress_connection import IngressConnection
from actors.connections.listener import Listener
from actors.connections.named_service import NamedService
from actors.connections.offers import KnownOffers
from actors.connections.socks_listener import SocksListener
from actors.links.acceptor import Acceptor
from actors.links.congestion import CongestionControl
from actors.links.dialer import Dialer
from actors.links.peer_link import PeerLink
from actors.links.settings import LinkRefs
from actors.messages import acceptor as acceptor_messages
from actors.messages import connection as connection_messages
from actors.messages import dialer as dialer_messages
from actors.messages import endpoint as endpoint_messages
from actors.messages import listener as listener_messages
from actors.messages import named_service as service_messages
from actors.messages import peer_link as link_messages
from actors.messages import socks_listener as socks_messages
from actors.root.build import Build, Core
from actors.root.inside_children import InsideChildren
from actors.runtime import supervisor_messages
from actors.runtime.children import AnyChildSpec, ChildSpec
from actors.runtime.descriptors import small_part
from actors.runtime.reference import ActorRef, tell_if_alive
from actors.runtime.seam import Ref, StreamSocket
from mesh.addresses import TcpAddress, UnixAddress
from mesh.config.difference import Difference
from mesh.config.schema import (
    GRANTED,
    AcceptSection,
    EndpointSection,
    ListenerSection,
    PeerSection,
    SocksSection,
)
from mesh.config.services import Service, service_name, services
from mesh.connection.door import Door
from mesh.connection.offer import Offer
from mesh.link.futile import EVERYBODY, Payer
from mesh.routing.routes import RouteSnapshot
from mesh.socks.names import Wanted
from mesh.socks.place import NAME
from mesh.trust.identity import AgentId

PLACES: Final = "limits.unauthenticated_links"
"""The key that every acceptor is to hear of."""


class Services:
    """How the services of one build are made, changed and removed."""

    def __init__(self, build: Build, core: Core, *, close_inside: Callable[[], None]) -> None:
        self._build = build
        self._core = core
        self.inside: Final = InsideChildren(build, self._start_ingress, close_inside=close_inside)
        self._admitted: dict[str, dict[str, endpoint_messages.AdmitConnection]] = {}
        """Of each key: what outlives its endpoint."""
        self._judged = build.around.setup.config
        self._unwanted: set[str] = set()
        """Keys of these that this configuration does not have, as of the latest end of an endpoint."""
        self._clients: WeakValueDictionary[str, connection_messages.Clients] = WeakValueDictionary()
        """Of each listener, by its name: of one that has gone, too, while connections of it are left."""
        self._resetting: set[str] = set()
        """Listeners that are going, and whose clients are to go then."""
        self._offers = KnownOffers()
        self._link_refs = LinkRefs(core.directory, core.route_table, core.connection_table)
        self._congestion = CongestionControl()

    def specs(self) -> Iterator[AnyChildSpec]:
        """All that the configuration asks for, in the order of their start."""
        yield from self.inside.specs()
        for name, section in services(self._build.around.setup.config).items():
            yield self.spec(name, section)
        data_dir = self._build.around.setup.config.agent.data_dir
        if data_dir is not None:
            always = SocksSection(address=UnixAddress(str(data_dir / NAME)))
            yield self._socks(service_name(always), always)

    def spec(self, name: str, section: Service) -> AnyChildSpec:
        """The child of this name."""
        match section:
            case EndpointSection():
                return self._endpoint(name, section)
            case ListenerSection():
                return self._listener(name, section)
            case SocksSection():
                return self._socks(name, section)
            case AcceptSection(address=address):
                return self._acceptor(name, address)
            case PeerSection():
                return self._dialer(name, section)
            case _:
                assert_never(section)

    def change(
        self, name: str, section: Service, reply_to: Ref[supervisor_messages.ChildSettled]
    ) -> supervisor_messages.Inbound:
        """What makes the child of this name, which has been made from another section, be of this one."""
        spec = self.spec(name, section)
        command: object
        match section:
            case EndpointSection():
                command = endpoint_messages.ChangeEndpoint(section)
            case ListenerSection():
                command = listener_messages.ChangeListener(section)
            case SocksSection():
                command = socks_messages.ChangeSocks(section)
            case PeerSection(id=peer_id):
                command = dialer_messages.PinPeer(peer_id)
            case AcceptSection():
                return supervisor_messages.ReplaceChild(spec, reply_to)
            case _:
                assert_never(section)
        return supervisor_messages.ChangeChild(spec, command, reply_to)

    def new_places(
        self, made: Difference, reply_to: Ref[supervisor_messages.ChildSettled]
    ) -> Iterator[supervisor_messages.Inbound]:
        """What tells the acceptors that go on as they are of another ``limits.unauthenticated_links``."""
        if PLACES not in made.live:
            return
        command = acceptor_messages.ChangePlaces(self._stranger_places())
        for name, section in services(self._build.around.setup.config).items():
            if isinstance(section, AcceptSection) and name not in made.added and name not in made.changed:
                yield supervisor_messages.ChangeChild(self.spec(name, section), command, reply_to)

    def removal(
        self,
        name: str,
        section: Service,
        reply_to: Ref[supervisor_messages.ChildSettled],
        *,
        resets: bool = False,
    ) -> supervisor_messages.Inbound:
        """What makes the child of this name go; what came by a listener, endpoint or acceptor stays.

        With ``resets`` a listener's connections are reset, as soon as no more can come.
        """
        if resets:
            self._resetting.add(name)
        farewell = dialer_messages.HangUp() if isinstance(section, PeerSection) else None
        return supervisor_messages.RemoveChild(name, reply_to, farewell)

    def _start_ingress(
        self, key: str, client_of: Ref[listener_messages.FromIngress], prepare_for: Offer | None = None
    ) -> Ref[connection_messages.IngressInbound]:
        """One for a client that is still to come; ``client_of`` hears how it goes."""
        return IngressConnection.start(
            self._build.around.dispatcher,
            key,
            prepare_for,
            client_of,
            self._core.connection_table,
            self._build.connections,
            self._build.around.meters,
        )

    def _endpoint(self, name: str, section: EndpointSection) -> ChildSpec[endpoint_messages.Inbound]:
        """One that offers its key."""
        admitted = self._admitted.setdefault(section.key, {})
        door = self._build.doors.setdefault(section.key, Door(section.target))

        def start() -> ActorRef[endpoint_messages.Inbound]:
            door.target = section.target
            ref = Endpoint.start(
                self._build.around.dispatcher,
                name=name,
                key=section.key,
                target=section.target,
                shows_target=section.show_target,
                is_granted=section.visibility == GRANTED,
                allowed=frozenset(section.allow),
                route_table=self._core.route_table,
                meters=self._build.around.meters,
                admitted=admitted,
                door=door,
                max_connections=section.max_connections,
                health_check=section.health_check,
                root=self._build.around.root,
            )
            self._build.endpoints.put(section.key, ref)
            return ref

        def when_gone() -> None:
            self._build.endpoints.forget(section.key)
            self._forget_endpoints()

        return ChildSpec(name, start, retire=endpoint_messages.StopOffering(), when_gone=when_gone)

    def _listener(self, name: str, section: ListenerSection) -> ChildSpec[listener_messages.Inbound]:
        """One local port."""
        around = self._build.around
        clients = self._clients.setdefault(name, connection_messages.Clients(name))

        def start() -> ActorRef[listener_messages.Inbound]:
            clients.takes_early = section.early_data
            return Listener.start(
                around.dispatcher,
                name=name,
                key=section.key,
                address=section.address,
                max_connections=section.max_connections,
                believed=frozenset(section.agents),
                is_granted=section.visibility == GRANTED,
                may_use=lambda: self._may_use(section.key),
                route_table=self._core.route_table,
                start_ingress=self._starting_ingress(section.key),
                clients=clients,
                loops=self._build.connections.loops,
                offers=self._offers,
                meters=around.meters,
                root=around.root,
            )

        def when_gone() -> None:
            if name in self._resetting:
                self._resetting.remove(name)
                for connection in clients.connections:
                    tell_if_alive(connection, connection_messages.CloseWithListener())

        return ChildSpec(name, start, retire=listener_messages.StopListening(), when_gone=when_gone)

    def _starting_ingress(self, key: str) -> connection_messages.StartIngress:
        """How a connection for ``key`` is started."""

        def start(
            prepare_for: Offer | None, listener: Ref[listener_messages.FromIngress]
        ) -> Ref[connection_messages.IngressInbound]:
            return self._start_ingress(key, listener, prepare_for)

        return start

    def _socks(self, name: str, section: SocksSection) -> ChildSpec[socks_messages.Inbound]:
        """One local port whose clients name the key."""
        around = self._build.around
        clients = self._clients.setdefault(name, connection_messages.Clients(name))

        def start_service(
            wanted: Wanted, snapshot: RouteSnapshot, asked_by: Ref[socks_messages.Inbound]
        ) -> Ref[service_messages.Inbound]:
            return NamedService.start(
                around.dispatcher,
                wanted=wanted,
                by=f"SOCKS listener {section.address}",
                snapshot=snapshot,
                asked_by=asked_by,
                route_table=self._core.route_table,
                start_ingress=self._starting_ingress(wanted.key),
                clients=clients,
                loops=self._build.connections.loops,
                offers=self._offers,
                meters=around.meters,
            )

        def start() -> ActorRef[socks_messages.Inbound]:
            return SocksListener.start(
                around.dispatcher,
                name=name,
                section=section,
                may_use=self._may_use,
                route_table=self._core.route_table,
                start_service=start_service,
                clients=clients,
                meters=around.meters,
                root=around.root,
            )

        return ChildSpec(name, start, retire=listener_messages.StopListening())

    def _forget_endpoints(self) -> None:
        """Those that are gone, unless they have connections still: these count if the key comes back."""
        config = self._build.around.setup.config
        if config is not self._judged:  # many may go with one change: it is looked through once
            self._judged = config
            self._unwanted = self._admitted.keys() - {each.key for each in config.forward.endpoints}
        for key in tuple(self._unwanted):
            is_used = any(wish.connection.is_alive() for wish in self._admitted[key].values())
            if not is_used and not self._build.doors[key].inside:
                self._unwanted.remove(key)
                del self._admitted[key], self._build.doors[key]

    def _acceptor(self, name: str, address: TcpAddress) -> ChildSpec[acceptor_messages.Inbound]:
        """One port for peers."""
        around = self._build.around

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
                opening_keys=lambda: self._build.opening_keys,
                max_unauthenticated=self._stranger_places(),
                meters=around.meters,
                root=around.root,
            )

        return ChildSpec(name, start, retire=listener_messages.StopListening())

    def _may_use(self, key: str) -> bool:
        """Whether the certificate that this agent has now lets it use ``key``."""
        return self._build.around.setup.certificate.allows_use(key)

    def _stranger_places(self) -> int:
        setup = self._build.around.setup
        return small_part(setup.config.limits.unauthenticated_links, setup.descriptor_limit)

    def _dialer(self, name: str, peer: PeerSection) -> ChildSpec[dialer_messages.Inbound]:
        """One that keeps a link to ``peer``."""

        def start_link(
            socket: StreamSocket,
            dialer: Ref[dialer_messages.Inbound],
            expected: AgentId | None,
            ticket: bytes,
        ) -> Ref[link_messages.Inbound]:
            return self._start_link(socket, dialer=dialer, expected=expected, ticket=ticket)

        def start() -> ActorRef[dialer_messages.Inbound]:
            return Dialer.start(
                self._build.around.dispatcher,
                address=peer.address,
                expected=peer.id,
                directory=self._core.directory,
                start_link=start_link,
            )

        return ChildSpec(name, start)

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
        settings = self._build.links
        self._congestion.set_up(socket, settings.config.connections.congestion_control)
        return PeerLink.start(
            self._build.around.dispatcher,
            socket=socket,
            is_dialer=dialer is not None,
            settings=settings,
            refs=self._link_refs,
            meters=self._build.around.meters,
            dialer=dialer,
            acceptor=acceptor,
            expected=expected,
            ticket=ticket,
            received=received,
            paid_by=paid_by,
        )
