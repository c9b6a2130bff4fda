"""How often measured times fall into fixed ranges."""

from bisect import bisect_left
from typing import Final

OPENING_BOUNDS_S: Final[tuple[float, ...]] = (0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Opening a connection takes a round trip or two and the connect at the target: from one machine to a
satellite, and on to an exit that did not answer."""

ROUND_TRIP_BOUNDS_S: Final[tuple[float, ...]] = (0.000_5, 0.002, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Of a link: on one machine, at one site, in a country, across the sea, by satellite, behind a queue."""


class Histogram:
    """Counts observations; one thread observes, others may read ``counts`` at once with ``tuple()``.

    Args:
        bounds: upper ends of the ranges in rising order, each within its range.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Of each range; the last is of all that is beyond the others."""
        self.total = 0.0
        """The sum of all that was observed."""

    def observe(self, value: float) -> None:
        """Count ``value``."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
