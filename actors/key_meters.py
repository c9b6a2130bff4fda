"""What is counted of each routing key that this agent listens to or serves.

A key is counted for as long as a listener or an endpoint has it, and then its figures go. So whatever others
offer to the mesh, there are no more series than the operator has configured, or its own clients ask for.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from mesh.connection.endings import Ending
from mesh.histogram import OPENING_BOUNDS_S, Histogram

MAX_NAMED_KEYS: Final = 256
"""Keys that SOCKS clients ask for by name, at one time, with figures of their own."""


class KeyMeter:
    """Of one key at one end; the actors of its connections write, the HTTP side reads."""

    __slots__ = ("endings", "open_connections", "opening", "received_bytes", "sent_bytes")

    def __init__(self) -> None:
        self.open_connections = 0
        self.sent_bytes = 0
        """Taken from local sockets."""
        self.received_bytes = 0
        """Handed to local sockets."""
        self.endings: dict[Ending, int] = dict.fromkeys(Ending, 0)
        """How those that have ended did."""
        self.opening = Histogram(OPENING_BOUNDS_S)
        """Seconds from a client's coming, or an exit's being asked, until the connection was open."""


class KeyMeters:
    """Those of one end, by key."""

    def __init__(self) -> None:
        self._meters: dict[str, KeyMeter] = {}
        self._users: Counter[str] = Counter()
        self._others = KeyMeter()

    def begin(self, key: str) -> None:
        """One more actor has ``key``."""
        self._users[key] += 1
        if key not in self._meters:
            self._meters[key] = KeyMeter()

    def end(self, key: str) -> None:
        """One of these has ended."""
        self._users[key] -= 1
        if self._users[key] <= 0:
            del self._users[key]
            self._meters.pop(key, None)

    def of(self, key: str) -> KeyMeter:
        """Where a connection of ``key`` counts; those whose key nobody has count together, unseen."""
        return self._meters.get(key, self._others)

    def by_key(self) -> Mapping[str, KeyMeter]:
        """Those there are now; any thread may ask."""
        return self._meters.copy()
