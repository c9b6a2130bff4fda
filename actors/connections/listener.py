"""A listener: a local port, or a unix socket, for a routing key.

While nobody offers the key it is parked: clients are refused, and the port stays ours. Clients are counted
against ``max_connections`` one by one; one too many is reset at once, unless another one is closing: then it
waits for that one's place, but not for long.

Whom a client is led to is the matter of its :class:`~actors.connections.candidate_desk.CandidateDesk`.
"""

import logging
from collections.abc import Callable
from typing import Final, assert_never

from actors.accepting import AcceptingActor
from actors.connections.candidate_desk import CandidateDesk
from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS
from actors.connections.listener_reports import ListenerReports
from actors.connections.offers import KnownOffers
from actors.listener_meter import ListenerMeter
from actors.messages import agent as agent_messages
from actors.messages import connection as connection_messages
from actors.messages import listener as messages
from actors.messages import route_table as route_table_messages
from actors.meters import Meters
from actors.runtime.seam import Dispatcher, ListeningSocket, Ref, StreamSocket
from mesh.addresses import SocketAddress
from mesh.config.schema import GRANTED, ListenerSection
from mesh.connection.loops import LoopWatch
from mesh.connection.waiting_room import PLACE_PATIENCE_S, WaitingRoom
from mesh.escaping import escaped
from mesh.routing.granted_offers import GrantedListener
from mesh.routing.records import ListenerEntry
from mesh.routing.routes import RouteSnapshot

log = logging.getLogger("mesh.forward")

FIRST_REPORT_S: Final = 10.0
"""After so long a listener for whose key nobody came says so: a key may be misspelled."""


class Listener(AcceptingActor[messages.Inbound]):
    """Lets clients in for one key on one address."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        name: str,
        key: str,
        address: SocketAddress,
        max_connections: int,
        believed: frozenset[str],
        is_granted: bool,
        may_use: Callable[[], bool],
        route_table: Ref[route_table_messages.Inbound],
        start_ingress: connection_messages.StartIngress,
        clients: connection_messages.Clients,
        loops: LoopWatch[Ref[connection_messages.IngressInbound]],
        offers: KnownOffers,
        meters: Meters,
        root: Ref[agent_messages.PartReported],
    ) -> None:
        super().__init__(
            dispatcher,
            name=name,
            address=address,
            what=f"listener {key}",
            options=CONNECTION_SOCKET_OPTIONS,
            log=log,
            meters=meters,
            root=root,
        )
        self._key = key
        self._reports = ListenerReports(key)
        self._max_connections = max_connections
        self._is_granted, self._believed = is_granted, believed
        self._may_use = may_use
        self._route_table = route_table
        self._meter = meters.listeners[name] = ListenerMeter(self.now(), connected=lambda: clients.connected)
        meters.listened.begin(key)
        self._desk = CandidateDesk(
            self,
            key=key,
            reports=self._reports,
            believed=believed,
            start_ingress=start_ingress,
            clients=clients,
            loops=loops,
            offers=offers,
            meters=meters,
            meter=self._meter,
        )
        self._was_open = False
        """Whether anybody has offered the key since the start."""
        self._clients = clients
        self._full_reported = False
        self._waiting: WaitingRoom[StreamSocket] = WaitingRoom()
        """Clients for whom there is no place yet."""

    def on_start(self) -> None:
        """Take the port and ask to be told of routes."""
        if not self._may_use():
            self._reports.not_permitted()
        self._bind()
        self.tell(self._route_table, route_table_messages.Subscribe(self.ref))
        if self._may_use():
            self.schedule(FIRST_REPORT_S, messages.ReportDue())

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.CandidateServed():
                self._desk.hear(message)
                if self._listening is not None:
                    self._desk.prepare()
            case route_table_messages.RoutesChanged(snapshot=snapshot):
                self._routes_changed(snapshot)
            case messages.CandidateFailed() | messages.ClientGivenUp() | messages.FindCandidates():
                self._desk.hear(message)
            case messages.PlaceFree():
                self._seat()
            case messages.WaitOver():
                self._wait_over()
            case messages.ReportDue():
                if not self._was_open:
                    self._report()
            case messages.BindDue():
                self._bind()
            case messages.AcceptAgain():
                self._resume()
            case messages.ChangeListener(section=section):
                self._change(section)
            case messages.StopListening():
                self._close_port()
                self._meter.turned(self.now(), is_open=False)
                self._turn_out()
                self._desk.discard_standby("the listener has closed its port")
                self._advertise(None)
            case _:
                assert_never(message)

    def release(self) -> None:
        """Withdraw the port from the mesh's sight, and let nobody wait for its clients."""
        self._turn_out()
        self._desk.discard_standby("the listener has ended")
        self._advertise(None)
        if self._meters.listeners.get(self._name) is self._meter:
            del self._meters.listeners[self._name]
        self._meters.listened.end(self._key)
        super().release()

    def _advertise(self, entry: ListenerEntry | GrantedListener | None) -> None:
        self.tell(self._route_table, route_table_messages.AdvertiseListener(self.actor_urn, entry))

    def _show(self, address: str) -> None:
        entry = ListenerEntry(key=self._key, address=address)
        self._advertise(GrantedListener(entry, self._believed) if self._is_granted else entry)

    def _bound(self, socket: ListeningSocket) -> None:
        self._meter.address = socket.local_name
        self._reports.bound(socket.local_name)
        self._show(socket.local_name)
        self._park_or_listen()

    def _routes_changed(self, snapshot: RouteSnapshot) -> None:
        if self._desk.routes_changed(snapshot, may_use=self._may_use()):
            self._take_offers()

    def _take_offers(self) -> None:
        if self._desk.take_offers():
            self._report()
            self._park_or_listen()

    def _change(self, section: ListenerSection) -> None:
        """Be as ``section`` says; clients that are in stay in, wherever they were let out."""
        self._max_connections, self._full_reported = section.max_connections, False
        self._clients.takes_early = section.early_data
        before = self._is_granted, self._believed
        self._is_granted, self._believed = section.visibility == GRANTED, frozenset(section.agents)
        self._desk.believe(self._believed)
        if before != (self._is_granted, self._believed) and self._listening is not None:
            self._show(self._listening.local_name)
        self._reports.changed(str(self._address))
        self._take_offers()
        self._seat()

    def _report(self) -> None:
        if self._listening is None:
            return  # its port is taken, or the agent is leaving: that has been said
        if self._desk.offers:
            self._was_open = True
            self._reports.opened(self._desk.name_of_nearest())
        else:
            self._reports.refuses(self._desk.why_none())

    def _park_or_listen(self) -> None:
        self._meter.turned(self.now(), is_open=self._listening is not None and bool(self._desk.offers))
        if self._listening is None:
            return
        try:
            if self._desk.offers:
                self._listening.listen()
                if not self._paused:
                    self._listening.watch_read(True)
            else:
                self._listening.park()
        except OSError as error:
            self._advertise(None)
            self._meter.turned(self.now(), is_open=False)
            self._lost_port(error)

    def _accepted(self, socket: StreamSocket) -> None:
        if not self._desk.offers:
            socket.abort()
            return
        if self._desk.is_own_exit(socket):
            return
        self._full_reported = self._full_reported and self._clients.connected > 0
        if self._waiting:
            self._seat()  # they came before
        if self._is_full:
            self._let_wait(socket)
        else:
            self._desk.serve(socket)

    # -- max_connections -------------------------------------------------------------------------------------

    @property
    def _is_full(self) -> bool:
        return bool(self._max_connections) and self._clients.connected >= self._max_connections

    def _let_wait(self, socket: StreamSocket) -> None:
        """Let the client wait for one that is closing, or reset it."""
        if not self._waiting.enter(socket, self.now(), self._clients.closing):
            self._refuse(socket)
            return
        self.own(socket)
        if self._clients.awaited_by is not self.ref:
            self._clients.awaited_by = self.ref
            self.schedule(PLACE_PATIENCE_S, messages.WaitOver())

    def _refuse(self, socket: StreamSocket) -> None:
        self._meters.clients_refused += 1
        if not self._full_reported:
            self._full_reported = True
            self._reports.full(self._max_connections, escaped(socket.peer_name))
        socket.abort()

    def _seat(self) -> None:
        """Let in those that wait, as far as there is room."""
        while self._waiting and not self._is_full:
            socket = self._waiting.take()
            if socket is None:
                return
            self.disown(socket)
            if self._desk.offers:
                self._desk.serve(socket)
            else:
                socket.abort()

    def _wait_over(self) -> None:
        self._seat()
        for socket in self._waiting.overdue(self.now()):
            self.disown(socket)
            self._refuse(socket)
        if self._waiting:
            self.schedule(self._waiting.deadline() - self.now(), messages.WaitOver())
        else:
            self._clients.awaited_by = None

    def _turn_out(self) -> None:
        while (socket := self._waiting.take()) is not None:
            self.disown(socket)
            socket.abort()

    def __str__(self) -> str:
        """Name key and address, for logs and dumps."""
        return f"Listener({self._key}, {self._address}, {self._clients.connected} clients)"
