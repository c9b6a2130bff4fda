"""A listener: a local port, or a unix socket, for a routing key.

While nobody offers the key it is parked: clients are refused, and the port stays ours. Clients are counted
against ``max_connections`` one by one; one too many is reset at once, unless another one is closing: then it
waits for that one's place, but not for long.

Where one client has been served another is to come: an ingress connection is started ahead for it, and
stands by with an OPEN for the candidate whose turn it is. A client for whom another one is to be tried by
then, or who comes together with others, gets a connection that is started for it.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, assert_never

from actors.accepting import AcceptingActor
from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS
from actors.connections.listener_reports import ListenerReports
from actors.connections.offers import KnownOffers
from actors.listener_meter import MAX_ASIDE_SHOWN, ListenerMeter
from actors.messages import agent as agent_messages
from actors.messages import connection as connection_messages
from actors.messages import listener as messages
from actors.messages import route_table as route_table_messages
from actors.messages.client_count import ClientCount
from actors.meters import Meters
from actors.runtime.seam import Dispatcher, ListeningSocket, Ref, StreamSocket
from mesh.addresses import SocketAddress
from mesh.config.schema import ListenerSection
from mesh.connection.candidates import CandidatePool
from mesh.connection.loops import LoopWatch, ends_of
from mesh.connection.offer import Offer
from mesh.connection.offer_watch import OfferWatch
from mesh.connection.reject_codes import IngressVerdict
from mesh.connection.session_handshake import Party
from mesh.connection.waiting_room import PLACE_PATIENCE_S, WaitingRoom
from mesh.escaping import escaped
from mesh.routing.counterparts import NO_OFFER, NO_WAY, by_way_of, some_of, why_disbelieved, why_unoffered
from mesh.routing.records import ListenerEntry
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId
from mesh.trust.naming import named

log = logging.getLogger("mesh.forward")

StartIngress = Callable[[Offer | None, Ref[messages.Inbound]], Ref[connection_messages.IngressInbound]]
"""Starts an ingress connection: the candidate that it is to prepare for, if any, and the listener."""


FIRST_REPORT_S: Final = 10.0
"""After so long a listener for whose key nobody came says so: a key may be misspelled."""


class _Standby(NamedTuple):
    """An ingress connection that waits for its client."""

    connection: Ref[connection_messages.IngressInbound]
    party: Party
    """The candidate that it has prepared for."""


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
        may_use: bool,
        route_table: Ref[route_table_messages.Inbound],
        start_ingress: StartIngress,
        clients: ClientCount,
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
        self._may_use = may_use
        self._route_table = route_table
        self._start_ingress = start_ingress
        self._candidates = CandidatePool()
        self._watch = OfferWatch(believed, self.now())
        self._way: Callable[[AgentId], str] = lambda _: NO_WAY
        """How an exit is reached, for people."""
        self._why_unoffered: Callable[[], str] = lambda: NO_OFFER
        self._meter = meters.listeners[name] = ListenerMeter(self.now())
        self._was_open = False
        """Whether anybody has offered the key since the start."""
        self._clients = clients
        self._loops = loops
        self._known_offers = offers
        self._offers: tuple[Offer, ...] = ()
        """All that there are of the key, believed or not."""
        self._full_reported = False
        self._waiting: WaitingRoom[StreamSocket] = WaitingRoom()
        """Clients for whom there is no place yet."""
        self._standby: _Standby | None = None

    def on_start(self) -> None:
        """Take the port and ask to be told of routes."""
        if not self._may_use:
            self._reports.not_permitted()
        self._bind()
        self.tell(self._route_table, route_table_messages.Subscribe(self.ref))
        if self._may_use:
            self.schedule(FIRST_REPORT_S, messages.ReportDue())

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case route_table_messages.RoutesChanged(snapshot=snapshot):
                self._routes_changed(snapshot)
            case messages.CandidateFailed(exit_id=exit_id, code=code):
                self._candidate_failed(exit_id, code)
            case messages.ClientGivenUp(why=why, unanswered=unanswered):
                asked = ", ".join(f"{self._named(exit_id)} ({self._way(exit_id)})" for exit_id in unanswered)
                self._meter.refused(f"{why}; no answer from {asked}" if asked else why, self.now())
                if asked:
                    self._reports.unanswered(why, asked)
            case messages.CandidateServed(exit_id=exit_id):
                self._meter.served()
                if self._candidates.served(exit_id):
                    self._meter.set_aside(islice(self._candidates.set_aside(), MAX_ASIDE_SHOWN))
                    self._reports.serves_again(self._named(exit_id))
                self._prepare()
            case messages.FindCandidates(reply_to=reply_to, tried=tried):
                offers = self._candidates.order(self.now(), self.dispatcher.uniform(), tried)
                self.tell(reply_to, messages.CandidatesFound(offers))
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
                self._discard_standby("the listener has closed its port")
                self._advertise(None)
            case _:
                assert_never(message)

    def release(self) -> None:
        """Withdraw the port from the mesh's sight, and let nobody wait for its clients."""
        self._turn_out()
        self._discard_standby("the listener has ended")
        self._advertise(None)
        if self._meters.listeners.get(self._name) is self._meter:
            del self._meters.listeners[self._name]
        super().release()

    def _advertise(self, entry: ListenerEntry | None) -> None:
        self.tell(self._route_table, route_table_messages.AdvertiseListener(self.actor_urn, entry))

    def _bound(self, socket: ListeningSocket) -> None:
        self._meter.address = socket.local_name
        self._reports.bound(socket.local_name)
        self._advertise(ListenerEntry(key=self._key, address=socket.local_name))
        self._park_or_listen()

    def _routes_changed(self, snapshot: RouteSnapshot) -> None:
        self._way = partial(by_way_of, snapshot)
        self._why_unoffered = partial(why_unoffered, snapshot, self._key)
        known = self._known_offers.of(snapshot, self._key) if self._may_use else ()
        if known is self._offers:
            return  # most that changes in a mesh is no business of this key
        self._offers = known
        self._take_offers()

    def _take_offers(self) -> None:
        before = self._candidates.offers
        offers = self._believed(self._offers, before)
        self._candidates.update(offers, self.now())
        if self._standby is not None and all(offer.party != self._standby.party for offer in offers):
            self._discard_standby("its candidate offers the key no more")
        if bool(before) != bool(offers):
            self._report()
            self._park_or_listen()
        elif before and before[0].party.id != offers[0].party.id:
            self._reports.prefers(_named(offers[0]), _named(before[0]))

    def _believed(self, offers: tuple[Offer, ...], before: Sequence[Offer]) -> tuple[Offer, ...]:
        """Those of ``offers`` that are believed; who is new or is not believed is told once, by name."""
        judged = self._watch.judge(offers, self.now())
        self._meters.offers_new += len(judged.newcomers)
        self._meters.offers_disbelieved += len(judged.disbelieved)
        for offer in judged.newcomers:
            by = some_of([_named(each) for each in before if each.party.id != offer.party.id])
            self._reports.offered_too(_named(offer), by or "others")
        for offer in judged.disbelieved:
            self._reports.ignores(_named(offer))
        return judged.believed

    def _change(self, section: ListenerSection) -> None:
        """Be as ``section`` says; clients that are in stay in, wherever they were let out."""
        self._max_connections, self._full_reported = section.max_connections, False
        self._watch.believe(frozenset(section.agents))
        self._reports.changed(str(self._address))
        self._take_offers()
        self._seat()

    def _report(self) -> None:
        if self._listening is None:
            return  # its port is taken, or the agent is leaving: that has been said
        if self._candidates.offers:
            self._was_open = True
            self._reports.opened(self._named(self._candidates.offers[0].party.id))
        else:
            ignored = [offer.name for offer in self._offers]
            self._reports.refuses(why_disbelieved(ignored) if ignored else self._why_unoffered())

    def _named(self, exit_id: AgentId) -> str:
        return named(self._candidates.name_of(exit_id), exit_id)

    def _candidate_failed(self, exit_id: AgentId, code: str) -> None:
        aside_s = self._candidates.failed(exit_id, code, self.now(), self.dispatcher.uniform())
        if aside_s is not None:
            self._meter.set_aside(islice(self._candidates.set_aside(), MAX_ASIDE_SHOWN))
            self._meters.candidates_set_aside += 1
            why = f"no answer, {self._way(exit_id)}" if code == IngressVerdict.SILENT else escaped(code)
            self._reports.sets_aside(self._named(exit_id), why)

    def _park_or_listen(self) -> None:
        self._meter.turned(self.now(), is_open=self._listening is not None and bool(self._candidates.offers))
        if self._listening is None:
            return
        try:
            if self._candidates.offers:
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
        if not self._candidates.offers:
            socket.abort()
            return
        if self._loops.has_exits and self._loops.is_own_exit(ends_of(socket.peer_name, socket.local_name)):
            self._cut_loop(socket, "it is an exit of this agent; the target is this listener")
            return
        self._full_reported = self._full_reported and self._clients.connected > 0
        if self._waiting:
            self._seat()  # they came before
        if self._is_full:
            self._let_wait(socket)
        else:
            self._serve(socket)

    def _cut_loop(self, socket: StreamSocket, why: str) -> None:
        self._meters.loops_cut += 1
        self._reports.cut(why)
        socket.abort()

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
            if self._candidates.offers:
                self._serve(socket)
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

    # -- handing over ----------------------------------------------------------------------------------------

    def _serve(self, socket: StreamSocket) -> None:
        """Hand the client to the connection that stands by, or to a new one."""
        standby = self._standby
        prepared = standby.party if standby is not None else None
        candidates = self._candidates.order(self.now(), self.dispatcher.uniform(), prepared=prepared)
        if not candidates:
            self._cut_loop(socket, "who offers the key leads back to this agent")
            return
        self._meters.clients_accepted += 1
        self._clients.enter(socket)
        command = connection_messages.ServeClient(socket, self._clients, candidates)
        if standby is not None and candidates[0].party == standby.party:
            self._standby = None
            if self.tell(standby.connection, command):
                return
        self._discard_standby("another candidate is tried first by now")
        self.tell(self._start_ingress(None, self.ref), command)

    def _prepare(self) -> None:
        """Let a connection stand by for the next client, unless one does.

        Not before a first client has been served: a listener that nobody uses costs nothing.
        """
        if self._listening is None or (self._standby is not None and self._standby.connection.is_alive()):
            return
        offer = self._candidates.next(self.now(), self.dispatcher.uniform())
        if offer is not None:
            self._standby = _Standby(self._start_ingress(offer, self.ref), offer.party)

    def _discard_standby(self, reason: str) -> None:
        standby, self._standby = self._standby, None
        if standby is not None:
            self.tell(standby.connection, connection_messages.CloseConnection(reason))

    def __str__(self) -> str:
        """Name key and address, for logs and dumps."""
        return f"Listener({self._key}, {self._address}, {self._clients.connected} clients)"


def _named(offer: Offer) -> str:
    return named(offer.name, offer.party.id)
