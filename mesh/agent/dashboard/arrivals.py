"""Clients of the HTTP server that have come and are not served yet: those of each address have their turn.

To serve one that comes takes 0.4 ms of the time that the data path shares, to take it out of the kernel's
queue a tenth of that. So whoever comes more often than clients are served is kept here, and not there, where
everybody would wait behind it, or not get in: the health check of an orchestrator, too.
"""

import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from actors.runtime.descriptors import small_part
from mesh.sampling import sampled
from mesh.token_bucket import TokenBucket

ARRIVALS_PER_S: Final = 100.0
"""That are served, of all clients together."""

ARRIVALS_BURST: Final = 100.0
"""At once."""

TAKEN_PER_S: Final = 1_000.0
"""That are taken out of the kernel's queue: a twentieth of a core's time. Of more some wait there."""

TAKEN_BURST: Final = 200.0

TAKEN_AT_ONCE: Final = 16
"""In one turn of the loop."""

IN_VAIN: Final = 20.0
"""What it costs of these if somebody has come and cannot be taken: without a descriptor the loop would
find the same again at once, and go on so."""

MOST_WAITING: Final = 384
"""Of all, and no large part of the descriptors. With more the first goes of the address that has most."""

SHARE_OF_ONE: Final = 2 / 3
"""Of these, of one address; with more the first is turned away, for it has waited longest in vain."""

TOLD_PER_S: Final = 1.0
TOLD_BURST: Final = 5.0
"""Lines that are written, or counted as repetitions: more would cost more than what they are about."""

_log: Final = logging.getLogger("mesh.http")


class Arrived(NamedTuple):
    """A client that is not served yet."""

    address: str
    """By which it has its turn: of IPv6 the network, as a host has all addresses of one."""
    client: socket.socket
    serve: Callable[[], None]
    """Begins to serve it."""


class Arrivals:
    """Those of one HTTP server; ``now`` is monotonic seconds.

    Args:
        descriptor_limit: of the process; each that waits takes one.
    """

    def __init__(self, descriptor_limit: int) -> None:
        self._most = small_part(MOST_WAITING, descriptor_limit)
        self._most_of_one = max(1, int(self._most * SHARE_OF_ONE))
        self._served = TokenBucket(ARRIVALS_PER_S, ARRIVALS_BURST)
        self._taken = TokenBucket(TAKEN_PER_S, TAKEN_BURST)
        self._told = TokenBucket(TOLD_PER_S, TOLD_BURST)
        self._waiting: dict[str, deque[Arrived]] = {}
        """By address, the one whose turn is next first."""
        self._count = 0

    def take_from(self, accept: Callable[[], Arrived | None], now: float) -> None:
        """Take some of those that wait in the kernel's queue.

        Args:
            accept: gives the next one, if there is any.
            now: monotonic seconds.
        """
        for number in range(TAKEN_AT_ONCE):
            if not self._taken.has(now):
                return
            one = accept()
            if one is None:
                if not number:
                    self._taken.spend(now, IN_VAIN)
                return
            self._taken.spend(now)
            self._add(one, now)

    def _add(self, one: Arrived, now: float) -> None:
        waiting = self._waiting.setdefault(one.address, deque())
        waiting.append(one)
        self._count += 1
        if len(waiting) > self._most_of_one:
            self._turn_away(one.address, now)
        elif self._count > self._most:
            self._turn_away(max(self._waiting, key=lambda each: len(self._waiting[each])), now)

    def _turn_away(self, address: str, now: float) -> None:
        waiting = self._waiting[address]
        waiting.popleft().client.close()
        self._count -= 1
        if not waiting:
            del self._waiting[address]
        if self._told.take(now):
            line = "clients come faster than they are served: some of %s are turned away"
            _log.warning(line, address, extra=sampled(address))

    def serve(self, most: int, now: float) -> bool:
        """Serve those whose turn it is, at most so many; whether it is the turn of others, too."""
        for _ in range(most):
            if not self._waiting or not self._served.take(now):
                return False
            address, waiting = next(iter(self._waiting.items()))
            del self._waiting[address]  # to the end
            one = waiting.popleft()
            self._count -= 1
            if waiting:
                self._waiting[address] = waiting
            one.serve()
        return bool(self._waiting) and self._served.has(now)

    def are_heard(self, now: float) -> bool:
        """Whether the listening sockets are to be looked at."""
        return self._taken.has(now)

    def wait_s(self, now: float) -> float:
        """Seconds until there is something to do here though nothing comes; 0 if nothing is awaited."""
        return soonest_s(self._taken.wait_s(now), self._served.wait_s(now) if self._waiting else 0.0)

    def close(self) -> None:
        """Turn everybody away."""
        for waiting in self._waiting.values():
            for one in waiting:
                with contextlib.suppress(OSError):
                    one.client.close()
        self._waiting.clear()
        self._count = 0


def soonest_s(*waits_s: float) -> float:
    """The shortest of those that are waits at all; 0 if none is."""
    return min((wait_s for wait_s in waits_s if wait_s > 0.0), default=0.0)
