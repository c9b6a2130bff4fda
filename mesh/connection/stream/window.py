"""How far ahead a receiver lets the sender go."""

from typing import Final, NamedTuple

from mesh.connection.stream.lost_pace import LostPace
from mesh.link.frames import MAX_SEGMENT_BYTES

INITIAL_WINDOW_BYTES: Final = 64 * 1024
"""Credit that OPEN gives, and ACCEPT while the exit has room."""

LEAST_WINDOW_BYTES: Final = 16 * 1024
"""Given even if the budget is used up; kept for a stream until it ends."""

MOST_WINDOW_BYTES: Final = 8 * 1024 * 1024
"""A path of 80 ms carries about 80 MB/s with it. The TCP connection of each link, whose round trip is a part
of the path's, has 4 MiB of Linux by default (tcp_wmem): more would only wait elsewhere."""

SMALLEST_ACK_BYTES: Final = 8 * 1024
LARGEST_ACK_BYTES: Final = 512 * 1024
"""Bytes after which to acknowledge: a quarter of a round's, within these: half of the smallest congestion
window, and eight full segments."""

ROUND_FLOOR_S: Final = 0.002
"""A round is at least as long: event loops on the way work in batches, which less would starve."""

CROWDED_ROUND_FLOOR_S: Final = 0.0003
CROWDED_QUEUE_BYTES: Final = 320 * 1024
"""Where a path is shorter than that and others use it, the queue that a stream keeps on it is what they wait
for: a round is what it takes, at least the former, and the window one round's bytes and the latter, not two
rounds'. After TCP Vegas, Brakmo and Peterson, IEEE JSAC 13(8), 1995, which keeps so many segments queued.

A ping beside a bulk transfer through three agents on two cores: p99 11.5 ms before, 4.5 ms so; the transfer
keeps four fifths of its rate meanwhile. Less queue takes more of the rate than of the wait."""

_CROWDED_DECAY: Final = 8
"""A crowded window falls by this part of its excess with each round: one scarce round says little."""


class WindowLimits(NamedTuple):
    """Sizes of a receive window, in bytes."""

    floor: int = LEAST_WINDOW_BYTES
    cap: int = MOST_WINDOW_BYTES


DEFAULT_LIMITS: Final = WindowLimits()


class ReceiveWindow:
    """Grows with the bandwidth-delay product.

    Twice what arrives in the smallest round-trip time: while the path has room the window doubles each round,
    and once a queue as long as the path has formed it stays. The smallest round-trip time does not count the
    queue, so the queue cannot feed the window. A segment more, because credit moves on by whole segments.

    Source: dynamic right-sizing, Fisk and Feng, LACSI 2001. On a short path that others use it is smaller.
    If others have taken most of the stream's pace it is larger, as long as that helps: ``lost_pace.py``.
    """

    __slots__ = (
        "_cap",
        "_floor",
        "_lost_pace",
        "_most_in_a_round",
        "_round_bytes",
        "_round_started_at",
        "_wanted",
        "ack_bytes",
        "size_bytes",
    )

    def __init__(self, limits: WindowLimits, first_bytes: int = INITIAL_WINDOW_BYTES) -> None:
        self._floor, self._cap = limits.floor, limits.cap
        self._wanted = self.size_bytes = first_bytes
        self.ack_bytes = min(SMALLEST_ACK_BYTES, first_bytes // 4)
        """Bytes after which an acknowledgement is due."""
        self._round_started_at: float | None = None
        self._round_bytes = 0
        self._most_in_a_round = 0
        self._lost_pace: LostPace | None = None
        """Made once a whole window has arrived: before that it has nothing to judge, and most streams end."""

    def update(
        self, received_bytes: int, now: float, minimum_rtt_s: float, share_bytes: int, *, in_company: bool
    ) -> None:
        """Follow the stream.

        Args:
            received_bytes: since the stream's start.
            now: seconds.
            minimum_rtt_s: 0 if unknown.
            share_bytes: what the budget lets one window have.
            in_company: other streams of the agent are in use.
        """
        if self._round_started_at is None:
            self._round_bytes, self._round_started_at = received_bytes, now
        elapsed = now - self._round_started_at
        crowded = in_company and 0.0 < minimum_rtt_s < ROUND_FLOOR_S
        round_s = max(minimum_rtt_s, CROWDED_ROUND_FLOOR_S if crowded else ROUND_FLOOR_S)
        in_a_round = received_bytes - self._round_bytes  # at the least, while the round lasts
        is_over = elapsed >= round_s
        if is_over:
            in_a_round = int(in_a_round * round_s / elapsed)
            self._most_in_a_round = max(self._most_in_a_round, in_a_round)
            self._round_bytes, self._round_started_at = received_bytes, now
            if self._lost_pace is not None:
                self._lost_pace.round_over(received_bytes, now, self.size_bytes)
            elif received_bytes >= self.size_bytes:
                self._lost_pace = LostPace(self._cap)
                self._lost_pace.hindered(received_bytes, now)
        if is_over or in_a_round > 4 * self.ack_bytes:
            self.ack_bytes = min(max(in_a_round // 4, SMALLEST_ACK_BYTES), LARGEST_ACK_BYTES)
        if crowded:
            wanted = in_a_round + min(2 * in_a_round, CROWDED_QUEUE_BYTES)
            if is_over and wanted < self._wanted:
                excess = self._wanted - max(wanted, INITIAL_WINDOW_BYTES)
                self._wanted -= excess // _CROWDED_DECAY
        else:
            wanted = 2 * in_a_round + min(2 * in_a_round, MAX_SEGMENT_BYTES)
        self._wanted = min(max(self._wanted, wanted), self._cap)
        wanted = self._wanted
        if self._lost_pace is not None and self._lost_pace.least_bytes > wanted:
            wanted = self._lost_pace.least_bytes
        self.size_bytes = max(min(wanted, share_bytes), self._floor)
        self.ack_bytes = min(self.ack_bytes, self.size_bytes // 4)

    def begin_with(self, byte_count: int, share_bytes: int) -> None:
        """Have at least ``byte_count``, as far as the budget lets one window have them."""
        self._wanted = min(max(self._wanted, byte_count), self._cap)
        self.size_bytes = max(min(self._wanted, share_bytes), self.size_bytes)

    def reached_bytes(self, received_bytes: int) -> int:
        """What it has come to by what has arrived, and not by what it began with; 0 before anything has."""
        if self._round_started_at is None:
            return 0
        return min(2 * max(self._most_in_a_round, received_bytes - self._round_bytes), self._cap)

    def hindered(self, received_bytes: int, now: float) -> None:
        """The local socket has not taken all of the ``received_bytes`` that were handed out."""
        if self._lost_pace is not None:
            self._lost_pace.hindered(received_bytes, now)
