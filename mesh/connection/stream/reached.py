"""How far windows have come of late on the way from each agent: streams that begin there next know it.

A window begins with 64 KiB and doubles each round trip, for half a second on a long path. A stream that turns
out to carry much has a part of what another one had reached at once. The part is what a path that has not
changed takes in half a round trip; all together that begin before another stream has ended get no more than
it takes in a whole one, so a queue that they make is as short as that. One that has brought no more than its
part gives it back.
"""

from collections.abc import Hashable
from math import inf
from typing import Final

COUNTS_S: Final = 60.0
"""How long it is known: paths change, and others come to use them."""

LONG_PATH_S: Final = 0.01
"""On a path with a shorter round trip windows are soon as large as they are to be."""

BULK_BYTES: Final = 32 * 1024
"""A stream that has brought as many carries much: what idle ones are given would be missed elsewhere."""

PART: Final = 4
"""Of a window, which holds two round trips: half of one."""

MOST_BYTES: Final = 1024 * 1024
"""No stream begins with more: it goes out at once, and a path may have changed."""

MAX_AGENTS: Final = 1024
"""Of more, the one that was told of first is forgotten; at some 250 bytes each."""

_UNKNOWN: Final = (0, -inf)


class ReachedWindows:
    """What windows have reached, by the agent that sent."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[int, float]] = {}
        """Bytes that are left to be taken of, and until when."""

    def note(self, agent: Hashable, window_bytes: int, now: float) -> None:
        """A stream that ends has come to ``window_bytes``; if more is known, that counts until it is old."""
        known, until = self._known.get(agent, _UNKNOWN)
        if window_bytes < known and now < until:
            return
        self._known.pop(agent, None)  # to the end
        self._known[agent] = window_bytes, now + COUNTS_S
        if len(self._known) > MAX_AGENTS:
            del self._known[next(iter(self._known))]

    def take(self, agent: Hashable, now: float) -> int:
        """The window of a stream that carries much, in bytes; 0 if nothing is known."""
        known, until = self._known.get(agent, _UNKNOWN)
        if now >= until:
            return 0
        self._known[agent] = known // 2, until
        return min(known // PART, MOST_BYTES)
