"""Records that came too early: the last of each agent from each peer is kept until it may be judged."""

import math
from collections import Counter, deque
from collections.abc import Iterator
from typing import Final

import msgspec

from mesh.link.bodies import WireRecord
from mesh.trust.identity import AgentId

ARRIVAL_HOLD_S: Final = 0.5
"""Until a record that came too early is looked at again: by then there is room for one."""

MAX_EARLY_BYTES: Final = 1024 * 1024
"""Of such records that one peer has passed on, at a time. Nobody has verified them yet; what is beyond is of
agents that say too much, and comes again with their next record."""


class EarlyRecords:
    """Keeps them; ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._held: dict[tuple[AgentId, AgentId], tuple[WireRecord, float]] = {}
        """By peer and agent: a record, and when it came."""
        self._bytes: Counter[AgentId] = Counter()
        """By peer: what is kept of what it said."""
        self._release_at = math.inf
        self._released: deque[tuple[AgentId, WireRecord, float]] = deque()
        """Those whose time is over: peer, record, when it came."""

    def hold(self, peer_id: AgentId, agent_id: AgentId, wire: WireRecord, now: float) -> bool:
        """Keep ``wire``, which says something of ``agent_id``, in place of what ``peer_id`` said before.

        Returns:
            Whether there was room for it.
        """
        before = self._held.get((peer_id, agent_id))
        more = len(wire.signed) - (0 if before is None else len(before[0].signed))
        if self._bytes[peer_id] + more > MAX_EARLY_BYTES:
            return False
        if not self._held:
            self._release_at = now + ARRIVAL_HOLD_S
        self._held[peer_id, agent_id] = (wire, now)
        self._bytes[peer_id] += more
        return True

    def deadline(self) -> float:
        """When to call :meth:`release`; infinite while nothing is kept."""
        return -math.inf if self._released else self._release_at

    def release(self, now: float) -> Iterator[tuple[AgentId, WireRecord]]:
        """Peers, and what they said, aged by its wait; what is not taken from the iterator stays."""
        if now >= self._release_at:
            self._released.extend((peer_id, *held) for (peer_id, _), held in self._held.items())
            self._held, self._release_at = {}, math.inf
        while self._released:
            peer_id, wire, since = self._released.popleft()
            self._bytes[peer_id] -= len(wire.signed)
            if not self._bytes[peer_id]:
                del self._bytes[peer_id]
            yield peer_id, msgspec.structs.replace(wire, age_ms=wire.age_ms + round((now - since) * 1000))
