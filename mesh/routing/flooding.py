"""Which records are still to be told to which peer, and when.

News goes to a peer at once, unless something was sent to it a moment ago: then what comes within
``FLOOD_PACE_S``, or longer after many records, goes together. So one change crosses the mesh without delay,
and a thousand agents that start together fill frames with their records. What a peer has told in the meantime
need not be told to it: of two peers that hear the same news from both sides, mostly one tells the other.

Source: the pacing of floods is that of OSPF implementations; implied acknowledgement is RFC 2328 section 13,
step 7a.
"""

import math
from collections.abc import Iterable
from typing import Final

from mesh.trust.identity import AgentId

FLOOD_PACE_S: Final = 0.01
"""Between two floods to one peer, at least."""

FLOOD_PACE_PER_RECORD_S: Final = 0.0005
"""The same for each record of the first one: while a mesh starts, many are outdated a moment later."""

MAX_FLOOD_PACE_S: Final = 0.05
"""Between two floods to one peer, at most."""


class FloodQueue:
    """News for each peer; ``now`` is monotonic seconds."""

    __slots__ = ("_pending", "_quiet_until")

    def __init__(self) -> None:
        self._pending: dict[AgentId, dict[AgentId, None]] = {}
        """By peer: whose records it has not been told of."""
        self._quiet_until: dict[AgentId, float] = {}

    def peer_up(self, peer_id: AgentId) -> None:
        """There is a link to ``peer_id``; digests see to what is known already."""
        self._pending[peer_id] = {}
        self._quiet_until[peer_id] = -math.inf

    def peer_down(self, peer_id: AgentId) -> None:
        """The link to ``peer_id`` is gone."""
        self._pending.pop(peer_id, None)
        self._quiet_until.pop(peer_id, None)

    def spread(self, agent_id: AgentId, origin: AgentId | None = None) -> None:
        """Tell every peer of the record of ``agent_id``, but not the one that told it, ``origin``."""
        for peer_id, pending in self._pending.items():
            if peer_id != origin:
                pending[agent_id] = None

    def told(self, peer_id: AgentId, agent_id: AgentId) -> None:
        """``peer_id`` holds the same record of ``agent_id``."""
        pending = self._pending.get(peer_id)
        if pending is not None:
            pending.pop(agent_id, None)

    def hurry(self) -> None:
        """Let everything go at once, pace or not."""
        for peer_id in self._quiet_until:
            self._quiet_until[peer_id] = -math.inf

    def deadline(self) -> float:
        """When :meth:`take` gives something; infinite where nothing waits."""
        return min(
            (self._quiet_until[peer_id] for peer_id, pending in self._pending.items() if pending),
            default=math.inf,
        )

    def take(self, now: float) -> Iterable[tuple[tuple[AgentId, ...], tuple[AgentId, ...]]]:
        """Peers, and whose records to tell these peers now; those that are told the same stand together."""
        due: dict[tuple[AgentId, ...], list[AgentId]] = {}
        for peer_id, pending in self._pending.items():
            if pending and now >= self._quiet_until[peer_id]:
                due.setdefault(tuple(pending), []).append(peer_id)
                self._quiet_until[peer_id] = now + _pace_s(len(pending))
                pending.clear()
        return [(tuple(peers), agent_ids) for agent_ids, peers in due.items()]


def _pace_s(records: int) -> float:
    return min(max(FLOOD_PACE_S, FLOOD_PACE_PER_RECORD_S * records), MAX_FLOOD_PACE_S)
