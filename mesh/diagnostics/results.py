"""What a probe has found, so far or in the end, and its figures for people."""

import enum
import math
from collections.abc import Sequence
from typing import Final

import msgspec

KEPT_ROUND_TRIPS: Final = 1_000
"""The latest ones that a result has: all figures of round trips are of these."""


class ProbeState(enum.Enum):
    """Where a probe stands."""

    WAITING = "waiting"
    OPENING = "opening"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


ENDED: Final = frozenset({ProbeState.DONE, ProbeState.FAILED})


class Result(msgspec.Struct, frozen=True):
    """Of one probe."""

    state: ProbeState = ProbeState.WAITING
    code: str = ""
    """Why it failed: the code of a REJECT or of the ingress's own; empty if there is none."""
    error: str = ""
    """The same in a sentence for people."""
    open_s: float | None = None
    """Until the exit had answered."""
    sent: int = 0
    """Pings."""
    answered: int = 0
    """Of these, in time."""
    late: int = 0
    """Of these, after the time-out."""
    round_trips_s: tuple[float, ...] = ()
    """Of the latest answers, late ones as well, in the order in which they came."""
    byte_count: int = 0
    """That a bench has carried."""
    carried_s: float = 0.0
    """How long that took."""


class RoundTrips(msgspec.Struct, frozen=True):
    """How round trips are spread, in milliseconds."""

    min: float
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


def spread_of(round_trips_s: Sequence[float]) -> RoundTrips | None:
    """The figures of some round trips; ``None`` if there are none. A percentile is one that was measured."""
    if not round_trips_s:
        return None
    ordered = sorted(round_trips_s)

    def nearest_rank(percent: int) -> float:
        return _ms(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)])

    return RoundTrips(
        min=_ms(ordered[0]),
        mean=_ms(sum(ordered) / len(ordered)),
        p50=nearest_rank(50),
        p90=nearest_rank(90),
        p99=nearest_rank(99),
        max=_ms(ordered[-1]),
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
