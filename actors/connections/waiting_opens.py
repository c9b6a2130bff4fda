"""OPENs that came in one read of a link, and wait for a turn of the connection table.

A read of a link may bring two hundred. To begin a connection takes a few steps, of several actors in turn,
and at each step a client of another agent would wait for all those that came at once.
"""

from collections import deque
from collections.abc import Container
from typing import Final, NamedTuple

from actors.connections.remote_certificates import ConnectionId
from actors.meters import Meters
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId

OPENS_PER_TURN: Final = 32
"""That are looked at, of one ingress in one read, and then in each turn of those that wait."""

MOST_WAITING: Final = 1_024
"""Of one ingress by one peer; what is beyond is dropped, and repeated by those who mean it."""

MOST_WAITING_IN_ALL: Final = 4_096
"""Of all, 1.5 KiB each. Of more the newest goes of those that have most: a peer that relays may write any
name into its OPENs."""


class Waiting(NamedTuple):
    """What there is to deliver of a connection that is yet to begin."""

    key: ConnectionId
    frames: tuple[Frame, ...]
    via: AgentId


class WaitingOpens:
    """Those of one agent, which takes from each ingress in turn, by each peer that its OPENs come by.

    Args:
        meters: count what is dropped.
    """

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._waiting: dict[tuple[AgentId, AgentId], deque[Waiting]] = {}
        """By peer and ingress, those whose turn is next first."""
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def hold_back(
        self,
        arrived: dict[ConnectionId, list[Frame]],
        via: AgentId,
        begun: Container[ConnectionId],
        known: Container[AgentId],
    ) -> bool:
        """Take out of ``arrived`` what is to wait; whether it is the first that does.

        Args:
            arrived: frames by connection, in the order in which they came.
            via: the peer that they came by.
            begun: connections that have.
            known: agents; OPENs of others cost next to nothing, and are not kept.
        """
        was_empty = not self._waiting
        counts: dict[tuple[AgentId, AgentId], int] = {}
        for key, frames in tuple(arrived.items()):
            is_open = key[2] and frames[0].type == FrameType.OPEN
            if not is_open or key in begun or key[0] not in known:
                continue
            source = via, key[0]
            waiting = self._waiting.get(source)
            if waiting is None:
                counts[source] = count = counts.get(source, 0) + 1
                if count <= OPENS_PER_TURN:
                    continue
                waiting = self._waiting[source] = deque()
            del arrived[key]
            waiting.append(Waiting(key, tuple(frames), via))
            self._count += 1
            if len(waiting) > MOST_WAITING:
                self._drop_newest(source)
            elif self._count > MOST_WAITING_IN_ALL:
                self._drop_newest(source if self._has_its_share(waiting) else self._largest())
        return was_empty and bool(self._waiting)

    def _has_its_share(self, waiting: deque[Waiting]) -> bool:
        return len(waiting) * len(self._waiting) >= self._count

    def _largest(self) -> tuple[AgentId, AgentId]:
        return max(self._waiting, key=lambda each: len(self._waiting[each]))

    def _drop_newest(self, source: tuple[AgentId, AgentId]) -> None:
        waiting = self._waiting[source]
        waiting.pop()
        if not waiting:
            del self._waiting[source]
        self._count -= 1
        self._meters.opens_ignored += 1

    def take(self) -> list[Waiting]:
        """Those whose turn it is."""
        taken: list[Waiting] = []
        while self._waiting and len(taken) < OPENS_PER_TURN:
            source, waiting = next(iter(self._waiting.items()))
            del self._waiting[source]  # to the end
            taken.append(waiting.popleft())
            self._count -= 1
            if waiting:
                self._waiting[source] = waiting
        return taken
