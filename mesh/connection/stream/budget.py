"""The memory that all streams of an agent share."""

from collections.abc import Hashable
from math import inf
from typing import Final

from mesh.connection.shares import GREED
from mesh.connection.stream.reached import ReachedWindows
from mesh.connection.stream.rtt import MAX_TIMEOUT_S
from mesh.connection.stream.window import DEFAULT_LIMITS, INITIAL_WINDOW_BYTES

SHARE_SHIFT: Final = 3
"""A stream's window or send buffer may take up to 1/8 of what is free.

With N of them wanting more than they get, each gets limit / (8 + N): those that came first starve nobody.
Source: dynamic queue thresholds, Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.
"""

KEPT_SHIFT: Final = 3
"""1/8 of the limit is no stream's to grow into: what is given at the floor comes out of it, so that large
windows keep nobody from opening."""

ROOMY_SHIFT: Final = 2
"""While less than 1/4 of the limit is reserved a connection starts with ``INITIAL_WINDOW_BYTES``, later with
the floor: of many most are idle, and what has been promised them is not taken back."""

LATE_S: Final = 0.25
"""A segment that takes longer is late: it tells that a queue on the way is long, or the path."""

LATE_COUNTS_S: Final = 4.0
"""How long that counts, or for twice as long as the segment took."""

MOST_LATE_S: Final = 8.0
"""What took longer counts as this: the other end chooses when it acknowledges, and all streams wait for twice
as long. That is to be over before a connection whose bytes get lost is given up, as it usually is."""

UNKNOWN_BYTES_PER_S: Final = 64 * 1024
"""Before anything is known of a path, what is sent may take as long as it does on such a one."""

LARGE_BYTES: Final = 8 * 1024
"""What opens a connection may wait at each relay behind a segment of at least so many bytes. One that comes
late after the one before it, or first, tells that the path may be slow."""

SLOW_COUNTS_S: Final = 10.0
"""How long that counts: the next one may take as long on a path of 8 KiB/s."""

COMPANY_S: Final = 1.0
"""A stream is in company for so long after another of the agent has received anything: somebody who types,
or a page that loads, should not wait behind a bulk transfer.

One that has ended meanwhile counts too. So do the two ends of one connection if the agent is its ingress
and its exit: used both ways it is in company even when alone. To tell them apart would cost every connection.
"""


class StreamBudget:
    """Counts bytes that windows and send buffers have reserved (``limits.stream_buffer``).

    What waits unsent in the kernel for a local socket that takes no more counts, too.

    What has been promised to the other end cannot be taken back, and a stream without a window would stand
    still. So an exit takes a first window for each connection that it lets in (``take_first_window``), and a
    stream keeps as much as the floor until it ends: what exits promise stays within the limit. Send buffers
    at their floor, sockets that take no more and ingress ends of connections are counted, yet not refused.
    Where all is taken ``share_bytes`` is 0, and streams shrink to their floor as they progress.

    Args:
        limit_bytes: for all streams together.
    """

    __slots__ = (
        "_divided_bytes",
        "_late_s",
        "_late_until",
        "_latest",
        "_latest_at",
        "_opened",
        "_others_at",
        "_slow_until",
        "limit_bytes",
        "marked_at",
        "reached",
        "reserved_bytes",
        "unacknowledged_segments",
    )

    def __init__(self, limit_bytes: int) -> None:
        self.resize(limit_bytes)
        self._opened: dict[Hashable, int] = {}
        """First windows taken and not given back, by ingress."""
        self.reserved_bytes = 0
        self.reached = ReachedWindows()
        """What windows of streams that have ended had come to."""
        self.unacknowledged_segments = 0
        """Segments that all streams together have sent and wait to hear of."""
        self.marked_at = -inf
        """When one of them last heard of a congestion mark."""
        self._late_s = 0.0
        self._late_until = self._slow_until = -inf
        self._latest: object = None
        """The stream that received last, until it ends."""
        self._latest_at = self._others_at = -inf
        """When it did; and when one of the others did last."""

    def resize(self, limit_bytes: int) -> None:
        """Have another limit from now on; what has been promised beyond it comes back as streams end."""
        self.limit_bytes = limit_bytes
        self._divided_bytes = limit_bytes - (limit_bytes >> KEPT_SHIFT)

    @property
    def free_bytes(self) -> int:
        """Bytes not reserved; never below 0."""
        return max(0, self.limit_bytes - self.reserved_bytes)

    @property
    def share_bytes(self) -> int:
        """What one window or send buffer may take altogether at present."""
        free = self._divided_bytes - self.reserved_bytes
        return free >> SHARE_SHIFT if free > 0 else 0

    @property
    def first_window_bytes(self) -> int:
        """The window that a connection opened now starts with."""
        is_roomy = self.reserved_bytes < self.limit_bytes >> ROOMY_SHIFT
        return INITIAL_WINDOW_BYTES if is_roomy else DEFAULT_LIMITS.floor

    def take_first_window(self, ingress: Hashable) -> int:
        """Reserve the window that a connection of ``ingress`` starts with.

        An ingress may have eight times what it leaves free, counted in floors, as in ``shares.py``; one that
        has none may take the last.

        Returns:
            Its bytes; 0 if there is none for this ingress now.
        """
        floor = DEFAULT_LIMITS.floor
        free = self.limit_bytes - self.reserved_bytes - floor
        held = self._opened.get(ingress, 0)
        if free < 0 or (held and held * floor >= GREED * free):
            return 0
        self._opened[ingress] = held + 1
        size = self.first_window_bytes
        self.reserved_bytes += size
        return size

    def leave_first_window(self, ingress: Hashable) -> None:
        """One connection less of ``ingress``; what is still reserved for it is released by who holds it."""
        held = self._opened[ingress] - 1
        if held:
            self._opened[ingress] = held
        else:
            del self._opened[ingress]

    def segment_was_late(self, took_s: float, now: float) -> None:
        """A segment of any stream was acknowledged after more than ``LATE_S``, by the path that it took."""
        took_s = min(took_s, MOST_LATE_S)
        if took_s >= self._late_s or now >= self._late_until:
            self._late_s = took_s
            self._late_until = now + max(LATE_COUNTS_S, 2 * took_s)

    def late_s(self, now: float) -> float:
        """How long segments of this agent take that are late; 0 if none lately was."""
        return self._late_s if now < self._late_until else 0.0

    def queue_s(self, in_flight_bytes: int, now: float) -> float:
        """What a stream of which no segment has been measured may wait for an acknowledgement, at the least.

        It is what others have taken, and twice that for much: the queue that made them late grows while this
        one waits in it. Little makes no queue longer, and others' lateness may be made up.
        """
        times = 2 if in_flight_bytes >= LARGE_BYTES else 1
        return min(max(in_flight_bytes / UNKNOWN_BYTES_PER_S, times * self.late_s(now)), MAX_TIMEOUT_S)

    def large_segment_came(self, now: float) -> None:
        """One of ``LARGE_BYTES`` has come more than ``LATE_S`` after the segment before it, or first."""
        self._slow_until = now + SLOW_COUNTS_S

    def is_slow(self, now: float) -> bool:
        """Whether something else of this agent takes long at present, either way."""
        return now < self._slow_until or now < self._late_until

    def in_company(self, stream: object, now: float) -> bool:
        """Note that ``stream`` receives now; whether any other has done so within ``COMPANY_S``.

        Any other: one that has ended since, and the other end of the same connection, too.
        """
        if stream is not self._latest:
            self._latest, self._others_at = stream, self._latest_at
        self._latest_at = now
        return now - self._others_at < COMPANY_S

    def forget(self, stream: object) -> None:
        """Let go of ``stream``, which has ended."""
        if stream is self._latest:
            self._latest = None

    def reserve(self, byte_count: int) -> None:
        """Count ``byte_count`` as taken."""
        self.reserved_bytes += byte_count

    def release(self, byte_count: int) -> None:
        """Count ``byte_count`` as given back."""
        self.reserved_bytes -= byte_count
