"""Records in memory: those that live, those of the past, and how much all of them hold."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mesh.link.bodies import WireRecord
from mesh.routing.records import Freshness, Record, RecordBody
from mesh.routing.runs import Runs
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

MAX_RECORDS: Final = 20_000
"""Agents known, those that left within the day included: well beyond the hundreds this is made for."""

MAX_BYTES: Final = 128 * 1024 * 1024
"""Memory that all records together may hold, as estimated by :func:`_memory_bytes`."""


@dataclass(slots=True)
class Entry:
    """A record, and what is known of it."""

    record: Record
    wire: WireRecord
    """Its bytes; the age in it is not looked at again."""
    born_s: float
    """Local monotonic time at which the record was signed, as far as its age tells."""
    seen_s: float
    """When a record of this freshness first came here."""
    arrivals: TokenBucket
    """How many more records of this agent are taken now."""
    allowance: TokenBucket
    """How many more bytes of its records and pages."""
    runs: Runs
    """The agent's runs before this one."""

    @property
    def freshness(self) -> Freshness:
        """Of the record."""
        return self.record.freshness


class RecordStore:
    """One record of each agent, within limits.

    Args:
        max_records: agents known, at most.
        max_bytes: memory held, at most.
    """

    def __init__(self, *, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._live: dict[AgentId, Entry] = {}
        self._past: dict[AgentId, Entry] = {}
        self._live_ids: list[AgentId] = []
        """Sorted: digests ask for ranges."""
        self._by_bytes: dict[bytes, AgentId] = {}
        self._live_bytes = 0
        self._past_bytes = 0

    @property
    def live(self) -> Mapping[AgentId, Entry]:
        """Those that have not expired."""
        return self._live

    @property
    def past(self) -> Mapping[AgentId, Entry]:
        """Those that are only remembered, in the order of their expiry."""
        return self._past

    def live_between(self, first: AgentId, last: AgentId) -> list[AgentId]:
        """Agents whose record has not expired, from ``first`` to ``last`` (both included), in their order."""
        return self._live_ids[bisect_left(self._live_ids, first) : bisect_right(self._live_ids, last)]

    def get(self, agent_id: AgentId) -> Entry | None:
        """The record of ``agent_id``, expired or not."""
        return self._live.get(agent_id) or self._past.get(agent_id)

    def with_bytes(self, signed: bytes) -> Entry | None:
        """The live record with these signed bytes: of what arrives in a flood most has come before."""
        agent_id = self._by_bytes.get(signed)
        return None if agent_id is None else self._live[agent_id]

    def put(self, entry: Entry) -> None:
        """Let ``entry`` live, in place of what is known of its agent."""
        agent_id = entry.record.agent_id
        self.forget((agent_id,))
        replaced = self._live.get(agent_id)
        if replaced is None:
            insort(self._live_ids, agent_id)
        else:
            self._live_bytes -= _memory_bytes(replaced.wire, replaced.record.body)
            del self._by_bytes[replaced.wire.signed]
        self._live[agent_id] = entry
        self._by_bytes[entry.wire.signed] = agent_id
        self._live_bytes += _memory_bytes(entry.wire, entry.record.body)

    def bury(self, agent_id: AgentId) -> None:
        """The live record of ``agent_id`` has expired."""
        entry = self._past[agent_id] = self._live.pop(agent_id)
        del self._live_ids[bisect_left(self._live_ids, agent_id)]
        del self._by_bytes[entry.wire.signed]
        self._live_bytes -= _memory_bytes(entry.wire, entry.record.body)
        self._past_bytes += _memory_bytes(entry.wire, entry.record.body)

    def drop(self, agent_id: AgentId) -> None:
        """Know nothing of ``agent_id`` any more, whose record is here."""
        if agent_id in self._live:
            self.bury(agent_id)
        self.forget((agent_id,))

    def forget(self, agent_ids: Iterable[AgentId]) -> None:
        """Remember the expired records of these no longer."""
        for agent_id in agent_ids:
            entry = self._past.pop(agent_id, None)
            if entry is not None:
                self._past_bytes -= _memory_bytes(entry.wire, entry.record.body)

    def has_room(self, agent_id: AgentId, wire: WireRecord, body: RecordBody) -> bool:
        """Whether a record fits in place of what is known, if need be of what has expired."""
        known_bytes, bytes_over, records_over = self._beyond(agent_id, wire, body)
        is_past = agent_id in self._past
        return (
            bytes_over <= self._past_bytes - (known_bytes if is_past else 0)
            and records_over <= len(self._past) - is_past
        )

    def _beyond(self, agent_id: AgentId, wire: WireRecord, body: RecordBody) -> tuple[int, int, int]:
        """Bytes that the agent's record holds, and bytes and records beyond the limits with the new one."""
        known = self.get(agent_id)
        known_bytes = 0 if known is None else _memory_bytes(known.wire, known.record.body)
        bytes_held = self._live_bytes + self._past_bytes - known_bytes + _memory_bytes(wire, body)
        records_held = len(self._live) + len(self._past) + (known is None)
        return known_bytes, bytes_held - self._max_bytes, records_held - self._max_records

    def make_room(self, entry: Entry) -> None:
        """Forget what expired longest ago until ``entry``, which :meth:`has_room`, fits."""
        agent_id = entry.record.agent_id
        _, bytes_over, records_over = self._beyond(agent_id, entry.wire, entry.record.body)
        outdated = []
        for past_id, past in self._past.items():
            if bytes_over <= 0 and records_over <= 0:
                break
            if past_id != agent_id:
                outdated.append(past_id)
                bytes_over -= _memory_bytes(past.wire, past.record.body)
                records_over -= 1
        self.forget(outdated)


def _memory_bytes(wire: WireRecord, body: RecordBody) -> int:
    """About what a record and its pages hold: bytes twice (as they are and decoded), and the objects."""
    entries = len(body.neighbours) + len(body.endpoints) + len(body.listeners) + len(body.pages)
    entries += len(body.sealed)
    entries += sum(page.entries for page in body.pages)
    return 2_500 + 2 * (len(wire.signed) + sum(page.byte_count for page in body.pages)) + 250 * entries
