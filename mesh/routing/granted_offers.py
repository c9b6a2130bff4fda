"""What this agent shows to those only that may use it: who that is, and the sealed blocks for them.

An endpoint is shown to the agents whose certificates let them use its key and that its ``allow:`` names; a
listener to those that may use its key, and to those known here that offer it. Blocks are made anew when that
changes, as agents join, leave, start anew, or are given other certificates: at once, and at a bounded rate.
"""

import math
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, NamedTuple, TypeAlias

import msgspec

from mesh.errors import AuthenticationError
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
from mesh.routing.routes import RouteSnapshot
from mesh.routing.sealed_blocks import MAX_BLOCKS, MAX_CONTENT_BYTES, MAX_READERS, SealedBlock, seal
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId
from mesh.trust.noise.primitives import SharedSecrets
from mesh.trust.policy import at_exit, shut

SEALED_BYTE_RATE: Final = 8_192.0
"""Bytes of blocks a second while agents keep coming and going: a quarter of what others take from one agent.
A block for 1,000 takes 20 KB of every link."""

STEP_SECRETS: Final = 32
"""Diffie-Hellmans in one step: a millisecond."""

_Readers: TypeAlias = tuple[bytes, ...]
"""Their session keys, in ascending order."""


class GrantedEndpoint(NamedTuple):
    """An endpoint that is shown to those only that may use it."""

    entry: EndpointEntry
    allowed: frozenset[str]
    """Its ``allow:``; empty if there is none."""


class GrantedListener(NamedTuple):
    """A listener that is shown to those only that may use its key, or offer it."""

    entry: ListenerEntry


class _Known(NamedTuple):
    """Of an agent, all that decides what it is shown."""

    certificate: Certificate
    session_key: bytes

    def is_of(self, record: Record) -> bool:
        """Whether it is what ``record`` says; a certificate that was read once is mostly the same object."""
        is_certified = self.certificate is record.certificate or self.certificate == record.certificate
        return is_certified and self.session_key == record.session_key


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
        self._listeners: tuple[ListenerEntry, ...] = ()
        self._known: dict[AgentId, _Known] = {}
        """All agents that are known, as of the latest routes."""
        self._offering: dict[str, frozenset[AgentId]] = {}
        """By key of a listener here: who offers it."""
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
        self._endpoints, self._is_outdated = endpoints, True
        self.shown = msgspec.structs.replace(self.shown, endpoints=tuple(each.entry for each in endpoints))
        return True

    def set_listeners(self, listeners: tuple[ListenerEntry, ...]) -> bool:
        """These are the listeners from now on; whether that is news."""
        if listeners == self._listeners:
            return False
        self._listeners, self._is_outdated = listeners, True
        self.shown = msgspec.structs.replace(self.shown, listeners=listeners)
        return True

    def look(self, routes: RouteSnapshot) -> None:
        """See whether the agents that are shown something may be others by now."""
        if not (self._endpoints or self._listeners):
            return
        known = self._known
        is_same = len(routes.records) == len(known) and all(
            each in known and known[each].is_of(record) for each, record in routes.records.items()
        )
        offering = {
            entry.key: frozenset(each.agent_id for each in routes.candidates.get(entry.key, ()))
            for entry in self._listeners
        }
        if is_same and offering == self._offering:
            return
        self._known = {each: _known(record) for each, record in routes.records.items()}
        self._offering = offering
        self._is_outdated = True

    def deadline(self) -> float:
        """When to call :meth:`step`; infinite if nothing is to come."""
        if self._sealing is not None:
            return -math.inf
        return max(self._pace.due_at, self._paid_at) if self._is_outdated else math.inf

    def step(self, now: float) -> tuple[SealedBlock, ...] | None:
        """Go on sealing, or begin, if that is due; all blocks once they are complete."""
        if self._sealing is None and now >= self.deadline():
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
        contents: dict[_Readers, tuple[list[EndpointEntry], list[ListenerEntry]]] = {}
        others = {each: known for each, known in self._known.items() if each != self._own_id}
        room = MAX_SHOWN
        left_out: list[str] = []
        for entry, allowed in self._endpoints:
            readers = _sorted(
                each for each in others.values() if _may_use(each.certificate, entry.key, allowed)
            )
            if room:
                contents.setdefault(readers, ([], []))[0].append(entry)
            else:
                left_out.append(entry.key)
            room = max(0, room - 1)
            yield
        of_keys: Counter[str] = Counter()
        for listener in self._listeners:
            of_keys[listener.key] += 1
            offering = self._offering.get(listener.key, frozenset())
            readers = _sorted(
                known
                for each, known in others.items()
                if each in offering or _may_use(known.certificate, listener.key, frozenset())
            )
            if room and of_keys[listener.key] <= MAX_LISTENERS_OF_A_KEY:
                contents.setdefault(readers, ([], []))[1].append(listener)
            else:
                left_out.append(listener.key)
            room = max(0, room - 1)
            yield
        own_secret = self._shared.with_owner_of(self._session_key)
        blocks: list[SealedBlock] = []
        for readers, (endpoints, listeners) in contents.items():
            shared = yield from self._secrets_with(readers)
            made = [
                seal(content, self._own_id, own_secret, shared[start : start + MAX_READERS])
                for content in _cut(endpoints, listeners)
                for start in range(0, len(shared), MAX_READERS)
            ]
            if len(blocks) + len(made) > MAX_BLOCKS:
                left_out += [each.key for each in endpoints] + [each.key for each in listeners]
            else:
                blocks += made
        self.left_out = _told(left_out)
        return tuple(blocks)

    def _secrets_with(self, readers: _Readers) -> Steps[list[bytes]]:
        shared = []
        for number, session_key in enumerate(readers, 1):
            with suppress(AuthenticationError):  # nobody could connect to an agent of such a key, either
                shared.append(self._shared.with_owner_of(session_key))
            if not number % STEP_SECRETS:
                yield
        return shared


def _known(record: Record) -> _Known:
    return _Known(record.certificate, record.session_key)


def _may_use(certificate: Certificate, key: str, allowed: frozenset[str]) -> bool:
    return shut(at_exit(certificate, key, allowed)) is None


def _sorted(readers: Iterable[_Known]) -> _Readers:
    return tuple(sorted({each.session_key for each in readers}))


def _cut(endpoints: list[EndpointEntry], listeners: list[ListenerEntry]) -> Iterable[bytes]:
    """The contents of blocks: what fits into one, in the order of the configuration."""
    taken = Shown()
    data = b""
    for entry in (
        *(Shown(endpoints=(each,)) for each in endpoints),
        *(Shown(listeners=(each,)) for each in listeners),
    ):
        both = Shown((*taken.endpoints, *entry.endpoints), (*taken.listeners, *entry.listeners))
        encoded = _ENCODER.encode(both)
        if len(encoded) > MAX_CONTENT_BYTES:
            yield data
            both, encoded = entry, _ENCODER.encode(entry)
        taken, data = both, encoded
    if data:
        yield data


def _told(keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
    return (
        f"shown to nobody, though visibility: granted: {keys[0]!r}{more} (an agent has at most "
        f"{MAX_SHOWN:,} of them, {MAX_LISTENERS_OF_A_KEY} listeners of a key, and {MAX_BLOCKS} blocks)"
    )


_ENCODER: Final = msgspec.msgpack.Encoder()
