"""The route table: what this agent tells the mesh of itself, and the routes that follow from all records.

It tells links what to send and subscribers what the routes are. Nobody asks it anything on the data path, and
it shares a thread with that: so a few records are verified in one turn, and the others wait for later ones.
"""

import logging
from collections.abc import Sequence
from typing import Final, TypeVar, assert_never

from actors.messages import peer_link as link_messages
from actors.messages import route_table as messages
from actors.runtime.actor import Actor
from actors.runtime.alarm import Alarm
from actors.runtime.seam import Dispatcher, Ref
from mesh.alarms import THIS_AGENT, AlarmBook, AlarmKind
from mesh.journal import EventKind
from mesh.link.bodies import WireRecord
from mesh.routing.effects import Effects, RouteCounts, Verdict
from mesh.routing.fair_queue import FairQueue
from mesh.routing.granted_offers import GrantedEndpoint, GrantedListener
from mesh.routing.origination import OwnAgent
from mesh.routing.record_reader import RecordReader
from mesh.routing.records import EndpointEntry, ListenerEntry
from mesh.routing.rivals import RivalWatch
from mesh.routing.router import RouteTableState
from mesh.routing.routes import RouteSnapshot
from mesh.routing.settings import RoutingSettings
from mesh.routing.work_steps import STEP_VERIFIED, wanted_in_steps
from mesh.sampling import alarming, sampled
from mesh.telling import event
from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.identity import AgentId, Identity
from mesh.trust.naming import named
from mesh.trust.noise.primitives import SharedSecrets

log = logging.getLogger("mesh.routing.routes")

MAX_WAITING_BYTES: Final = 1024 * 1024
"""Of memory for what links have said and was not taken yet, about a thousand records. What is beyond that is
taken at once, of whom most waits: a peer that says more than is verified in time makes this agent slow, but
not big."""

MAX_RIVALS_TOLD: Final = 16
"""Keys of this agent that others begin to offer, with a line each at one time."""

MAX_VERDICTS_TOLD: Final = 16
"""Agents that were revoked, with a line each at one time."""

_RIVAL: Final = (
    "endpoint %(key)s: %(agent)s offers the key too, from now on, and may be led clients; "
    "who is believed can be named in agents: of listeners"
)
_RIVALS: Final = "others begin to offer %(count)d more keys that this agent offers"

_MESSAGE_BYTES: Final = 256
"""About what a message, a record or the entry of a digest takes beside its bytes."""

_DIGEST_BYTES: Final = 64
"""What a page's digest takes."""


class RouteTable(Actor[messages.Inbound]):
    """Owns the graph of the mesh.

    Args:
        dispatcher: where it runs.
        identity: this agent's key.
        fixed: what the first record of this run says.
        certificate: what ``fixed.certificate`` holds, admitted.
        trust: who may take part.
        shared: what the session key shares with others'.
        reader: reads and verifies records; a simulation may pass one that remembers.
        settings: of the configuration.
        alarms: counts what members do to others.
        root: has all others judge by what was revoked.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        identity: Identity,
        fixed: OwnAgent,
        certificate: Certificate,
        trust: TrustStore,
        shared: SharedSecrets,
        reader: RecordReader = RecordReader(),  # noqa: B008 - keeps nothing
        settings: RoutingSettings,
        alarms: AlarmBook,
        root: Ref[messages.RevocationsChanged],
    ) -> None:
        super().__init__(dispatcher)
        # A restarted route table speaks with a later epoch, so the mesh believes it at once.
        self._state = RouteTableState(
            identity,
            fixed,
            certificate,
            trust,
            shared=shared,
            unix_now=dispatcher.unix_time(),
            began_at=dispatcher.now(),
            reader=reader,
            settings=settings,
            alarms=alarms,
        )
        self._root = root
        self._links: dict[AgentId, Ref[link_messages.Inbound]] = {}
        self._rivals = RivalWatch()
        self._subscribers: dict[str, Ref[messages.RoutesChanged]] = {}
        self._endpoints: dict[str, EndpointEntry | GrantedEndpoint] = {}
        self._listeners: dict[str, ListenerEntry | GrantedListener] = {}
        self._alarm: Alarm[messages.RouteTimerFired] = Alarm(self.schedule, messages.RouteTimerFired())
        self._waiting: FairQueue[AgentId, tuple[messages.FromLinks, int]] = FairQueue()
        """What links have said, and how many of its records have been taken."""
        self._spent = 0
        """What this turn has verified, or an equal amount of other work."""
        self._advertises = False
        """Whether endpoints or listeners have changed that the table has not been told of."""
        self._goes_on = False
        """Whether it has told itself to."""

    def on_start(self) -> None:
        """Say that this agent is here, as soon as somebody listens."""
        self._apply(self._state.tick(self.now(), self.dispatcher.unix_time()))

    def on_receive(self, message: messages.Inbound) -> RouteSnapshot | RouteCounts | tuple[str, ...] | None:
        """Handle one message."""
        state = self._state
        times = self.now(), self.dispatcher.unix_time()
        match message:
            case (
                messages.RecordsArrived()
                | messages.DigestArrived()
                | messages.PagesArrived()
                | messages.RevocationsArrived()
                | messages.RevocationsWanted()
                | messages.LinkUp()
                | messages.LinkDown()
            ):
                self._wait(message)
                self._take_waiting()
            case messages.PagesWanted(peer_id=peer_id, wanted=wanted):
                for part in wanted_in_steps(wanted):
                    self._wait(messages.PagesWanted(peer_id, part))
                self._take_waiting()
            case messages.GoOn():
                self._goes_on, self._spent = False, 0
                self._take_waiting()
            case messages.LinkMeasured(peer_id=peer_id, rtt_s=rtt_s):
                self._apply(state.link_measured(peer_id, rtt_s, *times))
            case messages.TakeRevocations(lists=lists):
                return tuple(map(self._take_revocations, lists))
            case messages.AdvertiseEndpoint(owner=owner, entry=endpoint):
                _replace(self._endpoints, owner, endpoint)
                self._advertise_soon()
            case messages.AdvertiseListener(owner=owner, entry=listener):
                _replace(self._listeners, owner, listener)
                self._advertise_soon()
            case messages.Advertise():
                self._advertise()
            case messages.ChangeCredentials(credentials=credentials, reply_to=reply_to):
                self._apply(state.change_credentials(credentials, *times))
                self.tell(reply_to, messages.CredentialsChanged(credentials.trust))
            case messages.ChangeSettings(settings=settings, relays=relays):
                self._apply(state.change_settings(settings, relays, *times))
            case messages.SetDraining(draining=draining):
                self._apply(state.set_draining(*times, draining=draining))
            case messages.StopRelaying():
                self._apply(state.stop_relaying(*times))
            case messages.Withdraw(reply_to=reply_to):
                self._apply(state.withdraw(*times))
                self.tell(reply_to, messages.Withdrawn())
            case messages.Subscribe(subscriber=subscriber):
                self._subscribe(subscriber)
            case messages.GetSnapshot():
                return state.snapshot
            case messages.GetCounts():
                return state.counts()
            case messages.GetProblems():
                return state.problems(self.now())
            case messages.GetWarnings():
                return state.warnings(self.now())
            case messages.RouteTimerFired():
                self._alarm.disarm()
                self._apply(state.tick(*times))
            case _:
                assert_never(message)
        return None

    # -- what this agent has --------------------------------------------------------------------------------

    def _advertise_soon(self) -> None:
        """Behind what else waits in the mailbox: many endpoints that start together are told of together."""
        if not self._advertises:
            self._advertises = True
            self.tell(self.ref, messages.Advertise())

    def _advertise(self) -> None:
        self._advertises = False
        times = self.now(), self.dispatcher.unix_time()
        endpoints, listeners = self._endpoints.values(), self._listeners.values()
        granted_endpoints = tuple(each for each in endpoints if isinstance(each, GrantedEndpoint))
        granted_listeners = tuple(each for each in listeners if isinstance(each, GrantedListener))
        # First these: what is to be hidden from some is not told to all for a moment.
        self._apply(self._state.set_granted(granted_endpoints, granted_listeners, *times))
        shown = tuple(each for each in endpoints if isinstance(each, EndpointEntry))
        self._apply(self._state.set_endpoints(shown, *times))
        listening = tuple(each for each in listeners if isinstance(each, ListenerEntry))
        self._apply(self._state.set_listeners(listening, *times))

    # -- what links say --------------------------------------------------------------------------------------

    def _wait(self, message: messages.FromLinks) -> None:
        if isinstance(message, messages.LinkDown):
            # Routes through it are of no use any more. It passes all but what its own peer has said.
            self._waiting.push_first(message.peer_id, (message, 0), _bytes(message))
        else:
            self._waiting.push(message.peer_id, (message, 0), _bytes(message))

    def _take_waiting(self) -> None:
        """Take as much as a turn may last, and what there is no room for; the rest after others' turns."""
        waiting = self._waiting
        while waiting and (self._spent < STEP_VERIFIED or waiting.byte_count > MAX_WAITING_BYTES):
            is_beyond = waiting.byte_count > MAX_WAITING_BYTES
            (message, first), byte_count = waiting.take_of_most() if is_beyond else waiting.take()
            if isinstance(message, messages.RecordsArrived):
                self._take_records(message, first, byte_count)
            else:
                self._take(message)
        if (self._waiting or self._spent) and not self._goes_on:
            self._goes_on = True
            # Not a message to itself, which would be handled in this very turn.
            self.schedule(0.0, messages.GoOn())

    def _take_records(self, message: messages.RecordsArrived, first: int, byte_count: int) -> None:
        """Take some of what a peer has passed on, from the ``first``-th that was not taken before.

        ``byte_count`` is what it holds of memory.
        """
        peer_id, records = message.peer_id, message.records
        limit = STEP_VERIFIED - self._spent
        effects = self._state.take_records(
            peer_id,
            records,
            limit if limit > 0 else STEP_VERIFIED,
            self.now(),
            self.dispatcher.unix_time(),
            first=first,
        )
        self._spent += effects.verified
        rest = len(records) - effects.rest
        if effects.rest:
            self._spent = STEP_VERIFIED
            taken = _bytes_of_records(records[first:rest])
            self._waiting.put_back(peer_id, (message, rest), byte_count - taken)
        self._apply(effects)

    def _take(
        self,
        message: messages.DigestArrived
        | messages.PagesWanted
        | messages.PagesArrived
        | messages.RevocationsArrived
        | messages.RevocationsWanted
        | messages.LinkUp
        | messages.LinkDown,
    ) -> None:
        state = self._state
        times = self.now(), self.dispatcher.unix_time()
        match message:
            case messages.DigestArrived(peer_id=peer_id, digest=digest):
                self._spent = STEP_VERIFIED  # comparing a thousand records takes as long
                self._apply(state.digest_arrived(peer_id, digest, *times))
            case messages.PagesWanted(peer_id=peer_id, wanted=wanted):
                self._spent += sum(len(wants.digests) for wants in wanted)
                self._apply(state.pages_wanted(peer_id, wanted, *times))
            case messages.PagesArrived(peer_id=peer_id, pages=pages):
                self._spent = STEP_VERIFIED  # reading a full frame of them takes some milliseconds
                self._apply(state.pages_arrived(peer_id, pages, *times))
            case messages.RevocationsArrived(peer_id=peer_id, lists=lists):
                self._spent = STEP_VERIFIED  # judging all records by them takes about as long
                self._apply(state.revocations_arrived(peer_id, lists, *times))
            case messages.RevocationsWanted(peer_id=peer_id, wanted=signers):
                self._spent += 1
                self._apply(state.revocations_wanted(peer_id, signers, *times))
            case messages.LinkUp(peer_id=peer_id, instance=instance, link=link, rtt_s=rtt_s):
                self._spent += 1
                self._links[peer_id] = link
                self._apply(state.link_up(peer_id, instance, rtt_s, *times))
            case messages.LinkDown(peer_id=peer_id, link_urn=link_urn):
                self._spent += 1
                link_now = self._links.get(peer_id)
                if link_now is not None and link_now.actor_urn == link_urn:
                    del self._links[peer_id]
                    self._apply(state.link_down(peer_id, *times))
            case _:
                assert_never(message)

    def _take_revocations(self, wire: bytes) -> str:
        effects, refusal = self._state.take_revocations(wire, self.now(), self.dispatcher.unix_time())
        self._apply(effects)
        return refusal

    # -- what follows from it --------------------------------------------------------------------------------

    def _subscribe(self, subscriber: Ref[messages.RoutesChanged]) -> None:
        if self.tell(subscriber, messages.RoutesChanged(self._state.snapshot)):
            self._subscribers[subscriber.actor_urn] = subscriber
            self._state.told_to(len(self._subscribers))

    def _apply(self, effects: Effects) -> None:
        for send in effects.sends:
            command = link_messages.SendControl(send.frame_type, send.body)
            for peer_id in send.peers:
                # A link that has just ended reports that itself.
                self.tell(self._links[peer_id], command)
        for close in effects.closes:
            self.tell(
                self._links[close.peer_id], link_messages.CloseLink(close.reason, link_messages.Blame.OFFENCE)
            )
        if effects.revocations is not None:
            self.tell(self._root, messages.RevocationsChanged(effects.revocations))
        for verdict in effects.verdicts[:MAX_VERDICTS_TOLD]:
            facts = {"agent": verdict.agent, "what": verdict.what}
            log.warning("%(agent)s %(what)s", facts, extra=_told(verdict))
        if (more := len(effects.verdicts) - MAX_VERDICTS_TOLD) > 0:
            line = "%(count)d more agents were revoked, or are so no more: mesh revocations lists them"
            log.warning(line, {"count": more}, extra=_told(effects.verdicts[0]))
        if effects.snapshot is not None:
            self._publish(messages.RoutesChanged(effects.snapshot))
            self._tell_of_rivals(effects.snapshot)
        for notice in effects.notices:
            topic = THIS_AGENT if notice.kind is AlarmKind.OWN else notice.kind.value
            log.warning("%s: %s", topic, notice.line, extra=alarming(notice.kind, notice.member))
        if not effects.rest:  # else what is due may yet come together with what follows
            self._alarm.arm(self._state.deadline(), self.now())

    def _tell_of_rivals(self, snapshot: RouteSnapshot) -> None:
        found = self._rivals.look(snapshot.own_id, snapshot.records, self.now())
        for key, record in found[:MAX_RIVALS_TOLD]:
            facts = {"key": key, "agent": named(record.name, record.agent_id)}
            log.warning(_RIVAL, facts, extra=sampled(key) | event(EventKind.OFFER))
        if len(found) > MAX_RIVALS_TOLD:
            more = {"count": len(found) - MAX_RIVALS_TOLD}
            log.warning(_RIVALS, more, extra=sampled("rivals") | event(EventKind.OFFER))

    def _publish(self, news: messages.RoutesChanged) -> None:
        for urn, subscriber in list(self._subscribers.items()):
            if not self.tell(subscriber, news):
                del self._subscribers[urn]
        self._state.told_to(len(self._subscribers))


def _bytes(message: messages.FromLinks) -> int:
    """About what a message that waits holds of memory."""
    match message:
        case messages.RecordsArrived(records=records):
            return _MESSAGE_BYTES + _bytes_of_records(records)
        case messages.DigestArrived(digest=digest):
            return _MESSAGE_BYTES * (1 + len(digest.entries))
        case messages.PagesWanted(wanted=wanted):
            return _MESSAGE_BYTES + sum(_MESSAGE_BYTES + _DIGEST_BYTES * len(w.digests) for w in wanted)
        case messages.PagesArrived(pages=pages):
            return _MESSAGE_BYTES + sum(_MESSAGE_BYTES + len(page.data) for page in pages)
        case messages.RevocationsArrived(lists=lists):
            return _MESSAGE_BYTES + sum(_MESSAGE_BYTES + len(each) for each in lists)
        case messages.RevocationsWanted(wanted=signers):
            return _MESSAGE_BYTES * (1 + len(signers))
        case messages.LinkUp() | messages.LinkDown():
            return _MESSAGE_BYTES
        case _:
            assert_never(message)


def _bytes_of_records(records: Sequence[WireRecord]) -> int:
    return sum(_MESSAGE_BYTES + len(wire.signed) for wire in records)


_Entry = TypeVar("_Entry")


def _replace(entries: dict[str, _Entry], owner: str, entry: _Entry | None) -> None:
    if entry is None:
        entries.pop(owner, None)
    else:
        entries[owner] = entry


def _told(verdict: Verdict) -> dict[str, str]:
    """How a line about it is marked: an issuer may cause any number of them."""
    return event(EventKind.REVOCATION) | (sampled(verdict.issuer) if verdict.issuer else {})
