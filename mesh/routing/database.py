"""The newest record of every agent: what is taken in, what is passed on, what has become too old.

Two copies of a record are compared by (epoch, sequence, instance) before anything costly is done, as RFC
2328, section 13, does with advertisements. What has expired or left is kept for a day, so that nobody can
bring it back: an older record is answered with the newer one, which also tells an agent whose clock was set
back how far to jump.

The age of a record is not signed. A forwarder that lowers it prolongs the record's life here by what has
passed before it first came here, and no more; one that raises it is corrected by the next honest copy.
"""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from mesh.errors import RemoteProtocolError, TrustError
from mesh.link.bodies import Digest, DigestEntry, WireRecord
from mesh.routing.records import Freshness, Record, RecordBody, RecordReader
from mesh.token_bucket import TokenBucket
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import RECORD_CONTEXT, AgentId, Instance, agent_id_of

DEFAULT_TTL_S: Final = 300.0

MAX_RECORDS: Final = 20_000
"""Agents known, those that left within the day included: well beyond the hundreds this is made for."""

MAX_BYTES: Final = 128 * 1024 * 1024
"""Memory that all records together may hold, as estimated by :func:`_memory_bytes`."""

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

ARRIVAL_HOLD_S: Final = 0.5
"""Until a record that came too early is looked at again: by then there is room for one."""

ANSWER_AFTER_S: Final = 1.0
"""What came here less than this ago has been flooded to every peer just now: an older one that crosses it
needs no answer. RFC 2328, section 13, step 8."""


class Stored(msgspec.Struct, frozen=True):
    """It is the newest that is known; pass it on."""

    record: Record
    changed: bool
    """Whether more than its freshness is new."""


class Stale(msgspec.Struct, frozen=True):
    """Nothing new: a copy of what is known, or of what is too old to be let in."""

    same_as: AgentId | None = None
    """Whose record it is, where the peer need not be told of it: it holds the same as is known here."""


class Newer(msgspec.Struct, frozen=True):
    """A newer one is known here, and whoever offered the old one should learn of it."""

    agent_id: AgentId
    ours: WireRecord


class OwnIsNewer(msgspec.Struct, frozen=True):
    """This agent's own record, newer than its newest: of a run before, or of another agent with its key."""

    freshness: Freshness


class Early(msgspec.Struct, frozen=True):
    """News, but its agent has said too much of late: offer it again after ``ARRIVAL_HOLD_S``."""

    agent_id: AgentId


class Refusal(enum.Enum):
    """Why a record is refused."""

    OFFENCE = "offence"
    """No agent that keeps to the protocol passes this on."""
    CERTIFICATE = "certificate"
    """Its agent may not take part; who passed it on may see that otherwise, by its clock or its
    authorities."""
    FULL = "full"
    """There is no room."""


class Refused(msgspec.Struct, frozen=True):
    """It is not let in."""

    refusal: Refusal
    reason: RemoteProtocolError
    agent_id: AgentId | None
    """Whose it claims to be, where it can be read."""


Outcome: TypeAlias = Stored | Stale | Early | Newer | OwnIsNewer | Refused


@dataclass(slots=True)
class RecordCounts:
    """What became of the records that arrived; each counter only rises."""

    stored: int = 0
    duplicate: int = 0
    """The same again: flooding brings each record over every link."""
    older: int = 0
    aged: int = 0
    """Older than records live, where the agent is unknown here, or than they are remembered."""
    early: int = 0
    """Held back, for their agents say more than they need to."""
    refused_offence: int = 0
    refused_certificate: int = 0
    refused_full: int = 0
    expired: int = 0


@dataclass(slots=True)
class _Entry:
    record: Record
    wire: WireRecord
    """Its bytes; the age in it is not looked at again."""
    born_s: float
    """Local monotonic time at which the record was signed, as far as its age tells."""
    seen_s: float
    """When a record of this freshness first came here."""
    arrivals: TokenBucket = field(default_factory=lambda: TokenBucket(ARRIVAL_RATE, ARRIVAL_BURST))
    """How many more records of this agent are taken now."""

    @property
    def freshness(self) -> Freshness:
        return self.record.freshness


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
        ttl_s: float = DEFAULT_TTL_S,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._own_id = own_id
        self._trust = trust
        self._reader = reader
        self._ttl_s = ttl_s
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._live: dict[AgentId, _Entry] = {}
        self._past: dict[AgentId, _Entry] = {}  # in the order of their expiry
        self._by_bytes: dict[bytes, AgentId] = {}
        """Signed bytes of the live records: of what arrives in a flood most has come before."""
        self._bytes = 0
        self._next_expiry = math.inf
        self.counts = RecordCounts()

    def __len__(self) -> int:
        """Agents whose record has not expired."""
        return len(self._live)

    def __contains__(self, agent_id: object) -> bool:
        """Whether this agent's record has not expired."""
        return agent_id in self._live

    # -- records in ------------------------------------------------------------------------------------------

    def put_own(self, record: Record, wire: WireRecord, now: float) -> None:
        """Take the own record as just signed; nothing is verified, and it never expires here."""
        self._put(_Entry(record, wire, now, now))

    def offer(self, wire: WireRecord, now: float, unix_now: float) -> Outcome:
        """Judge a record that a peer passed on, and keep it where it is news."""
        same_as = self._by_bytes.get(wire.signed)
        if same_as is not None:
            return self._offer_again(self._live[same_as], wire, self._born(wire, now), now)
        try:
            body = self._reader.read(wire.signed)
        except RemoteProtocolError as error:
            return self._refuse(Refusal.OFFENCE, error, None)
        agent_id = agent_id_of(body.public_key)
        known = self._live.get(agent_id) or self._past.get(agent_id)
        if known is not None and body.freshness < known.freshness:
            self.counts.older += 1
            if agent_id in self._live and now < known.seen_s + ANSWER_AFTER_S:
                return Stale()
            return Newer(agent_id, _aged(known, now))
        born_s = self._born(wire, now)
        if agent_id == self._own_id:
            return self._offer_own(wire, body)
        if known is not None and body.freshness == known.freshness:
            return self._offer_again(known, wire, born_s, now)
        # Only who holds an older one needs to hear of what has expired: RFC 2328, section 13, step 4.
        if born_s + self._ttl_s + (0.0 if known is None else REMEMBER_S) <= now:
            self.counts.aged += 1
            return Stale()
        if known is not None and not known.arrivals.has(now):
            self.counts.early += 1
            return Early(agent_id)
        try:
            record, kept = self._reader.verify(wire, body, self._trust, unix_now)
        except TrustError as error:
            return self._refuse(Refusal.CERTIFICATE, error, agent_id)
        except RemoteProtocolError as error:
            return self._refuse(Refusal.OFFENCE, error, agent_id)
        entry = _Entry(record, kept, born_s, now)
        if known is not None:
            entry.arrivals = known.arrivals
        entry.arrivals.take(now)
        if not self._make_room(entry, known):
            full = RemoteProtocolError(f"no room for the record of {record.name!r}")
            return self._refuse(Refusal.FULL, full, agent_id)
        refreshed = agent_id in self._live and self._live[agent_id].record.says_the_same_as(record)
        self._put(entry)
        self.counts.stored += 1
        if born_s + self._ttl_s <= now:
            self._bury(agent_id)
            refreshed = False
        return Stored(record, changed=not refreshed)

    @staticmethod
    def _born(wire: WireRecord, now: float) -> float:
        return now - min(wire.age_ms, MAX_AGE_MS) / 1000

    def _offer_own(self, wire: WireRecord, body: RecordBody) -> Outcome:
        try:
            # The certificate in it may have expired; the key has not.
            self._reader.check(body.public_key, RECORD_CONTEXT, wire.signed, wire.signature)
        except RemoteProtocolError as error:
            return self._refuse(Refusal.OFFENCE, error, self._own_id)
        return OwnIsNewer(body.freshness)

    def _offer_again(self, known: _Entry, wire: WireRecord, born_s: float, now: float) -> Outcome:
        """Believe the lower of two ages, but not that a record is younger than the time it is known here."""
        self.counts.duplicate += 1
        if wire.signed != known.wire.signed:
            return Stale()
        known.born_s = max(known.born_s, min(born_s, known.seen_s))
        agent_id = known.record.agent_id
        if agent_id in self._live:
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
            case Refusal.FULL:
                self.counts.refused_full += 1
        return Refused(refusal, reason, agent_id)

    def instance_of(self, agent_id: AgentId) -> Instance | None:
        """Which run of an agent its record tells of; ``None`` where there is none that has not expired."""
        entry = self._live.get(agent_id)
        return None if entry is None else entry.record.instance

    # -- records out -----------------------------------------------------------------------------------------

    def wire(self, agent_id: AgentId, now: float) -> WireRecord | None:
        """The newest record of ``agent_id``, expired or not, with its age as of ``now``, if any is held."""
        entry = self._live.get(agent_id) or self._past.get(agent_id)
        return None if entry is None else _aged(entry, now)

    def digest(self) -> list[DigestEntry]:
        """What is held, for a peer to compare with."""
        return [DigestEntry(agent_id, *entry.freshness) for agent_id, entry in self._live.items()]

    def newer_than(self, digest: Digest, now: float) -> list[WireRecord]:
        """What the sender of ``digest`` lacks, or holds an older one of, ordered by agent ID."""
        theirs: dict[AgentId, Freshness] = {
            entry.agent_id: (entry.epoch, entry.sequence, entry.instance) for entry in digest.entries
        }
        found = {
            agent_id: entry
            for agent_id, entry in self._live.items()
            if digest.covers(agent_id) and (agent_id not in theirs or theirs[agent_id] < entry.freshness)
        }
        for agent_id, freshness in theirs.items():
            past = self._past.get(agent_id)
            if past is not None and freshness < past.freshness:
                found[agent_id] = past
        return [_aged(found[agent_id], now) for agent_id in sorted(found)]

    def usable(self, unix_now: float) -> tuple[dict[AgentId, Record], float]:
        """Records of agents that take part now, and the Unix time when one of their certificates ends."""
        records: dict[AgentId, Record] = {}
        valid_until = math.inf
        for agent_id, entry in self._live.items():
            record = entry.record
            if record.body.withdrawn:
                continue
            if agent_id != self._own_id:
                if record.certificate.not_after <= unix_now:
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
        self._next_expiry = math.inf
        for agent_id, entry in self._live.items():
            if agent_id == self._own_id:
                continue
            if entry.born_s + self._ttl_s <= now:
                expired.append(entry.record)
            else:
                self._next_expiry = min(self._next_expiry, entry.born_s + self._ttl_s)
        for record in expired:
            self._bury(record.agent_id)
        self.counts.expired += len(expired)
        self._forget(entry.record.agent_id for entry in self._outdated(now))
        return expired

    def _outdated(self, now: float) -> list[_Entry]:
        return [entry for entry in self._past.values() if entry.born_s + self._ttl_s + REMEMBER_S <= now]

    # -- memory ----------------------------------------------------------------------------------------------

    def _put(self, entry: _Entry) -> None:
        agent_id = entry.record.agent_id
        self._forget((agent_id,))
        replaced = self._live.get(agent_id)
        if replaced is not None:
            self._bytes -= _memory_bytes(replaced)
            del self._by_bytes[replaced.wire.signed]
        self._live[agent_id] = entry
        self._by_bytes[entry.wire.signed] = agent_id
        self._bytes += _memory_bytes(entry)
        if agent_id != self._own_id:
            self._next_expiry = min(self._next_expiry, entry.born_s + self._ttl_s)

    def _bury(self, agent_id: AgentId) -> None:
        entry = self._past[agent_id] = self._live.pop(agent_id)
        del self._by_bytes[entry.wire.signed]

    def _forget(self, agent_ids: Iterable[AgentId]) -> None:
        for agent_id in agent_ids:
            entry = self._past.pop(agent_id, None)
            if entry is not None:
                self._bytes -= _memory_bytes(entry)

    def _make_room(self, entry: _Entry, known: _Entry | None) -> bool:
        """Forget what expired longest ago until ``entry`` fits in place of ``known``, if it can."""
        known_bytes = _memory_bytes(known) if known is not None else 0
        more_bytes = _memory_bytes(entry) - known_bytes
        more_records = 0 if known is not None else 1
        while (
            self._bytes + more_bytes > self._max_bytes
            or len(self._live) + len(self._past) + more_records > self._max_records
        ):
            oldest = next((each for each in self._past if each != entry.record.agent_id), None)
            if oldest is None:
                return False
            self._forget((oldest,))
        return True


def _aged(entry: _Entry, now: float) -> WireRecord:
    age_ms = min(math.ceil((now - entry.born_s) * 1000) + HOP_MS, MAX_AGE_MS)
    return WireRecord(entry.wire.signed, entry.wire.signature, age_ms)


def _memory_bytes(entry: _Entry) -> int:
    """About what a record and its pages hold: bytes twice (as they are and decoded), and the objects."""
    body = entry.record.body
    entries = len(body.neighbours) + len(body.endpoints) + len(body.listeners) + len(body.pages)
    entries += sum(page.entries for page in body.pages)
    return 2_500 + 2 * (len(entry.wire.signed) + sum(page.byte_count for page in body.pages)) + 250 * entries
