"""Where the clients of one key and the exits that offer it come together, for whoever lets the clients in.

It ranks the exits, believes or ignores their offers, remembers who failed, and hands each client to an
ingress connection. Where one client has been served another is to come: a connection is started ahead for it,
and stands by for the candidate whose turn it is. A client for whom another one is to be tried by then, or who
comes together with others, gets a connection that is started for it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, takewhile
from typing import NamedTuple, Protocol, TypeVar

from actors.connections.listener_reports import ListenerReports
from actors.connections.offers import KnownOffers
from actors.listener_meter import MAX_ASIDE_SHOWN, ListenerMeter
from actors.messages import connection as connection_messages
from actors.messages import listener as messages
from actors.meters import Meters
from actors.runtime.seam import Dispatcher, Ref, StreamSocket
from mesh.connection.candidates import CandidatePool
from mesh.connection.loops import LoopWatch, ends_of
from mesh.connection.offer import Offer
from mesh.connection.offer_watch import OfferWatch
from mesh.connection.party import Party
from mesh.connection.reject_codes import IngressVerdict
from mesh.escaping import escaped
from mesh.routing.counterparts import NO_OFFER, NO_WAY, by_way_of, some_of, why_disbelieved, why_unoffered
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId
from mesh.trust.naming import named

N = TypeVar("N")


class DeskOwner(Protocol):
    """The actor that has the desk."""

    @property
    def ref(self) -> Ref[messages.FromIngress]:
        """What connections report to."""
        ...

    @property
    def dispatcher(self) -> Dispatcher:
        """Where it runs."""
        ...

    @property
    def now(self) -> Callable[[], float]:
        """Monotonic seconds."""
        ...

    def tell(self, ref: Ref[N], message: N) -> bool:
        """Send a message; whether the receiver was alive."""
        ...


class _Standby(NamedTuple):
    """An ingress connection that waits for its client."""

    connection: Ref[connection_messages.IngressInbound]
    party: Party
    """The candidate that it has prepared for."""


def _no_offer() -> str:
    """Before the first routes."""
    return NO_OFFER


def _no_way(_: AgentId) -> str:
    """Before the first routes."""
    return NO_WAY


class CandidateDesk:
    """The candidates of one key.

    Args:
        owner: the actor that has it, and tells it what it hears of :data:`messages.FromIngress`.
        key: the routing key.
        reports: what is said of it in the log.
        believed: names, IDs and groups of agents whose offers count; with none, all do.
        by_choice: clients have named these, so that nobody is told of others as of agents not to be believed.
        clients: where they are counted.
        meter: how they fare.
    """

    def __init__(
        self,
        owner: DeskOwner,
        *,
        key: str,
        reports: ListenerReports,
        believed: frozenset[str],
        by_choice: bool = False,
        start_ingress: connection_messages.StartIngress,
        clients: connection_messages.Clients,
        loops: LoopWatch[Ref[connection_messages.IngressInbound]],
        offers: KnownOffers,
        meters: Meters,
        meter: ListenerMeter,
    ) -> None:
        self._owner = owner
        self._draw = owner.dispatcher.uniform
        self._key = key
        self._reports = reports
        self._by_choice = by_choice
        self._start_ingress = start_ingress
        self._clients = clients
        self._loops = loops
        self._known_offers = offers
        self._meters = meters
        self._meter = meter
        self._candidates = CandidatePool()
        self._watch = OfferWatch(believed, owner.now())
        self._way: Callable[[AgentId], str] = _no_way
        """How an exit is reached, for people."""
        self._why_unoffered: Callable[[], str] = _no_offer
        self._offers: tuple[Offer, ...] = ()
        """All that there are of the key, believed or not."""
        self._standby: _Standby | None = None

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Those that are believed."""
        return self._candidates.offers

    def name_of_nearest(self) -> str:
        """Of the exits there are, for people."""
        return self._named(self._candidates.offers[0].party.id)

    def why_none(self) -> str:
        """Why there is no candidate, for people."""
        ignored = [offer.name for offer in self._offers]
        return why_disbelieved(ignored) if ignored else self._why_unoffered()

    # -- who offers the key ----------------------------------------------------------------------------------

    def routes_changed(self, snapshot: RouteSnapshot, *, may_use: bool) -> bool:
        """Take note of who offers the key now; whether that is different."""
        self._way = partial(by_way_of, snapshot)
        self._why_unoffered = partial(why_unoffered, snapshot, self._key)
        known = self._known_offers.of(snapshot, self._key) if may_use else ()
        if known is self._offers:
            return False  # most that changes in a mesh is no business of this key
        self._offers = known
        return True

    def believe(self, believed: frozenset[str]) -> None:
        """Believe these names, IDs and groups from now on; :meth:`take_offers` is to follow."""
        self._watch.believe(believed)

    def take_offers(self) -> bool:
        """Take over what is offered; whether it began or ceased to be any."""
        before = self._candidates.offers
        offers = self._believed(self._offers, before)
        self._candidates.update(offers, self._owner.now())
        self._show_set_aside()  # one that has gone meanwhile may be back as if it had never failed
        if self._standby is not None and all(offer.party != self._standby.party for offer in offers):
            self.discard_standby("its candidate offers the key no more")
        if before and offers and not _is_as_near(before[0], offers):
            self._reports.prefers(_named(offers[0]), _named(before[0]))
        return bool(before) != bool(offers)

    def _believed(self, offers: tuple[Offer, ...], before: Sequence[Offer]) -> tuple[Offer, ...]:
        """Those of ``offers`` that are believed; who is new or is distrusted is told once, by name."""
        judged = self._watch.judge(offers, self._owner.now())
        self._meters.offers_new += len(judged.newcomers)
        for offer in judged.newcomers:
            by = some_of([_named(each) for each in before if each.party.id != offer.party.id])
            self._reports.offered_too(_named(offer), by or "others")
        for offer in () if self._by_choice else judged.disbelieved:
            self._meters.offers_disbelieved += 1
            self._reports.ignores(_named(offer))
        return judged.believed

    # -- what connections say --------------------------------------------------------------------------------

    def hear(self, message: messages.OfCandidates) -> None:
        """Handle what a connection says or asks of candidates."""
        match message:
            case messages.CandidateServed(exit_id=exit_id):
                self._meter.served()
                if self._candidates.served(exit_id):
                    self._show_set_aside()
                    self._reports.serves_again(self._named(exit_id))
            case messages.CandidateFailed(exit_id=exit_id, code=code):
                self._candidate_failed(exit_id, code)
            case messages.ClientGivenUp(why=why, unanswered=unanswered):
                asked = ", ".join(f"{self._named(exit_id)} ({self._way(exit_id)})" for exit_id in unanswered)
                now = self._owner.now()
                self._meter.refused(f"{why}; no answer from {asked}" if asked else why, now)
            case messages.FindCandidates(reply_to=reply_to, tried=tried):
                offers = self._candidates.order(self._owner.now(), self._draw(), tried)
                self._owner.tell(reply_to, messages.CandidatesFound(offers))

    def _named(self, exit_id: AgentId) -> str:
        return named(self._candidates.name_of(exit_id), exit_id)

    def _candidate_failed(self, exit_id: AgentId, code: str) -> None:
        aside_s = self._candidates.failed(exit_id, code, self._owner.now(), self._draw())
        if aside_s is not None:
            self._show_set_aside()
            self._meters.candidates_set_aside += 1
            why = f"no answer, {self._way(exit_id)}" if code == IngressVerdict.SILENT else escaped(code)
            self._reports.sets_aside(self._named(exit_id), why)

    def _show_set_aside(self) -> None:
        self._meter.set_aside(islice(self._candidates.set_aside(), MAX_ASIDE_SHOWN))

    # -- handing over ----------------------------------------------------------------------------------------

    def serve(self, socket: StreamSocket, *, speaks_socks: bool = False) -> None:
        """Hand the client to the connection that stands by, or to a new one.

        Args:
            socket: the client's, which nobody owns.
            speaks_socks: it waits for a reply of SOCKS5.
        """
        standby = self._standby
        prepared = standby.party if standby is not None else None
        candidates = self._candidates.order(self._owner.now(), self._draw(), prepared=prepared)
        if not candidates:
            self._cut_loop(socket, "who offers the key leads back to this agent")
            return
        self._meters.clients_accepted += 1
        command = connection_messages.ServeClient(socket, self._clients, candidates, speaks_socks)
        if standby is not None and candidates[0].party == standby.party:
            self._standby = None
            self._clients.enter(socket, standby.connection)
            if self._owner.tell(standby.connection, command):
                return
        self.discard_standby("another candidate is tried first by now")
        connection = self._start_ingress(None, self._owner.ref)
        self._clients.enter(socket, connection)
        self._owner.tell(connection, command)

    def is_own_exit(self, socket: StreamSocket) -> bool:
        """Whether a client is an exit of this agent; it is reset then."""
        if self._loops.has_exits and self._loops.is_own_exit(ends_of(socket.peer_name, socket.local_name)):
            self._cut_loop(socket, "it is an exit of this agent; the target is this listener")
            return True
        return False

    def _cut_loop(self, socket: StreamSocket, why: str) -> None:
        self._meters.loops_cut += 1
        self._reports.cut(why)
        socket.abort()

    def prepare(self) -> None:
        """Let a connection stand by for the next client, unless one does.

        Not before a first client has been served: a listener that nobody uses costs nothing.
        """
        if self._standby is not None and self._standby.connection.is_alive():
            return
        offer = self._candidates.next(self._owner.now(), self._draw())
        if offer is not None:
            self._standby = _Standby(self._start_ingress(offer, self._owner.ref), offer.party)

    def discard_standby(self, reason: str) -> None:
        """Let no connection stand by; ``reason`` is for its log."""
        standby, self._standby = self._standby, None
        if standby is not None:
            self._owner.tell(standby.connection, connection_messages.CloseConnection(reason))


def _named(offer: Offer) -> str:
    return named(offer.name, offer.party.id)


def _is_as_near(offer: Offer, offers: Sequence[Offer]) -> bool:
    """Whether it is still among those that the fewest links lead to.

    Of these some are preferred by their round trips, which change all the time: that is no news.
    """
    first = offers[0]
    nearest = takewhile(
        lambda each: each.hop_count == first.hop_count and each.is_draining == first.is_draining, offers
    )
    return any(each.party.id == offer.party.id for each in nearest)
