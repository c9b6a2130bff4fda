"""Records that are held, and routes, as sections 6 and 7 of docs/PROTOCOL.md have them."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from tests.second.wire import (
    EPOCH_AHEAD_MS,
    MAX_AGE_MS,
    ROUTE_TTL_MS,
    Grants,
    Identity,
    NotAdmittedError,
    Record,
    Statement,
    agent_id,
    decode,
    encode,
    freshness,
    matches,
    read_record,
    read_statement,
)

DIGEST_FROM: Final = bytes(16)
DIGEST_TO: Final = b"\xff" * 16
MAX_HOPS: Final = 16
MAX_SEQUENCE: Final = 4_294_967_295

Copy = tuple[bytes, bytes, int]
"""A record as it travels: signed bytes, signature, age in milliseconds."""


class Copies(msgspec.Struct, array_like=True, frozen=True):
    """The body of RECORDS."""

    copies: tuple[tuple[bytes, bytes, int], ...]


class Digest(msgspec.Struct, array_like=True, frozen=True):
    """The body of DIGEST."""

    held: tuple[tuple[bytes, int, int, bytes], ...]
    first: bytes = DIGEST_FROM
    last: bytes = DIGEST_TO


@dataclass(frozen=True)
class Path:
    """A way to an agent, and what it is compared by, in this order."""

    links: int
    draining: int
    cost: int
    agents: tuple[bytes, ...]


class Records:
    """The newest record of each agent, this one's own included.

    Args:
        refuses: whether a certificate's subject is revoked.
        monotonic_s: the time by which records age.
    """

    def __init__(
        self,
        identity: Identity,
        authorities: frozenset[bytes],
        refuses: Callable[[Grants], bool],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._identity = identity
        self._authorities = authorities
        self._refuses = refuses
        self._monotonic_s = monotonic_s
        self._held: dict[bytes, Record] = {}
        self._epoch, self._sequence = int(time.time() * 1_000), -1

    def speak(self, of: Callable[[int, int], Statement]) -> Record:
        """Sign the own record anew, from its epoch and sequence."""
        self._sequence += 1
        signed = encode(of(self._epoch, self._sequence))
        signature = self._identity.sign("mesh record v1", signed)
        now = self._monotonic_s()
        record = read_record(signed, signature, now, self._authorities, time.time())
        self._held[record.id] = record
        return record

    def live(self) -> dict[bytes, Record]:
        now, unix_s = self._monotonic_s(), time.time()
        return {
            each: record
            for each, record in self._held.items()
            if record.is_live(now) and unix_s < record.grants.not_after and not self._refuses(record.grants)
        }

    def copy(self, record: Record) -> Copy:
        return record.signed, record.signature, record.age_ms(self._monotonic_s())

    def take(self, signed: bytes, signature: bytes, age_ms: int) -> tuple[Record | None, bool]:
        """Judge a record that has arrived.

        Returns:
            The record to tell of, to all others if it is news, else to its sender alone; and whether it is.

        Raises:
            ProtocolError: it is an offence.
        """
        statement = read_statement(signed)
        owner = agent_id(statement.public_key)
        known = self._held.get(owner)
        now = self._monotonic_s()
        if known is not None and freshness(statement) <= known.freshness:
            return (None if freshness(statement) == known.freshness else known), False
        if age_ms >= ROUTE_TTL_MS and known is None:
            return None, False
        if statement.epoch > time.time() * 1_000 + EPOCH_AHEAD_MS:
            return None, False
        signed_at = now - min(age_ms, MAX_AGE_MS) / 1_000
        record = read_record(signed, signature, signed_at, self._authorities, time.time())
        if self._refuses(record.grants):
            raise NotAdmittedError("a record of an agent that is revoked")
        if owner == self._identity.id:  # an earlier run, or a clock that was set back: jump past it
            at_end = record.statement.sequence >= MAX_SEQUENCE
            self._epoch = record.statement.epoch + at_end
            self._sequence = -1 if at_end else record.statement.sequence
        self._held[owner] = record
        return record, True

    def digest(self) -> bytes:
        now = self._monotonic_s()
        held = (
            (each, *record.freshness)
            for each, record in sorted(self._held.items())
            if record.age_ms(now) < ROUTE_TTL_MS
        )
        return encode(Digest(tuple(held)))

    def owed(self, body: bytes) -> list[Record]:
        """What the sender of a DIGEST lacks."""
        digest = decode(body, Digest)
        theirs = {each: tuple(fresh) for each, *fresh in digest.held}
        return [
            record
            for each, record in self._held.items()
            if digest.first <= each <= digest.last
            and record.freshness > theirs.get(each, (-1, 0, b""))
            and (each in theirs or record.is_live(self._monotonic_s()))
        ]

    # -- routes ----------------------------------------------------------------------------------------------

    def paths(self) -> dict[bytes, Path]:
        """The best path to each agent that one leads to, this one included."""
        live = self.live()
        own = self._identity.id
        steps = {each: dict(record.statement.neighbours) for each, record in live.items()}
        best: dict[bytes, Path] = {}
        waiting: list[tuple[int, int, int, tuple[bytes, ...]]] = [(0, 0, 0, (own,))]
        while waiting and own in live:
            links, draining, cost, agents = heapq.heappop(waiting)
            here = agents[-1]
            if here in best:
                continue
            best[here] = Path(links, draining, cost, agents)
            record = live[here]
            may_pass = here == own or (record.statement.relays and record.grants.may_relay)
            if links == MAX_HOPS or not may_pass:
                continue
            passed = draining + (here != own and record.statement.is_draining)
            for other, step in steps[here].items():
                if other in live and here in steps[other]:
                    price = cost + 2 ** max(step, steps[other][here])
                    heapq.heappush(waiting, (links + 1, passed, price, (*agents, other)))
        return best

    def candidates(self, key: str) -> list[bytes]:
        """Agents that offer a key, the best one first; this one never is one."""
        live, paths = self.live(), self.paths()
        found = [
            each
            for each, record in live.items()
            if each in paths
            and each != self._identity.id
            and key in dict(record.statement.endpoints)
            and matches(record.grants.may_register, key)
        ]
        return sorted(found, key=lambda each: _rank(live[each], paths[each]))


def _rank(record: Record, path: Path) -> tuple[bool, int, int, int, bytes]:
    return record.statement.is_draining, path.links, path.draining, path.cost, record.id


def of_copies(body: bytes) -> tuple[Copy, ...]:
    return decode(body, Copies).copies


def to_body(copies: list[Copy]) -> bytes:
    return encode(Copies(tuple(copies)))
