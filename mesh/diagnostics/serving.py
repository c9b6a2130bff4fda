"""What an agent serves by itself to those that diagnose the mesh: an echo, and a bench.

Both are bounded, for whoever asks may mean harm: the echo in bytes a second, both in time.
"""

import enum
import struct
from collections.abc import Callable, Mapping
from math import inf
from types import MappingProxyType
from typing import Final

from mesh.connection.reserved import BENCH, ECHO
from mesh.diagnostics.talk import PIECE_BYTES, Silence, Talk
from mesh.token_bucket import TokenBucket

ECHO_RATE: Final = 64 * 1024
"""Bytes a second that an echo gives back; a hundred pings of the largest size."""

ECHO_BURST: Final = 64 * 1024

ECHO_WAITING_BYTES: Final = 16 * 1024
"""Held for somebody who does not read; no more is taken then."""

ECHO_IDLE_S: Final = 120.0
"""Without a byte for so long an echo is over: whoever pings does so at least once a minute."""

ECHO_LIFE_S: Final = 3600.0
"""No echo lasts longer; whoever pings for longer opens another."""

BENCH_MAX_S: Final = 10.0
"""How long a bench gives or takes, whatever it is asked for."""

BENCH_GRACE_S: Final = 20.0
"""For what is under way then, on a slow path."""

BENCH_REQUEST: Final = struct.Struct(">BI")
"""Direction, and for how many milliseconds."""

BENCH_RESULT: Final = struct.Struct(">Q")
"""Bytes that have been taken."""


class Direction(enum.IntEnum):
    """Which way a bench carries, as seen from whoever asks; the value is what is sent."""

    UPLOAD = ord("u")
    DOWNLOAD = ord("d")


_DIRECTIONS: Final = frozenset(Direction)

_NOTHING_MUCH: Final = bytes(PIECE_BYTES)


class Echo(Silence):
    """Gives back what it gets.

    Args:
        now: when it begins, in monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        super().__init__()
        self._waiting = bytearray()
        self._allowance = TokenBucket(ECHO_RATE, ECHO_BURST)
        self._has_ended = False
        self._heard_at = now
        self._ends_at = now + ECHO_LIFE_S
        self._goes_on_at = inf
        """When there is room again; never, if there is now, or what waits is in the way."""

    def room(self, now: float) -> int:
        """As much as it may give back."""
        self._goes_on_at = inf
        free = ECHO_WAITING_BYTES - len(self._waiting)
        if free <= 0:
            return 0
        if not self._allowance.has(now):
            self._goes_on_at = now + self._allowance.wait_s(now)
            return 0
        return free

    def take(self, data: bytes, now: float) -> None:
        """Keep it until it can be given back."""
        self._heard_at = now
        self._allowance.spend(now, len(data))
        self._waiting += data

    def ended(self, now: float) -> None:
        """Give back what waits, and end."""
        del now
        self._has_ended = True

    def next_piece(self, now: float) -> bytes:
        """All that waits."""
        del now
        piece = bytes(self._waiting)
        self._waiting.clear()
        if not piece and self._has_ended:
            self.has_finished = self.is_over = True
        return piece

    def deadline(self) -> float:
        """When it has been silent, or here, for too long; or when it takes more."""
        return min(self._heard_at + ECHO_IDLE_S, self._ends_at, self._goes_on_at)

    def look(self, now: float) -> None:
        """End it if it has lasted long enough."""
        self.has_expired = now >= min(self._heard_at + ECHO_IDLE_S, self._ends_at)


class Bench(Silence):
    """Takes what it gets and says how much it was, or gives for as long as it is asked to.

    Args:
        now: when it begins, in monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        super().__init__()
        self._request = b""
        self._direction = 0
        """0 until the request has come."""
        self._taken = 0
        self._has_ended = False
        self._stops_at = inf
        self._ends_at = now + BENCH_MAX_S + BENCH_GRACE_S

    def take(self, data: bytes, now: float) -> None:
        """Read the request; of what follows, only how much it is counts."""
        if self._direction:
            self._taken += len(data)
            return
        self._request += data
        if len(self._request) < BENCH_REQUEST.size:
            return
        direction, milliseconds = BENCH_REQUEST.unpack_from(self._request)
        self._taken = len(self._request) - BENCH_REQUEST.size
        self._request = b""
        if direction not in _DIRECTIONS:
            self.has_finished = self.is_over = True
            return
        self._direction = direction
        self._stops_at = now + min(milliseconds / 1000, BENCH_MAX_S)

    def ended(self, now: float) -> None:
        """Say how much was taken; one that gives goes on."""
        del now
        self._has_ended = True
        if not self._direction or self.has_finished:
            self.has_finished = self.is_over = True

    def next_piece(self, now: float) -> bytes:
        """More, if it gives; the result, once all has been taken."""
        if self.has_finished:
            return b""
        if self._direction == Direction.DOWNLOAD and now < self._stops_at:
            return _NOTHING_MUCH
        if self._direction == Direction.DOWNLOAD:
            self.has_finished = True
            self.is_over = self._has_ended
        elif self._direction == Direction.UPLOAD and self._has_ended:
            self.has_finished = self.is_over = True
            return BENCH_RESULT.pack(self._taken)
        return b""

    def deadline(self) -> float:
        """When it has lasted long enough."""
        return self._ends_at

    def look(self, now: float) -> None:
        """End it if it has lasted long enough."""
        self.has_expired = now >= self._ends_at


TALKS: Final[Mapping[str, Callable[[float], Talk]]] = MappingProxyType({ECHO: Echo, BENCH: Bench})
"""What each service says, from the time at which it begins."""
