"""The route table: flooding, origination and route computation as one pure state.

Every method takes the time and returns what to do. The caller keeps one timer, for
:meth:`RouteTableState.deadline`.

Flooding: a record that is news goes to every peer but the one it came from (``flooding.py``). Two new
peers tell each other what they hold (a digest) and send what the other lacks; links lose nothing, so that is
all it takes. An older record is answered with the newer one.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from mesh.link.bodies import (
    Digest,
    WantedPages,
    WirePage,
    WireRecord,
    batch_digest,
    batch_pages,
    batch_records,
    encode_digest,
    encode_pages,
    encode_records,
    encode_want_pages,
)
from mesh.link.frames import FrameType
from mesh.routing import database as link_state
from mesh.routing.database import LinkState, RecordCounts, Refusal, Refused
from mesh.routing.effects import Close, Effects, RouteCounts, Send
from mesh.routing.flooding import FloodQueue
from mesh.routing.notices import Notices
from mesh.routing.origination import DEFAULT_ADVERTISE_INTERVAL_S, Originator, OwnAgent
from mesh.routing.page_table import PageTable, Taken, Untrue
from mesh.routing.records import (
    EndpointEntry,
    ListenerEntry,
    Record,
    RecordReader,
    decode_body,
    trusted_record,
)
from mesh.routing.routes import DEFAULT_MAX_HOPS, RouteSnapshot, Steps, compute_routes, computing_routes
from mesh.token_bucket import TokenBucket
from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.identity import AgentId, Identity, Instance, short_id

MIN_COMPUTE_INTERVAL_S: Final = 0.001
"""Changes within this time are computed together; the first one at once."""

COMPUTE_INTERVAL_PER_RECORD_S: Final = 0.0001
"""Computing takes about 10 us for each agent, so a mesh that flaps costs a tenth of a core."""

COMPUTE_INTERVAL_PER_KEY_S: Final = 0.000005
"""Ranking who offers a key takes about 1 us."""

CERTIFICATE_POLL_S: Final = 60.0
"""Certificates end by the wall clock, which may be set; so look at least this often."""

ANSWER_RATE: Final = 10.0
ANSWER_BURST: Final = 100.0
"""Older records of one peer that are answered with newer ones: a second, and at once. One of a hundred
bytes, which nobody need have signed, may ask for 60,000. What is not answered now is when it comes again,
and digests tell two new peers of everything."""

STEP_VERIFIED: Final = 8
"""Records verified in one step: 130 us each, so that data waits for a millisecond of it and not for ten."""

STEP_RECORDS: Final = 64
"""Records looked at in one step: 20 us at the most for each that need not be verified."""


class RoutingSettings(msgspec.Struct, frozen=True):
    """What the configuration says of routes."""

    advertise_interval_s: float = DEFAULT_ADVERTISE_INTERVAL_S
    ttl_s: float = link_state.DEFAULT_TTL_S
    max_hops: int = DEFAULT_MAX_HOPS
    max_records: int = link_state.MAX_RECORDS


class RouteTableState:
    """All that one agent knows of the mesh, and what it tells its peers.

    Times: ``now`` is monotonic seconds, ``unix_now`` is Unix seconds.

    Args:
        identity: the agent's key.
        fixed: what every record of this run says.
        certificate: what ``fixed.certificate`` holds, admitted.
        trust: who may take part.
        unix_now: at the start.
        began_at: ``now`` at the start.
        reader: reads and verifies records; a simulation may pass one that remembers.
        settings: of the configuration.
    """

    def __init__(
        self,
        identity: Identity,
        fixed: OwnAgent,
        certificate: Certificate,
        trust: TrustStore,
        *,
        unix_now: float,
        began_at: float = -math.inf,
        reader: RecordReader = RecordReader(),  # noqa: B008 - keeps nothing
        settings: RoutingSettings = RoutingSettings(),  # noqa: B008 - frozen
    ) -> None:
        self._own_id = identity.id
        self._certificate = certificate
        self._max_hops = settings.max_hops
        self._link_state = LinkState(
            identity.id, trust, reader, ttl_s=settings.ttl_s, max_records=settings.max_records
        )
        self._originator = Originator(
            identity,
            fixed,
            epoch=max(0, int(unix_now * 1000)),
            advertise_interval_s=settings.advertise_interval_s,
            began_at=began_at,
        )
        self._peers: dict[AgentId, TokenBucket] = {}
        """Linked peers, and how many more of their older records are answered now."""
        self._unheard: dict[AgentId, tuple[Instance, float]] = {}
        """Linked peers that were restarted and whose present record has not come: instance, round trip."""
        self._flood = FloodQueue()
        self._pages = PageTable()
        self._notices = Notices()
        self._held: dict[tuple[AgentId, AgentId], tuple[WireRecord, float]] = {}
        """By peer and agent: a record that came too early, and when."""
        self._release_at = math.inf
        self._answers: dict[AgentId, dict[AgentId, WireRecord]] = {}
        """By peer: newer records for what it is just saying, by agent."""
        self._released: deque[tuple[AgentId, WireRecord, float]] = deque()
        """Those whose time is over and that wait for their step: peer, record, when it came."""
        self._originated = 0
        self._computed = 0
        self._computed_at = -math.inf
        self._must_compute = True
        self._computing: Steps[RouteSnapshot] | None = None
        """A computation under way; what changes meanwhile makes another one."""
        self._valid_until_unix = math.inf
        self._check_certificates_at = math.inf
        self._snapshot = compute_routes(
            identity.id, {identity.id: self._own_record()}, max_hops=settings.max_hops, version=0
        )

    @property
    def snapshot(self) -> RouteSnapshot:
        """The routes as last computed."""
        return self._snapshot

    def counts(self) -> RouteCounts:
        """Figures as of now."""
        counts: RecordCounts = self._link_state.counts
        return RouteCounts(
            agents=len(self._link_state),
            links=len(self._peers),
            records_originated_total=self._originated,
            records_stored_total=counts.stored,
            records_duplicate_total=counts.duplicate,
            records_older_total=counts.older,
            records_aged_total=counts.aged,
            records_early_total=counts.early,
            records_refused_offence_total=counts.refused_offence,
            records_refused_certificate_total=counts.refused_certificate,
            records_refused_full_total=counts.refused_full,
            records_expired_total=counts.expired,
            pages_missing=self._pages.missing,
            pages_taken_total=self._pages.taken,
            pages_unnamed_total=self._pages.unnamed,
            routes_computed_total=self._computed,
        )

    def problems(self) -> tuple[str, ...]:
        """What this agent cannot tell the mesh of, for people."""
        return tuple(map(str, self._originator.layout.omissions))

    # -- links -----------------------------------------------------------------------------------------------

    def link_up(
        self, peer_id: AgentId, instance: Instance, rtt_s: float, now: float, unix_now: float
    ) -> Effects:
        """A link to ``instance`` of ``peer_id`` is up, the first or in place of another.

        While the record of an earlier instance is held, the mesh is not told of the link: it would lead to
        what that instance offered.
        """
        self._peers.setdefault(peer_id, TokenBucket(ANSWER_RATE, ANSWER_BURST))
        self._flood.peer_up(peer_id)
        self._pages.peer_up(peer_id)
        self._originator.somebody_listens()
        if self._link_state.instance_of(peer_id) in (None, instance):
            self._unheard.pop(peer_id, None)
            self._must_compute |= self._originator.link_up(peer_id, rtt_s, now)
        else:
            self._unheard[peer_id] = instance, rtt_s
            self._must_compute |= self._originator.link_down(peer_id)
        effects = self._settle(Effects(), now, unix_now)
        for digest in batch_digest(self._link_state.digest()):
            effects.sends.append(Send((peer_id,), FrameType.DIGEST, encode_digest(digest)))
        return effects

    def link_down(self, peer_id: AgentId, now: float, unix_now: float) -> Effects:
        """The link to ``peer_id`` is gone."""
        self._drop(peer_id)
        return self._settle(Effects(), now, unix_now)

    def link_measured(self, peer_id: AgentId, rtt_s: float, now: float, unix_now: float) -> Effects:
        """A round trip to ``peer_id`` took ``rtt_s`` seconds."""
        if peer_id in self._unheard:
            self._unheard[peer_id] = self._unheard[peer_id][0], rtt_s
        else:
            self._must_compute |= self._originator.link_measured(peer_id, rtt_s, now)
        return self._settle(Effects(), now, unix_now)

    def _drop(self, peer_id: AgentId) -> None:
        self._peers.pop(peer_id, None)
        self._unheard.pop(peer_id, None)
        self._flood.peer_down(peer_id)
        self._pages.peer_down(peer_id)
        self._must_compute |= self._originator.link_down(peer_id)

    # -- what peers say --------------------------------------------------------------------------------------

    def digest_arrived(self, peer_id: AgentId, digest: Digest, now: float, unix_now: float) -> Effects:
        """``peer_id`` says what it holds."""
        effects = Effects()
        if peer_id in self._peers:
            self._send(effects, (peer_id,), self._link_state.newer_than(digest, now))
        return self._settle(effects, now, unix_now)

    def pages_wanted(
        self, peer_id: AgentId, wanted: Sequence[WantedPages], now: float, unix_now: float
    ) -> Effects:
        """``peer_id`` asks for pages."""
        effects = Effects()
        self._send_pages(effects, (peer_id,), self._pages.give(peer_id, wanted, now))
        return self._settle(effects, now, unix_now)

    def pages_arrived(
        self, peer_id: AgentId, pages: Sequence[WirePage], now: float, unix_now: float
    ) -> Effects:
        """``peer_id`` passes on pages."""
        effects = Effects()
        for wire in pages if peer_id in self._peers else ():
            match self._pages.take(wire, now):
                case Taken(record=record, page=page, wished_by=wished_by):
                    self._must_compute = True
                    self._notices.say_denied(effects.notices, record, page.denied_keys)
                    self._send_pages(effects, wished_by, [wire])
                case Untrue(record=record, why=why):
                    who = f"{record.name!r} ({short_id(record.agent_id)})"
                    self._notices.say(effects.notices, f"page of {who} ignored: {why}")
                case None:
                    pass
        return self._settle(effects, now, unix_now)

    def take_records(
        self,
        peer_id: AgentId,
        records: Sequence[WireRecord],
        limit: int,
        now: float,
        unix_now: float,
        *,
        first: int = 0,
    ) -> Effects:
        """Take some of what ``peer_id`` passes on; with the last step, which leaves no rest, news goes on.

        Records of a peer whose link is closed are not looked at.

        Args:
            peer_id: who passes them on.
            records: what it has said.
            limit: how many may be verified, ``STEP_VERIFIED`` at the most for a step that is short.
            now: monotonic seconds.
            unix_now: Unix seconds.
            first: index of the first record that no step before has taken.
        """
        effects = Effects()
        self._take(effects, peer_id, records, now, unix_now, limit=limit, first=first)
        return effects if effects.rest else self._settle(effects, now, unix_now)

    def _take(
        self,
        effects: Effects,
        peer_id: AgentId,
        records: Sequence[WireRecord],
        now: float,
        unix_now: float,
        *,
        limit: int,
        first: int = 0,
    ) -> None:
        answers = self._answers.setdefault(peer_id, {})
        effects.rest = 0
        for number in range(first, len(records)):
            if peer_id not in self._peers:
                break
            if effects.verified >= limit or number >= first + STEP_RECORDS:
                effects.rest = len(records) - number
                break
            wire = records[number]
            outcome = self._link_state.offer(wire, now, unix_now)
            match outcome:
                case link_state.Stored(record=record, changed=changed):
                    effects.verified += 1
                    self._flood.spread(record.agent_id, peer_id)
                    self._flood.told(peer_id, record.agent_id)
                    self._must_compute |= changed
                    self._heard(record, now)
                    if record.agent_id in self._link_state:
                        self._pages.name(record, peer_id)
                    self._notices.say_denied(effects.notices, record, record.denied_keys)
                case link_state.Stale(same_as=same_as):
                    if same_as is not None:
                        self._flood.told(peer_id, same_as)
                case link_state.Early(agent_id=agent_id):
                    self._hold(peer_id, agent_id, wire, now)
                case link_state.Newer(agent_id=agent_id, ours=ours):
                    if agent_id in answers or self._peers[peer_id].take(now):
                        answers[agent_id] = ours
                case link_state.OwnIsNewer(freshness=freshness):
                    effects.verified += 1
                    if self._originator.overtaken_by(freshness, now):
                        self._notices.say(
                            effects.alarms,
                            "another running agent has this agent's identity key: "
                            f"its instance is {freshness[2].hex()}",
                        )
                case Refused():
                    effects.verified += 1
                    self._refused(effects, peer_id, outcome)
                case _:
                    assert_never(outcome)
        if not effects.rest:
            del self._answers[peer_id]
            self._send(effects, (peer_id,), list(answers.values()))

    def _heard(self, record: Record, now: float) -> None:
        """Tell of the link to a restarted peer once its present record is here."""
        instance, rtt_s = self._unheard.get(record.agent_id, (None, 0.0))
        if record.instance == instance:
            del self._unheard[record.agent_id]
            self._must_compute |= self._originator.link_up(record.agent_id, rtt_s, now)

    def _hold(self, peer_id: AgentId, agent_id: AgentId, wire: WireRecord, now: float) -> None:
        """Keep of what comes too early the last for each agent, from each peer."""
        if not self._held:
            self._release_at = now + link_state.ARRIVAL_HOLD_S
        self._held[peer_id, agent_id] = (wire, now)

    def _release(self, effects: Effects, now: float, unix_now: float) -> None:
        """Look at some of those that were held for long enough."""
        if now >= self._release_at:
            self._released.extend((peer_id, *held) for (peer_id, _), held in self._held.items())
            self._held, self._release_at = {}, math.inf
        while self._released and effects.verified < STEP_VERIFIED:
            peer_id, wire, since = self._released.popleft()
            aged = msgspec.structs.replace(wire, age_ms=wire.age_ms + round((now - since) * 1000))
            self._take(effects, peer_id, (aged,), now, unix_now, limit=STEP_VERIFIED)

    def _refused(self, effects: Effects, peer_id: AgentId, refused: Refused) -> None:
        offence = refused.refusal is Refusal.OFFENCE
        # A peer knows whether its own certificate is good; another agent's it may see otherwise than we do.
        if offence or (refused.refusal is Refusal.CERTIFICATE and refused.agent_id == peer_id):
            effects.closes.append(Close(peer_id, str(refused.reason)))
            self._drop(peer_id)
            return
        self._notices.say(effects.notices, f"record refused: {refused.reason}")

    # -- what this agent says --------------------------------------------------------------------------------

    def set_endpoints(self, endpoints: tuple[EndpointEntry, ...], now: float, unix_now: float) -> Effects:
        """These are the endpoints from now on."""
        self._must_compute |= self._originator.set_endpoints(endpoints)
        return self._settle(Effects(), now, unix_now)

    def set_listeners(self, listeners: tuple[ListenerEntry, ...], now: float, unix_now: float) -> Effects:
        """These are the listeners from now on."""
        self._must_compute |= self._originator.set_listeners(listeners)
        return self._settle(Effects(), now, unix_now)

    def start_draining(self, now: float, unix_now: float) -> Effects:
        """Not through this agent any more."""
        self._must_compute |= self._originator.start_draining()
        return self._settle(Effects(), now, unix_now)

    def withdraw(self, now: float, unix_now: float) -> Effects:
        """This agent leaves: its last record says so."""
        self._must_compute |= self._originator.withdraw()
        return self._settle(Effects(), now, unix_now)

    # -- time ------------------------------------------------------------------------------------------------

    def deadline(self) -> float:
        """When to call :meth:`tick`; infinite where nothing is to come."""
        compute_at = self._compute_due_at() if self._must_compute else math.inf
        if self._computing is not None or self._released:
            compute_at = -math.inf
        return min(
            self._originator.deadline(),
            self._link_state.deadline(),
            compute_at,
            self._check_certificates_at,
            self._release_at,
            self._flood.deadline(),
            self._pages.deadline(),
        )

    def tick(self, now: float, unix_now: float) -> Effects:
        """Do what has become due; nothing where nothing has."""
        effects = Effects()
        for expired in self._link_state.expire(now):
            self._pages.forget(expired.agent_id)
            self._must_compute = True
        self._release(effects, now, unix_now)
        if now >= self._check_certificates_at:
            self._must_compute |= unix_now >= self._valid_until_unix
            self._plan_certificate_check(now, unix_now)
        return self._settle(effects, now, unix_now)

    def _plan_certificate_check(self, now: float, unix_now: float) -> None:
        self._check_certificates_at = now + min(
            max(self._valid_until_unix - unix_now, 0.0), CERTIFICATE_POLL_S
        )

    def _compute_due_at(self) -> float:
        interval_s = COMPUTE_INTERVAL_PER_RECORD_S * len(self._link_state)
        interval_s += COMPUTE_INTERVAL_PER_KEY_S * len(self._snapshot.candidates)
        return self._computed_at + max(MIN_COMPUTE_INTERVAL_S, interval_s)

    def _settle(self, effects: Effects, now: float, unix_now: float) -> Effects:
        """Issue an own record and compute routes, where either is due."""
        wire = self._originator.issue(now)
        if wire is not None:
            self._originated += 1
            record = trusted_record(decode_body(wire.signed), self._certificate)
            self._link_state.put_own(record, wire, now)
            whole = self._pages.put_own(record, self._originator.layout.pages)
            self._flood.spread(self._own_id)
            if self._originator.is_leaving:
                self._flood.hurry()
            self._notices.say_denied(effects.notices, whole, whole.denied_keys)
            for problem in self.problems():
                self._notices.say(effects.alarms, problem)
        for peers, agent_ids in self._flood.take(now):
            # What was forgotten while it waited for its turn is told to nobody.
            wires = (self._link_state.wire(agent_id, now) for agent_id in agent_ids)
            self._send(effects, peers, [wire for wire in wires if wire is not None])
        for peer_id, wanted in self._pages.ask(now):
            effects.sends.append(Send((peer_id,), FrameType.WANT_PAGES, encode_want_pages(wanted)))
        if self._computing is None and self._must_compute and now >= self._compute_due_at():
            self._computing = self._begin_computing(now, unix_now)
        if self._computing is not None:
            try:
                next(self._computing)
            except StopIteration as stop:
                self._computing = None
                effects.snapshot = self._snapshot = stop.value
        return effects

    def _begin_computing(self, now: float, unix_now: float) -> Steps[RouteSnapshot]:
        records, self._valid_until_unix = self._link_state.usable(unix_now)
        # What has changed here counts at once, even while its record waits for its turn.
        records[self._own_id] = self._own_record()
        self._pages.complete(records)
        self._computed += 1
        self._computed_at = now
        self._must_compute = False
        self._plan_certificate_check(now, unix_now)
        return computing_routes(self._own_id, records, max_hops=self._max_hops, version=self._computed)

    def _own_record(self) -> Record:
        record = trusted_record(self._originator.fitted_body, self._certificate)
        return self._pages.put_own(record, self._originator.layout.pages)

    # -- helpers ---------------------------------------------------------------------------------------------

    @staticmethod
    def _send(effects: Effects, peers: tuple[AgentId, ...], records: list[WireRecord]) -> None:
        if peers and records:
            for batch in batch_records(records):
                effects.sends.append(Send(peers, FrameType.RECORDS, encode_records(batch)))

    @staticmethod
    def _send_pages(effects: Effects, peers: tuple[AgentId, ...], pages: list[WirePage]) -> None:
        for batch in batch_pages(pages) if peers else ():
            effects.sends.append(Send(peers, FrameType.PAGES, encode_pages(batch)))
