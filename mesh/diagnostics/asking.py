"""The asking ends of diagnostics: a ping, the opening of a service, a bench each way."""

import struct
from collections import deque
from math import inf
from typing import Final, Protocol

import msgspec

from mesh.diagnostics.results import KEPT_ROUND_TRIPS, Result
from mesh.diagnostics.serving import BENCH_GRACE_S, BENCH_REQUEST, BENCH_RESULT, Direction
from mesh.diagnostics.talk import PIECE_BYTES, Silence, Talk

PING: Final = struct.Struct(">Q")
"""What a ping begins with: its number. Zeros follow."""

_NOTHING_MUCH: Final = bytes(PIECE_BYTES)


class Question(Talk, Protocol):
    """An end that has something to say of what it finds."""

    def opened(self, now: float) -> None:
        """The other end is there."""
        ...

    def found(self, result: Result) -> Result:
        """``result`` with all that this knows by now."""
        ...

    @property
    def failure(self) -> str:
        """Why it has not found what it was to find, once it is over; empty if it has."""
        ...


class Opening(Silence):
    """Opens a connection to a service as a client would, and lets go of it at once."""

    def opened(self, now: float) -> None:
        """That is all."""
        del now
        self.has_finished = self.is_over = True

    def found(self, result: Result) -> Result:
        """Nothing more."""
        return result

    @property
    def failure(self) -> str:
        """None."""
        return ""


class Pinging(Silence):
    """Sends pings to an echo and takes the time.

    What carries them repeats what is lost, so an answer may be late and is hardly ever missing: one that has
    not come within ``timeout_s`` counts as lost, or as late if it comes after all.

    Args:
        count: of pings; 0 is as many as there is time for.
        interval_s: between two.
        timeout_s: for the answer to each.
        size: of each, in bytes, at least those of its number.
    """

    def __init__(self, *, count: int, interval_s: float, timeout_s: float, size: int) -> None:
        super().__init__()
        self._count = count or inf
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._size = size
        self._sent = self._answered = self._late = 0
        self._next_at = inf
        self._sent_at: dict[int, float] = {}
        """Those that have no answer yet, the oldest first."""
        self._last_due = inf
        self._round_trips_s: deque[float] = deque(maxlen=KEPT_ROUND_TRIPS)
        self._received = b""
        self._is_strange = self._is_cut_short = False

    def opened(self, now: float) -> None:
        """Begin."""
        self._next_at = now

    def take(self, data: bytes, now: float) -> None:
        """Compare answers with what was asked; what was not asked is of nobody's pings, and ends it."""
        data = self._received + data
        for start in range(0, len(data) - self._size + 1, self._size):
            (number,) = PING.unpack_from(data, start)
            sent_at = self._sent_at.pop(number, None)
            if sent_at is None:
                self._is_strange = self.has_finished = self.is_over = True
                return
            round_trip_s = now - sent_at
            self._round_trips_s.append(round_trip_s)
            if round_trip_s <= self._timeout_s:
                self._answered += 1
            else:
                self._late += 1
        self._received = data[len(data) - len(data) % self._size :]
        self.look(now)

    def ended(self, now: float) -> None:
        """The echo has ended it: that is too early, if it is not over."""
        self._is_cut_short = not self.is_over
        super().ended(now)

    def next_piece(self, now: float) -> bytes:
        """The next ping, when it is due."""
        if now < self._next_at:
            return b""
        number = self._sent
        self._sent += 1
        self._sent_at[number] = now
        # Not the time that it was due: after a pause there are not many at once.
        self._next_at = now + self._interval_s if self._sent < self._count else inf
        if self._next_at == inf:
            self._last_due = now + self._timeout_s
        return PING.pack(number) + bytes(self._size - PING.size)

    def deadline(self) -> float:
        """When the next ping, or the last answer, is due."""
        return min(self._next_at, self._last_due)

    def look(self, now: float) -> None:
        """End if no answer is waited for any more."""
        if self._sent >= self._count and (not self._sent_at or now >= self._last_due):
            self.has_finished = self.is_over = True

    def found(self, result: Result) -> Result:
        """Counts and round trips."""
        return msgspec.structs.replace(
            result,
            sent=self._sent,
            answered=self._answered,
            late=self._late,
            round_trips_s=tuple(self._round_trips_s),
        )

    @property
    def failure(self) -> str:
        """Whether it was cut short, or has found nobody."""
        if self._is_strange:
            return "it answers what it was not asked"
        if self._is_cut_short:
            return f"the other end has ended the connection after {self._sent} pings: is its agent leaving?"
        return "" if self._answered else f"no answer within {self._timeout_s:g} s"


class _Carrying(Silence):
    """What both ways of a bench have in common.

    Args:
        direction: which way.
        seconds: how long it shall take.
    """

    def __init__(self, direction: Direction, seconds: float) -> None:
        super().__init__()
        self._direction = direction
        self._seconds = seconds
        self._began_at = inf
        self._byte_count = 0
        self._carried_s = 0.0
        self._has_asked = False

    def opened(self, now: float) -> None:
        """Begin."""
        self._began_at = now

    def deadline(self) -> float:
        """When it should long have been over."""
        return self._began_at + self._seconds + BENCH_GRACE_S

    def look(self, now: float) -> None:
        """Give up if it should long have been over."""
        self.has_expired = now >= self.deadline()

    def _request(self) -> bytes:
        self._has_asked = True
        return BENCH_REQUEST.pack(self._direction, round(self._seconds * 1000))

    def found(self, result: Result) -> Result:
        """Bytes and time."""
        return msgspec.structs.replace(result, byte_count=self._byte_count, carried_s=self._carried_s)

    @property
    def failure(self) -> str:
        """Whether nothing was carried."""
        return "" if self._byte_count else "nothing was carried"


class Uploading(_Carrying):
    """Sends as much as it can for a while; what counts is what has arrived when the other end says so."""

    def __init__(self, seconds: float) -> None:
        super().__init__(Direction.UPLOAD, seconds)
        self._answer = b""

    def next_piece(self, now: float) -> bytes:
        """More, until the time is up."""
        if now < self._began_at or self.has_finished:
            return b""
        if not self._has_asked:
            return self._request()
        if now < self._began_at + self._seconds:
            return _NOTHING_MUCH
        self.has_finished = True
        return b""

    def take(self, data: bytes, now: float) -> None:
        """Read what has arrived there."""
        self._answer += data[: BENCH_RESULT.size - len(self._answer)]  # any amount may come
        if len(self._answer) == BENCH_RESULT.size and self.has_finished and not self.is_over:
            (self._byte_count,) = BENCH_RESULT.unpack(self._answer)
            self._carried_s = now - self._began_at
            self.is_over = True


class Downloading(_Carrying):
    """Takes as much as comes until it ends."""

    def __init__(self, seconds: float) -> None:
        super().__init__(Direction.DOWNLOAD, seconds)

    def next_piece(self, now: float) -> bytes:
        """The request, once."""
        if now < self._began_at or self.has_finished:
            return b""
        self.has_finished = True
        return self._request()

    def take(self, data: bytes, now: float) -> None:
        """Count."""
        self._byte_count += len(data)
        self._carried_s = now - self._began_at
