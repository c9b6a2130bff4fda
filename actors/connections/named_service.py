"""A key that clients ask for by name: what a listener is for its port, without a port.

One is started for the first client that asks for a key, or for a key at one agent, and ends when nobody has
asked for a while. Meanwhile it knows which exits have failed, and has a connection stand by.
"""

from typing import Final, assert_never

from actors.connections.candidate_desk import CandidateDesk
from actors.connections.listener_reports import ListenerReports
from actors.connections.offers import KnownOffers
from actors.connections.socks_answers import refuse
from actors.listener_meter import ListenerMeter, NamedMeter
from actors.messages import connection as connection_messages
from actors.messages import listener as listener_messages
from actors.messages import named_service as messages
from actors.messages import route_table as route_table_messages
from actors.messages import socks_listener as socks_messages
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.seam import Dispatcher, Ref, StreamSocket
from mesh.connection.loops import LoopWatch
from mesh.routing.routes import RouteSnapshot
from mesh.socks.names import Wanted
from mesh.socks.numbers import Reply

IDLE_S: Final = 60.0
"""How long it stays after the last client that asked."""


class NamedService(Actor[messages.Inbound]):
    """Serves the clients that ask for one key."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        wanted: Wanted,
        by: str,
        snapshot: RouteSnapshot,
        asked_by: Ref[socks_messages.Inbound],
        route_table: Ref[route_table_messages.Inbound],
        start_ingress: connection_messages.StartIngress,
        clients: connection_messages.Clients,
        loops: LoopWatch[Ref[connection_messages.IngressInbound]],
        offers: KnownOffers,
        meters: Meters,
    ) -> None:
        super().__init__(dispatcher)
        self._wanted = wanted
        self._asked_by = asked_by
        self._route_table = route_table
        self._last_asked = self.now()
        self._is_finishing = False
        """Whether no connection is to stand by any more."""
        self._meters = meters
        self._meter = ListenerMeter(self.now())
        self._is_measured = meters.has_room_for_named
        if self._is_measured:
            meters.named[self.actor_urn] = NamedMeter(wanted.key, self._meter)
            meters.listened.begin(wanted.key)
        self._desk = CandidateDesk(
            self,
            key=wanted.key,
            reports=ListenerReports(wanted.key, by),
            believed=frozenset({wanted.agent} if wanted.agent else ()),
            by_choice=True,
            start_ingress=start_ingress,
            clients=clients,
            loops=loops,
            offers=offers,
            meters=meters,
            meter=self._meter,
        )
        self._take(snapshot)

    def on_start(self) -> None:
        """Ask to be told of routes."""
        self.tell(self._route_table, route_table_messages.Subscribe(self.ref))
        self.schedule(IDLE_S, messages.LookIdle())

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.ServeByName(socket=socket, clients=clients):
                clients.leave(socket)  # it is counted in now, if it is served at all
                self._serve(socket)
            case listener_messages.CandidateServed():
                self._desk.hear(message)
                if not self._is_finishing:
                    self._desk.prepare()
            case (
                listener_messages.CandidateFailed()
                | listener_messages.ClientGivenUp()
                | listener_messages.FindCandidates()
            ):
                self._desk.hear(message)
            case route_table_messages.RoutesChanged(snapshot=snapshot):
                self._take(snapshot)
            case messages.LookIdle():
                self._look_idle()
            case messages.Finish():
                self._is_finishing = True
                self._desk.discard_standby("the listener has closed its port")
            case messages.Retire():
                self.stop_now()
            case listener_messages.PlaceFree():
                pass  # nobody waits for a place here
            case _:
                assert_never(message)

    def release(self) -> None:
        """Let no connection stand by for its clients, and nobody see how they fared."""
        self._desk.discard_standby("nobody has asked for it for a while")
        if self._is_measured:
            del self._meters.named[self.actor_urn]
            self._meters.listened.end(self._wanted.key)

    def _serve(self, socket: StreamSocket) -> None:
        self._last_asked = self.now()
        if not self._desk.offers:
            refuse(socket, Reply.HOST_UNREACHABLE, self.dispatcher.read_buffer)
        elif not self._desk.is_own_exit(socket):
            self._desk.serve(socket, speaks_socks=True)

    def _take(self, snapshot: RouteSnapshot) -> None:
        if self._desk.routes_changed(snapshot, may_use=True):
            self._desk.take_offers()
            self._meter.turned(self.now(), is_open=bool(self._desk.offers))

    def _look_idle(self) -> None:
        left_s = self._last_asked + IDLE_S - self.now()
        if left_s > 0:
            self.schedule(left_s, messages.LookIdle())
            return
        if not self.tell(self._asked_by, socks_messages.ServiceIdle(self._wanted, self.ref)):
            self.stop_now()
            return
        self.schedule(IDLE_S, messages.LookIdle())  # it may have a client under way to here

    def __str__(self) -> str:
        """Name what it serves, for logs and dumps."""
        return f"NamedService({self._wanted})"
