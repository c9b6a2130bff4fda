"""What this agent shows to those only that may use it: who that is, and the sealed blocks for them.

An endpoint is shown to the agents whose certificates let them use its key and that its ``allow:`` names; a
listener to those that may use its key, and to those known here that offer it. Blocks are made anew when that
changes, as agents join, leave, start anew, or are given other certificates: at once, and at a bounded rate.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from mesh.errors import AuthenticationError
from mesh.remembered import Remembered
from mesh.routing.granted_reader import MAX_SHOWN
from mesh.routing.graph import Steps
from mesh.routing.pacing import MAX_HOLD_S, Pace
from mesh.routing.records import (
    MAX_LISTENERS_OF_A_KEY,
    EndpointEntry,
    ListenerEntry,
    Record,
    Shown,
)
from mesh.routing.routes import Candidate, RouteSnapshot
from mesh.routing.sealed_blocks import MAX_BLOCKS, MAX_CONTENT_BYTES, MAX_READERS, SealedBlock, seal
from mesh.token_bucket import TokenBucket
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId
from mesh.trust.noise.primitives import SharedSecrets
from mesh.trust.policy import NOBODY_NAMED, Gate, at_exit, listed, shut

SEALED_BYTE_RATE: Final = 8_192.0
"""Bytes of blocks a second while agents keep coming and going: a quarter of what others take from one agent.
A block for 1,000 takes 20 KB of every link."""

CHANGE_RATE: Final = 0.05
CHANGE_BURST: Final = 8.0
"""Changes of one agent a second, and at once, by which blocks are made anew. What it says when these are used
up counts as soon as there is one again; until then it is shown nothing. Else one agent that starts anew
without end would have all that show it something speak as often."""

LOOK_AGAIN_S: Final = 1.0
"""Until then at the least: others may be due by then, too."""

_HEAD_BYTES: Final = 7
"""What msgpack spends around the entries of a block, at most: an array of two arrays."""

STEP_RIGHTS: Final = 512
"""Rights looked up in one step: a millisecond."""

STEP_GROUPED: Final = 32
"""Endpoints or listeners put to those for the same agents in one step: as long, with a thousand agents."""

STEP_SECRETS: Final = 32
"""Diffie-Hellmans in one step: a millisecond."""


class GrantedEndpoint(NamedTuple):
    """An endpoint that is shown to those only that may use it."""

    entry: EndpointEntry
    allowed: frozenset[str]
    """Its ``allow:``; empty if there is none."""


class GrantedListener(NamedTuple):
    """A listener that is shown to those only that may use its key, or offer it and are believed."""

    entry: ListenerEntry
    believed: frozenset[str]
    """Its ``agents:``; empty if there is none."""


class _Known(NamedTuple):
    """Of an agent, all that decides what it is shown."""

    certificate: Certificate
    session_key: bytes

    def is_of(self, record: Record) -> bool:
        """Whether it is what ``record`` says."""
        return _is_same(self.certificate, record.certificate) and self.session_key == record.session_key


class _Content(NamedTuple):
    """What the same agents are shown."""

    endpoints: list[EndpointEntry]
    listeners: list[ListenerEntry]


class _Rights(NamedTuple):
    """What an agent is shown by its certificate."""

    certificate: Certificate
    numbers: tuple[int, ...]
    """Of endpoints, then listeners, in their order."""


class GrantedOffers:
    """Decides who is shown what, and seals it; ``now`` is monotonic seconds.

    Args:
        own_id: this agent's ID.
        session_key: its X25519 public key.
        shared: what its session key shares with others'.
    """

    def __init__(self, own_id: AgentId, session_key: bytes, shared: SharedSecrets) -> None:
        self._own_id = own_id
        self._session_key = session_key
        self._shared = shared
        self._endpoints: tuple[GrantedEndpoint, ...] = ()
        self._listeners: tuple[GrantedListener, ...] = ()
        self._known: dict[AgentId, _Known] = {}
        """All agents that are known, as of the latest routes, but those that have changed too often."""
        self._offering: dict[str, frozenset[AgentId]] = {}
        """By key of a listener here: who offers it, but likewise."""
        self._records: Mapping[AgentId, Record] = {}
        self._candidates: Mapping[str, tuple[Candidate, ...]] = {}
        """Of the latest routes."""
        self._changes: Remembered[AgentId, TokenBucket] = Remembered(_budget)
        """Of agents: how often they may be others, and begin to offer something."""
        self._offers: Remembered[AgentId, TokenBucket] = Remembered(_budget)
        self._look_again_at = math.inf
        """When the next one that has changed too often may count."""
        self._rights: dict[AgentId, _Rights] = {}
        """Those that were looked up: for 1,000 agents and 1,000 keys that takes seconds."""
        self._pace = Pace(MAX_HOLD_S)
        self._paid_at = -math.inf
        """When the latest blocks are paid for."""
        self._is_outdated = False
        self._sealing: Steps[tuple[SealedBlock, ...]] | None = None
        self.shown = Shown()
        """What it is, for this agent's own routes."""
        self.left_out = ""
        """What is shown to nobody, for people; empty if there is nothing."""

    def set_endpoints(self, endpoints: tuple[GrantedEndpoint, ...]) -> bool:
        """These are the endpoints from now on; whether that is news."""
        if endpoints == self._endpoints:
            return False
        self._endpoints, self._rights, self._is_outdated = endpoints, {}, True
        self.shown = msgspec.structs.replace(self.shown, endpoints=tuple(each.entry for each in endpoints))
        return True

    def set_listeners(self, listeners: tuple[GrantedListener, ...]) -> bool:
        """These are the listeners from now on; whether that is news."""
        if listeners == self._listeners:
            return False
        self._listeners, self._rights, self._is_outdated = listeners, {}, True
        self.shown = msgspec.structs.replace(self.shown, listeners=tuple(each.entry for each in listeners))
        return True

    def look(self, routes: RouteSnapshot, now: float) -> None:
        """See whether the agents that are shown something may be others by now."""
        if self._endpoints or self._listeners:
            self._records, self._candidates = routes.records, routes.candidates
            self._judge(now)

    def _judge(self, now: float) -> None:
        self._look_again_at = math.inf
        known: dict[AgentId, _Known] = {}
        is_same = True
        for agent_id, record in self._records.items():
            held = self._known.get(agent_id)
            if held is None or not held.is_of(record):
                if not self._may_change(self._changes, agent_id, now):
                    continue
                held, is_same = _Known(record.certificate, record.session_key), False
            known[agent_id] = held
        offering = self._now_offering(now)
        if is_same and len(known) == len(self._known) and offering == self._offering:
            return
        self._known, self._offering = known, offering
        self._is_outdated = True

    def _now_offering(self, now: float) -> dict[str, frozenset[AgentId]]:
        offering: dict[str, frozenset[AgentId]] = {}
        may_begin: dict[AgentId, bool] = {}
        for key in {entry.key for entry, _ in self._listeners}:
            found = {each.agent_id for each in self._candidates.get(key, ())}
            held = self._offering.get(key, frozenset())
            for each in found - held - may_begin.keys():
                may_begin[each] = self._may_change(self._offers, each, now)
            offering[key] = frozenset(each for each in found if each in held or may_begin[each])
        return offering

    def _may_change(self, budgets: Remembered[AgentId, TokenBucket], agent_id: AgentId, now: float) -> bool:
        budget = budgets.of(agent_id, now)
        if budget.take(now):
            return True
        wait_s = max(LOOK_AGAIN_S, budget.wait_s(now))
        self._look_again_at = min(self._look_again_at, now + wait_s)
        return False

    def deadline(self) -> float:
        """When to call :meth:`step`; infinite if nothing is to come."""
        return -math.inf if self._sealing is not None else min(self._due_at(), self._look_again_at)

    def _due_at(self) -> float:
        return max(self._pace.due_at, self._paid_at) if self._is_outdated else math.inf

    def step(self, now: float) -> tuple[SealedBlock, ...] | None:
        """Go on sealing, or begin, if that is due; all blocks once they are complete."""
        if now >= self._look_again_at:
            self._judge(now)
        if self._sealing is None and now >= self._due_at():
            self._is_outdated = False
            self._pace.told(now)
            self._sealing = self._seal()
        if self._sealing is not None:
            try:
                next(self._sealing)
            except StopIteration as stop:
                self._sealing = None
                blocks: tuple[SealedBlock, ...] = stop.value
                self._paid_at = now + sum(block.byte_count for block in blocks) / SEALED_BYTE_RATE
                return blocks
        return None

    # -- who is shown what -----------------------------------------------------------------------------------

    def _seal(self) -> Steps[tuple[SealedBlock, ...]]:
        endpoints, listeners = self._endpoints, self._listeners
        readers = yield from self._readers(endpoints, listeners)
        contents: dict[frozenset[bytes], _Content] = {}
        left_out: list[str] = []
        of_keys: Counter[str] = Counter()
        for number, (entry, _) in enumerate(endpoints):
            if number < MAX_SHOWN:
                contents.setdefault(frozenset(readers[number]), _Content([], [])).endpoints.append(entry)
            else:
                left_out.append(entry.key)
            if not number % STEP_GROUPED:
                yield
        for number, (listener, _) in enumerate(listeners, len(endpoints)):
            of_keys[listener.key] += 1
            if number < MAX_SHOWN and of_keys[listener.key] <= MAX_LISTENERS_OF_A_KEY:
                contents.setdefault(frozenset(readers[number]), _Content([], [])).listeners.append(listener)
            else:
                left_out.append(listener.key)
            if not number % STEP_GROUPED:
                yield
        own_secret = self._shared.with_owner_of(self._session_key)
        blocks: list[SealedBlock] = []
        for session_keys, content in contents.items():
            shared = yield from self._secrets_with(sorted(session_keys))
            made = []
            for data in _cut(content):
                for start in range(0, len(shared), MAX_READERS):
                    made.append(seal(data, self._own_id, own_secret, shared[start : start + MAX_READERS]))
                    yield
            if len(blocks) + len(made) > MAX_BLOCKS:
                left_out += [each.key for each in content.endpoints]
                left_out += [each.key for each in content.listeners]
            else:
                blocks += made
        self.left_out = _told(left_out)
        return tuple(blocks)

    def _readers(
        self, endpoints: tuple[GrantedEndpoint, ...], listeners: tuple[GrantedListener, ...]
    ) -> Steps[list[set[bytes]]]:
        """Of each endpoint, then of each listener, the session keys of those that it is shown to."""
        others = {each: known for each, known in self._known.items() if each != self._own_id}
        wanted = [(entry.key, allowed) for entry, allowed in endpoints]
        wanted += [(entry.key, NOBODY_NAMED) for entry, _ in listeners]
        readers: list[set[bytes]] = [set() for _ in wanted]
        before, rights, work = self._rights, {}, 0
        for agent_id, known in others.items():
            held = before.get(agent_id)
            if held is None or not _is_same(held.certificate, known.certificate):
                held = _Rights(known.certificate, tuple(_usable(known.certificate, wanted)))
                work += len(wanted)
            rights[agent_id] = held
            for number in held.numbers:
                readers[number].add(known.session_key)
            work += 1 + len(held.numbers)
            if work >= STEP_RIGHTS:
                work = 0
                yield
        if self._rights is before:
            self._rights = rights
        for number, (entry, believed) in enumerate(listeners, len(endpoints)):
            for agent_id in self._offering.get(entry.key, frozenset()).intersection(others):
                known = others[agent_id]
                if listed(Gate.AGENTS, believed, known.certificate).is_open:
                    readers[number].add(known.session_key)
            if not number % STEP_GROUPED:
                yield
        return readers

    def _secrets_with(self, readers: Iterable[bytes]) -> Steps[list[bytes]]:
        shared = []
        for number, session_key in enumerate(readers, 1):
            with suppress(AuthenticationError):  # nobody could connect to an agent of such a key, either
                shared.append(self._shared.with_owner_of(session_key))
            if not number % STEP_SECRETS:
                yield
        return shared


def _is_same(one: Certificate, other: Certificate) -> bool:
    """Whether they say the same; one that was read once is mostly the same object."""
    return one is other or one == other


def _budget() -> TokenBucket:
    return TokenBucket(CHANGE_RATE, CHANGE_BURST)


def _usable(certificate: Certificate, wanted: Sequence[tuple[str, frozenset[str]]]) -> Iterator[int]:
    """The numbers of those in ``wanted``, keys and who is allowed, that an agent may use."""
    for number, (key, allowed) in enumerate(wanted):
        if shut(at_exit(certificate, key, allowed)) is None:
            yield number


def _cut(content: _Content) -> Iterator[bytes]:
    """The contents of blocks: what fits into one, in the order of the configuration."""
    entries: list[EndpointEntry | ListenerEntry] = [*content.endpoints, *content.listeners]
    taken, byte_count = _Content([], []), _HEAD_BYTES
    for entry in entries:
        size = len(_ENCODER.encode(entry))
        if byte_count + size > MAX_CONTENT_BYTES:
            yield _encode(taken)
            taken, byte_count = _Content([], []), _HEAD_BYTES
        byte_count += size
        if isinstance(entry, ListenerEntry):
            taken.listeners.append(entry)
        else:
            taken.endpoints.append(entry)
    yield _encode(taken)


def _encode(content: _Content) -> bytes:
    return _ENCODER.encode(Shown(tuple(content.endpoints), tuple(content.listeners)))


def _told(keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
    return (
        f"shown to nobody, though visibility: granted: {keys[0]!r}{more} (an agent has at most "
        f"{MAX_SHOWN:,} of them, {MAX_LISTENERS_OF_A_KEY} listeners of a key, and {MAX_BLOCKS} blocks)"
    )


_ENCODER: Final = msgspec.msgpack.Encoder()
