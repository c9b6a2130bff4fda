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
"""Of one ingress; what is beyond is dropped, and repeated by those who mean it. At 1.5 KiB each."""


class Waiting(NamedTuple):
    """What there is to deliver of a connection that is yet to begin."""

    key: ConnectionId
    frames: tuple[Frame, ...]
    via: AgentId


class WaitingOpens:
    """Those of one agent, which takes from each ingress in turn.

    Args:
        meters: count what is dropped.
    """

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._waiting: dict[AgentId, deque[Waiting]] = {}
        """By ingress, the one whose turn is next first."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def hold_back(
        self, arrived: dict[ConnectionId, list[Frame]], via: AgentId, known: Container[ConnectionId]
    ) -> bool:
        """Take out of ``arrived`` what is to wait; whether it is the first that does.

        Args:
            arrived: frames by connection, in the order in which they came.
            via: the peer that they came by.
            known: connections that have begun.
        """
        was_empty = not self._waiting
        counts: dict[AgentId, int] = {}
        for key, frames in tuple(arrived.items()):
            if not key[2] or frames[0].type != FrameType.OPEN or key in known:
                continue
            source = key[0]
            waiting = self._waiting.get(source)
            if waiting is None:
                counts[source] = count = counts.get(source, 0) + 1
                if count <= OPENS_PER_TURN:
                    continue
                waiting = self._waiting[source] = deque()
            del arrived[key]
            if len(waiting) < MOST_WAITING:
                waiting.append(Waiting(key, tuple(frames), via))
            else:
                self._meters.opens_ignored += 1
        return was_empty and bool(self._waiting)

    def take(self) -> list[Waiting]:
        """Those whose turn it is."""
        taken: list[Waiting] = []
        while self._waiting and len(taken) < OPENS_PER_TURN:
            source, waiting = next(iter(self._waiting.items()))
            del self._waiting[source]  # to the end
            taken.append(waiting.popleft())
            if waiting:
                self._waiting[source] = waiting
        return taken
