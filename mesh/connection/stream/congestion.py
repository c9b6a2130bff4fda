"""The sender's window beside credit: shrinks where queues on the way mark what passes them.

Without marks and losses it stays out of the way: credit alone, which follows the bandwidth-delay product,
limits the sender.

Source: DCTCP, RFC 8257; growth as in RFC 5681.
"""

from typing import Final

MIN_CONGESTION_OCTETS: Final = 16 * 1024
"""As small as the smallest window: less would be all headers."""

RESTART_OCTETS: Final = 64 * 1024
"""Window after a timeout: one full segment, as at the start."""

MIN_GROWTH_OCTETS: Final = 4 * 1024
MAX_GROWTH_OCTETS: Final = 64 * 1024
"""Growth for each round without marks: an eighth of the window, within these."""

_GAIN: Final = 1 / 16
"""Weight of the newest round in the estimate of congestion: RFC 8257 section 4.2."""


class CongestionWindow:
    """Octets that may be on the way.

    Args:
        cap_octets: never more.
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
        "window_octets",
    )

    def __init__(self, cap_octets: int) -> None:
        self._cap = cap_octets
        self.window_octets = cap_octets
        self._threshold = cap_octets
        self._alpha = 1.0
        self._marked_before = 0
        self._round_ends = 0
        self._round_segments = self._round_marked = 0
        self._cut_this_round = False

    def acknowledged(
        self,
        *,
        octets: int,
        segments: int,
        marked: int,
        next_acknowledged: int,
        next_to_send: int,
        in_flight: int,
    ) -> None:
        """Learn from an acknowledgement.

        Args:
            octets: newly acknowledged.
            segments: newly acknowledged.
            marked: segments that have arrived with a mark since the stream's start.
            next_acknowledged: number below which everything is acknowledged.
            next_to_send: number of the next new segment.
            in_flight: octets on the way before this acknowledgement.
        """
        newly_marked = max(0, marked - self._marked_before)
        self._marked_before = marked
        self._round_segments += segments
        self._round_marked += newly_marked
        if newly_marked > 0:
            if not self._cut_this_round:
                self._cut_this_round = True
                window = min(self.window_octets, max(in_flight, octets))
                self.window_octets = max(int(window * (1 - self._alpha / 2)), MIN_CONGESTION_OCTETS)
                self._threshold = self.window_octets
        elif self.window_octets < self._cap and octets:
            if self.window_octets < self._threshold:
                grown = self.window_octets + octets
            else:
                growth = min(max(self.window_octets // 8, MIN_GROWTH_OCTETS), MAX_GROWTH_OCTETS)
                grown = self.window_octets + max(1, growth * octets // self.window_octets)
            self.window_octets = min(grown, self._cap)
        if next_acknowledged >= self._round_ends and self._round_segments:
            fraction = min(1.0, self._round_marked / self._round_segments)
            self._alpha += _GAIN * (fraction - self._alpha)
            self._round_segments = self._round_marked = 0
            self._round_ends = next_to_send
            self._cut_this_round = False

    def lost(self, in_flight: int) -> None:
        """Segments are missing: halve."""
        window = min(self.window_octets, max(in_flight, RESTART_OCTETS))
        self.window_octets = self._threshold = max(window // 2, MIN_CONGESTION_OCTETS)

    def timed_out(self, in_flight: int) -> None:
        """All that was on the way may be lost: start again, fast up to half of that."""
        self._threshold = max(min(self.window_octets, in_flight) // 2, RESTART_OCTETS)
        self.window_octets = min(self.window_octets, RESTART_OCTETS)
