"""The sender's window beside credit: shrinks when queues on the way mark what passes them.

Without marks and losses it stays out of the way: credit alone, which follows the bandwidth-delay product,
limits the sender.

Source: DCTCP, RFC 8257; growth as in RFC 5681.
"""

from typing import Final

MIN_CONGESTION_BYTES: Final = 16 * 1024
"""As small as the smallest window: less would be all headers."""

RESTART_BYTES: Final = 64 * 1024
"""Window after a timeout: one full segment, as at the start."""

MIN_GROWTH_BYTES: Final = 4 * 1024
MAX_GROWTH_BYTES: Final = 64 * 1024
GROWTH_PERIOD_S: Final = 0.01
"""Growth for each round without marks: an eighth of the window, but at least the first of these, and at most
the second for each such period that the round takes, or for one. On a long and fast path the first marks come
when the links' own TCP is slow to begin, and halve a window of megabytes: with 64 KiB a round it took 5 s on
a path of 80 ms to double again, and takes 0.7 s so."""

_GAIN: Final = 1 / 16
"""Weight of the newest round in the estimate of congestion: RFC 8257 section 4.2."""


class CongestionWindow:
    """Bytes that may be on the way.

    Args:
        cap_bytes: never more.
    """

    __slots__ = (
        "_alpha",
        "_cap",
        "_cut_this_round",
        "_marked_before",
        "_round_ends",
        "_round_marked",
        "_round_segments",
        "_threshold",
        "window_bytes",
    )

    def __init__(self, cap_bytes: int) -> None:
        self._cap = cap_bytes
        self.window_bytes = cap_bytes
        self._threshold = cap_bytes
        self._alpha = 1.0
        self._marked_before = 0
        self._round_ends = 0
        self._round_segments = self._round_marked = 0
        self._cut_this_round = False

    def acknowledged(
        self,
        *,
        byte_count: int,
        segments: int,
        marked: int,
        next_acknowledged: int,
        next_to_send: int,
        in_flight: int,
        round_trip_s: float,
    ) -> None:
        """Learn from an acknowledgement.

        Args:
            byte_count: newly acknowledged.
            segments: newly acknowledged.
            marked: segments that have arrived with a mark since the stream's start.
            next_acknowledged: number below which everything is acknowledged.
            next_to_send: number of the next new segment.
            in_flight: bytes on the way before this acknowledgement.
            round_trip_s: the smallest of late; 0 if unknown.
        """
        newly_marked = max(0, marked - self._marked_before)
        self._marked_before = marked
        self._round_segments += segments
        self._round_marked += newly_marked
        if newly_marked > 0:
            if not self._cut_this_round:
                self._cut_this_round = True
                window = min(self.window_bytes, max(in_flight, byte_count))
                self.window_bytes = max(int(window * (1 - self._alpha / 2)), MIN_CONGESTION_BYTES)
                self._threshold = self.window_bytes
        elif self.window_bytes < self._cap and byte_count:
            if self.window_bytes < self._threshold:
                grown = self.window_bytes + byte_count
            else:
                most = MAX_GROWTH_BYTES * max(1.0, round_trip_s / GROWTH_PERIOD_S)
                growth = min(max(self.window_bytes // 8, MIN_GROWTH_BYTES), int(most))
                grown = self.window_bytes + max(1, growth * byte_count // self.window_bytes)
            self.window_bytes = min(grown, self._cap)
        if next_acknowledged >= self._round_ends and self._round_segments:
            fraction = min(1.0, self._round_marked / self._round_segments)
            self._alpha += _GAIN * (fraction - self._alpha)
            self._round_segments = self._round_marked = 0
            self._round_ends = next_to_send
            self._cut_this_round = False

    def lost(self, in_flight: int) -> None:
        """Segments are missing: halve."""
        window = min(self.window_bytes, max(in_flight, RESTART_BYTES))
        self.window_bytes = self._threshold = max(window // 2, MIN_CONGESTION_BYTES)

    def timed_out(self, in_flight: int) -> None:
        """All that was on the way may be lost: start again, fast up to half of that."""
        self._threshold = max(min(self.window_bytes, in_flight) // 2, RESTART_BYTES)
        self.window_bytes = min(self.window_bytes, RESTART_BYTES)
