"""The newest record of every agent: what is taken in, what is passed on, what has become too old.

Two copies of a record are compared by (epoch, sequence, instance) before anything costly is done, as RFC
2328, section 13, does with advertisements. What has expired or left is kept for a day, so that nobody can
bring it back: an older record is answered with the newer one, which also tells an agent whose clock was set
back how far to jump.

The age of a record is not signed. A forwarder that lowers it prolongs the record's life here by what has
passed before it first came here, and no more; one that raises it is corrected by the next honest copy.
"""

import math
from itertools import chain
from typing import Final

from mesh.errors import ForgedCertificateError, RemoteProtocolError, TrustError
from mesh.link.bodies import Digest, DigestEntry, WireRecord
from mesh.routing.allowance import new_allowance
from mesh.routing.epochs import within_a_day
from mesh.routing.record_outcomes import (
    Early,
    Newer,
    Outcome,
    OwnIsNewer,
    RecordCounts,
    Refusal,
    Refused,
    Stale,
    Stored,
    Twin,
)
from mesh.routing.record_reader import RecordReader
from mesh.routing.record_store import MAX_BYTES, MAX_RECORDS, Entry, RecordStore
from mesh.routing.records import Record, RecordBody
from mesh.routing.runs import Runs
from mesh.token_bucket import TokenBucket
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import RECORD_CONTEXT, AgentId, Instance, agent_id_of, short_id
from mesh.trust.naming import named
from mesh.trust.policy import is_valid

REMEMBER_S: Final = 86_400.0
"""How long a record that has expired is remembered: a laptop that was closed overnight finds itself again."""

MAX_AGE_MS: Final = 2**32
"""Seven weeks: nothing older is told apart."""

HOP_MS: Final = 1
"""Every forwarder adds at least this, as InfTransDelay of RFC 2328: a record cannot circle for ever."""

ARRIVAL_RATE: Final = 2.0
ARRIVAL_BURST: Final = 20.0
"""Records of one agent a second, and at once, that are verified, kept and passed on. An agent that keeps to
the pace of origination says one a second at the most; one that does not cannot make the mesh work for it.
After MinLSArrival: RFC 2328 section 13, step 5a."""

EXPIRY_PACE_S: Final = 0.1
"""Between two passes over all records for what has expired: each may expire at a time of its own."""

ANSWER_AFTER_S: Final = 1.0
"""What came here less than this ago has been flooded to every peer just now: an older one that crosses it
needs no answer. RFC 2328, section 13, step 8."""


class LinkState:
    """All records; every time passed in is monotonic seconds, ``unix_now`` is Unix seconds.

    Args:
        own_id: the agent that holds them.
        trust: who may take part.
        reader: reads and verifies records.
        ttl_s: the age at which a record expires.
        max_records: agents known, at most.
        max_bytes: memory held, at most.
    """

    def __init__(
        self,
        own_id: AgentId,
        trust: TrustStore,
        reader: RecordReader,
        *,
        ttl_s: float,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.own_id = own_id
        """The agent that holds them."""
        self._trust = trust
        self._reader = reader
        self._ttl_s = ttl_s
        self._store = RecordStore(max_records=max_records, max_bytes=max_bytes)
        self._next_expiry = math.inf
        self.counts = RecordCounts()

    def __len__(self) -> int:
        """Agents whose record has not expired."""
        return len(self._store.live)

    def __contains__(self, agent_id: object) -> bool:
        """Whether this agent's record has not expired."""
        return agent_id in self._store.live

    def judge_by(self, trust: TrustStore) -> list[AgentId]:
        """Whoever ``trust`` refuses is unknown from now on, and nothing of it is kept; who that is."""
        self._trust = trust
        refused = [
            agent_id
            for agent_id, entry in chain(self._store.live.items(), self._store.past.items())
            if agent_id != self.own_id and trust.refusal(entry.record.certificate)
        ]
        for agent_id in refused:
            self._store.drop(agent_id)
        return refused

    def live_for(self, ttl_s: float) -> None:
        """Records expire at this age from now on; to be seen at the next :meth:`expire`."""
        if ttl_s != self._ttl_s:
            self._ttl_s, self._next_expiry = ttl_s, -math.inf

    # -- records in ------------------------------------------------------------------------------------------

    def put_own(self, record: Record, wire: WireRecord, now: float) -> None:
        """Take the own record as just signed; nothing is verified, and it never expires here."""
        self._put(Entry(record, wire, now, now, _new_arrivals(), new_allowance(), Runs.first(record.body)))

    def offer(self, wire: WireRecord, now: float, unix_now: float) -> Outcome:
        """Judge a record that a peer passed on, and keep it where it is news."""
        same = self._store.with_bytes(wire.signed)
        if same is not None:
            return self._offer_again(same, wire, self._born(wire, now), now)
        try:
            body = self._reader.read(wire.signed)
        except RemoteProtocolError as error:
            return self._refuse(Refusal.OFFENCE, error, None)
        agent_id = agent_id_of(body.public_key)
        known = self._store.get(agent_id)
        if known is not None and body.freshness < known.freshness:
            self.counts.older += 1
            if agent_id in self._store.live and now < known.seen_s + ANSWER_AFTER_S:
                return Stale()
            return Newer(agent_id)
        born_s = self._born(wire, now)
        if agent_id == self.own_id:
            return self._offer_own(wire, body, unix_now)
        if known is not None and body.freshness == known.freshness:
            return self._offer_again(known, wire, born_s, now)
        if not within_a_day(body.epoch, unix_now):
            return self._refuse(Refusal.CLOCK, _too_early(agent_id), agent_id)
        # Only who holds an older one needs to hear of what has expired: RFC 2328, section 13, step 4.
        if born_s + self._ttl_s + (0.0 if known is None else REMEMBER_S) <= now:
            self.counts.aged += 1
            return Stale()
        live = self._store.live.get(agent_id)
        if live is not None and live.runs.refuses(live.record.body, body):
            return self._offer_twin(live, wire, body, now, unix_now)
        byte_count = len(wire.signed)
        if known is not None and not (known.arrivals.has(now) and known.allowance.has(now, byte_count)):
            self.counts.early += 1
            return Early(agent_id)
        if not self._store.has_room(agent_id, wire, body):
            full = RemoteProtocolError(f"no room for the record of {short_id(agent_id)}")
            return self._refuse(Refusal.FULL, full, agent_id)
        verified = self._verify(wire, body, unix_now)
        if isinstance(verified, Refused):
            return verified
        record, kept = verified
        arrivals = _new_arrivals() if known is None else known.arrivals
        arrivals.take(now)
        allowance = new_allowance() if known is None else known.allowance
        allowance.spend(now, byte_count)
        runs = Runs.first(body) if live is None else live.runs.followed_by(live.record.body, body)
        entry = Entry(record, kept, born_s, now, arrivals, allowance, runs)
        self._store.make_room(entry)
        refreshed = live is not None and live.record.says_the_same_as(record)
        self._put(entry)
        self.counts.stored += 1
        if born_s + self._ttl_s <= now:
            self._store.bury(agent_id)
            refreshed = False
        other = live.record.instance if live is not None and runs.is_held and runs is not live.runs else None
        return Stored(record, changed=not refreshed, came_back_after=other)

    def _verify(
        self, wire: WireRecord, body: RecordBody, unix_now: float
    ) -> tuple[Record, WireRecord] | Refused:
        agent_id = agent_id_of(body.public_key)
        try:
            return self._reader.verify(wire, body, self._trust, unix_now)
        except ForgedCertificateError as error:
            return self._refuse(Refusal.OFFENCE, error, agent_id)
        except TrustError as error:
            return self._refuse(Refusal.CERTIFICATE, error, agent_id)
        except RemoteProtocolError as error:
            return self._refuse(Refusal.OFFENCE, error, agent_id)

    def _offer_twin(
        self, live: Entry, wire: WireRecord, body: RecordBody, now: float, unix_now: float
    ) -> Outcome:
        """A record of another run than the one that is held on to: it is told of, and changes nothing."""
        self.counts.twin += 1
        rate = live.runs.farewells if body.withdrawn else live.runs.rate
        if not rate.has(now):
            return Stale()
        verified = self._verify(wire, body, unix_now)
        if isinstance(verified, Refused):
            return verified
        rate.take(now)
        live.runs = live.runs.held()
        record, kept = verified
        age_ms = min(wire.age_ms + HOP_MS, MAX_AGE_MS)
        return Twin(record, live.record.instance, WireRecord(kept.signed, kept.signature, age_ms))

    @staticmethod
    def _born(wire: WireRecord, now: float) -> float:
        return now - min(wire.age_ms, MAX_AGE_MS) / 1000

    def _offer_own(self, wire: WireRecord, body: RecordBody, unix_now: float) -> Outcome:
        try:
            # The certificate in it may have expired; the key has not.
            self._reader.check(body.public_key, RECORD_CONTEXT, wire.signed, wire.signature)
        except RemoteProtocolError as error:
            return self._refuse(Refusal.OFFENCE, error, self.own_id)
        if not within_a_day(body.epoch, unix_now):
            # Nobody with a right clock believes it, and a record that is newer still would not be believed.
            return self._refuse(Refusal.CLOCK, _too_early(self.own_id), self.own_id)
        return OwnIsNewer(body.freshness, body.withdrawn)

    def _offer_again(self, known: Entry, wire: WireRecord, born_s: float, now: float) -> Outcome:
        """Believe the lower of two ages, but not that a record is younger than the time it is known here."""
        self.counts.duplicate += 1
        if wire.signed != known.wire.signed:
            return Stale()
        known.born_s = max(known.born_s, min(born_s, known.seen_s))
        agent_id = known.record.agent_id
        if agent_id in self._store.live:
            # A peer that takes it for too old has yet to hear of its age.
            return Stale(agent_id if born_s + self._ttl_s > now else None)
        if known.born_s + self._ttl_s <= now:
            return Stale(agent_id)
        self._put(known)
        return Stored(known.record, changed=True)

    def _refuse(self, refusal: Refusal, reason: RemoteProtocolError, agent_id: AgentId | None) -> Refused:
        match refusal:
            case Refusal.OFFENCE:
                self.counts.refused_offence += 1
            case Refusal.CERTIFICATE:
                self.counts.refused_certificate += 1
            case Refusal.CLOCK:
                self.counts.refused_clock += 1
            case Refusal.FULL:
                self.counts.refused_full += 1
        return Refused(refusal, reason, agent_id)

    def instance_of(self, agent_id: AgentId) -> Instance | None:
        """Which run of an agent its record tells of; ``None`` where there is none that has not expired."""
        entry = self._store.live.get(agent_id)
        return None if entry is None else entry.record.instance

    def allowance(self, agent_id: AgentId) -> TokenBucket:
        """How many more bytes of an agent's records and pages are taken now."""
        entry = self._store.get(agent_id)
        return new_allowance() if entry is None else entry.allowance

    def named(self, agent_id: AgentId) -> str:
        """An agent as logs name it, by its record where there is one."""
        entry = self._store.get(agent_id)
        return named("" if entry is None else entry.record.name, agent_id)

    # -- records out -----------------------------------------------------------------------------------------

    def wire(self, agent_id: AgentId, now: float) -> WireRecord | None:
        """The newest record of ``agent_id``, expired or not, with its age as of ``now``, if any is held."""
        entry = self._store.get(agent_id)
        return None if entry is None else _aged(entry, now)

    def digest(self) -> list[DigestEntry]:
        """What is held, for a peer to compare with."""
        return [DigestEntry(agent_id, *entry.freshness) for agent_id, entry in self._store.live.items()]

    def newer_than(self, digest: Digest) -> list[AgentId]:
        """Agents whose record the sender of ``digest`` lacks, or holds an older one of, in their order.

        Takes time for what ``digest`` names and what it asks for, and not for all that is held.
        """
        lacking = dict.fromkeys(self._store.live_between(digest.first, digest.last))
        for entry in digest.entries:
            lacking.pop(entry.agent_id, None)
        for entry in digest.entries:
            known = self._store.past.get(entry.agent_id)
            if known is None and digest.covers(entry.agent_id):
                known = self._store.live.get(entry.agent_id)
            if known is not None and (entry.epoch, entry.sequence, entry.instance) < known.freshness:
                lacking[entry.agent_id] = None
        return sorted(lacking)

    def usable(self, unix_now: float) -> tuple[dict[AgentId, Record], float]:
        """Records of agents that take part now, and the Unix time when one of their certificates ends."""
        records: dict[AgentId, Record] = {}
        valid_until = math.inf
        for agent_id, entry in self._store.live.items():
            record = entry.record
            if record.body.withdrawn:
                continue
            if agent_id != self.own_id:
                if not is_valid(record.certificate, unix_now):
                    continue
                valid_until = min(valid_until, record.certificate.not_after)
            records[agent_id] = record
        return records, valid_until

    # -- time ------------------------------------------------------------------------------------------------

    def deadline(self) -> float:
        """When to call :meth:`expire`; infinite while nothing can expire."""
        return self._next_expiry

    def expire(self, now: float) -> list[Record]:
        """Take out what has become too old; returns it."""
        if now < self._next_expiry:
            return []
        expired = []
        next_expiry = math.inf
        for agent_id, entry in self._store.live.items():
            if agent_id == self.own_id:
                continue
            if entry.born_s + self._ttl_s <= now:
                expired.append(entry.record)
            else:
                next_expiry = min(next_expiry, entry.born_s + self._ttl_s)
        self._next_expiry = max(next_expiry, now + EXPIRY_PACE_S)
        for record in expired:
            self._store.bury(record.agent_id)
        self.counts.expired += len(expired)
        self._store.forget(entry.record.agent_id for entry in self._outdated(now))
        return expired

    def _outdated(self, now: float) -> list[Entry]:
        return [
            entry for entry in self._store.past.values() if entry.born_s + self._ttl_s + REMEMBER_S <= now
        ]

    def _put(self, entry: Entry) -> None:
        self._store.put(entry)
        if entry.record.agent_id != self.own_id:
            self._next_expiry = min(self._next_expiry, entry.born_s + self._ttl_s)


def _too_early(agent_id: AgentId) -> RemoteProtocolError:
    who = short_id(agent_id)
    return RemoteProtocolError(
        f"the record of {who} is of a time more than a day ahead of this agent's clock"
    )


def _new_arrivals() -> TokenBucket:
    return TokenBucket(ARRIVAL_RATE, ARRIVAL_BURST)


def _aged(entry: Entry, now: float) -> WireRecord:
    age_ms = min(math.ceil((now - entry.born_s) * 1000) + HOP_MS, MAX_AGE_MS)
    return WireRecord(entry.wire.signed, entry.wire.signature, age_ms)
