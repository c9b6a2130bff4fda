"""The memory that all streams of an agent share."""

from math import inf
from typing import Final

SHARE_SHIFT: Final = 3
"""A stream's window or send buffer may take up to 1/8 of what is free.

With N of them wanting more than they get, each gets limit / (8 + N): those that came first starve nobody.
Source: dynamic queue thresholds, Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.
"""

COMPANY_S: Final = 1.0
"""A stream is in company for so long after another of the agent has received anything: somebody who types,
or a page that loads, should not wait behind a bulk transfer.

One that has ended meanwhile counts too. So do the two ends of one connection if the agent is its ingress
and its exit: used both ways it is in company even when alone. To tell them apart would cost every connection.
"""


class StreamBudget:
    """Counts bytes that windows and send buffers have reserved (``limits.stream_buffer``).

    What waits unsent in the kernel for a local socket that takes no more counts, too.

    What has been promised to the other end cannot be taken back, and the smallest window is always given: a
    stream without one would stand still. So reservations may exceed the limit by as much; ``share_bytes`` is
    then 0, and streams shrink to their floor as they progress.

    Args:
        limit_bytes: for all streams together.
    """

    __slots__ = (
        "_latest",
        "_latest_at",
        "_others_at",
        "limit_bytes",
        "marked_at",
        "reserved_bytes",
        "unacknowledged_segments",
    )

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.reserved_bytes = 0
        self.unacknowledged_segments = 0
        """Segments that all streams together have sent and wait to hear of."""
        self.marked_at = -inf
        """When one of them last heard of a congestion mark."""
        self._latest: object = None
        """The stream that received last, until it ends."""
        self._latest_at = self._others_at = -inf
        """When it did; and when one of the others did last."""

    @property
    def free_bytes(self) -> int:
        """Bytes not reserved; never below 0."""
        return max(0, self.limit_bytes - self.reserved_bytes)

    @property
    def share_bytes(self) -> int:
        """What one window or send buffer may take altogether at present."""
        free = self.limit_bytes - self.reserved_bytes
        return free >> SHARE_SHIFT if free > 0 else 0

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
