"""Round-trip times: the smoothed one for timers, the smallest one for windows."""

from math import inf
from typing import Final

MAX_ACK_DELAY_S: Final = 0.025
"""Longest time an acknowledgement is held back: 25 ms, as QUIC's max_ack_delay (RFC 9000 section 18.2)."""

INITIAL_TIMEOUT_S: Final = 1.0
"""Retransmission timeout before the first sample: RFC 6298 section 2.1."""

MIN_TIMEOUT_S: Final = 0.2
"""Least retransmission timeout. RFC 6298 says 1 s; Linux, like here, 200 ms: links are reliable."""

MAX_TIMEOUT_S: Final = 5.0
"""Longest time between two repetitions: half a dozen tries before a connection is given up."""

MINIMUM_WINDOW_S: Final = 10.0
"""How long the smallest sample counts (BBR, draft-ietf-ccwg-bbr, uses 10 s too): paths change."""

_ALPHA: Final = 1 / 8
_BETA: Final = 1 / 4


class RoundTrip:
    """Estimates the round-trip time from samples. Source: RFC 6298."""

    __slots__ = (
        "_bucket_ends_at",
        "_minimum",
        "_previous_minimum",
        "_variation_s",
        "is_of_segments",
        "minimum_s",
        "sampled_at",
        "smoothed_s",
        "tail_probe_s",
        "timeout_s",
    )

    def __init__(self) -> None:
        self.smoothed_s: float | None = None
        """None before the first sample."""
        self.sampled_at = -inf
        self.is_of_segments = False
        """Whether a segment has been measured, or PROBEs only."""
        self._variation_s = 0.0
        self.timeout_s = INITIAL_TIMEOUT_S
        """After which a segment counts as unanswered (RTO), the other end's delay of its ACK included."""
        self.tail_probe_s = INITIAL_TIMEOUT_S
        """After which to repeat the last segment: RFC 8985 section 7.2, with a margin for variation."""
        self._minimum = self._previous_minimum = inf
        self.minimum_s = 0.0
        """The smallest of the samples of the last 10 to 20 s; 0 before the first."""
        self._bucket_ends_at = -inf

    def sample(self, rtt_s: float, now: float) -> None:
        """Take in what one segment has taken; at least a microsecond counts."""
        rtt_s = max(rtt_s, 1e-6)
        smoothed_s = self.smoothed_s
        if self.is_of_segments and smoothed_s is not None:
            self._variation_s += _BETA * (abs(smoothed_s - rtt_s) - self._variation_s)
            self._follow(smoothed_s + _ALPHA * (rtt_s - smoothed_s), rtt_s, now)
        else:
            self.is_of_segments = True
            self._variation_s = rtt_s / 2
            self._follow(rtt_s, rtt_s, now)

    def sample_of_probe(self, rtt_s: float, now: float) -> None:
        """Take in what a PROBE has taken, which overtakes segments: timers go by it only before the first."""
        rtt_s = max(rtt_s, 1e-6)
        if self.is_of_segments:
            self._take_minimum(rtt_s, now)
        else:
            self._variation_s = rtt_s / 2
            self._follow(rtt_s, rtt_s, now)

    def _follow(self, smoothed_s: float, rtt_s: float, now: float) -> None:
        self.smoothed_s = smoothed_s
        likely_s = smoothed_s + 4 * self._variation_s
        self.timeout_s = min(max(likely_s + MAX_ACK_DELAY_S, MIN_TIMEOUT_S), MAX_TIMEOUT_S)
        self.tail_probe_s = max(2 * smoothed_s, likely_s) + 1.4 * MAX_ACK_DELAY_S
        self._take_minimum(rtt_s, now)

    def _take_minimum(self, rtt_s: float, now: float) -> None:
        self.sampled_at = now
        if now >= self._bucket_ends_at:
            stale = now >= self._bucket_ends_at + MINIMUM_WINDOW_S
            self._previous_minimum = inf if stale else self._minimum
            self._minimum = rtt_s
            self._bucket_ends_at = now + MINIMUM_WINDOW_S
        elif rtt_s < self._minimum:
            self._minimum = rtt_s
        self.minimum_s = min(self._minimum, self._previous_minimum)

    @property
    def stall_s(self) -> float:
        """After which an acknowledgement is late even on a path that has become twice as slow; 0 if unknown.

        Other than a timeout it has no upper bound: a queue of many seconds is no stall.
        """
        return 0.0 if self.smoothed_s is None else 2 * (self.smoothed_s + 4 * self._variation_s)

    def backed_off_s(self, repetitions: int, longest_s: float = MAX_TIMEOUT_S) -> float:
        """The timeout after so many repetitions: doubled with each, up to ``longest_s``."""
        return min(self.timeout_s * float(1 << min(repetitions, 16)), longest_s)
