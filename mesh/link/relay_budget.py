"""The memory that data waiting for all links of an agent shares."""

from typing import Final

GREED: Final = 2
"""A link's queue may hold twice what is left free.

One full queue holds 2/3 of the limit, N of them 2 / (1 + 2N) each, and something always stays free: a slow
link takes memory from no other that has little waiting.
Source: dynamic queue thresholds, Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.
"""


class RelayBudget:
    """Counts the memory that data holds in the send queues of all links (``limits.relay_buffer``).

    Args:
        limit_bytes: for all links together.
    """

    __slots__ = ("dropped_frames", "free_bytes", "limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.free_bytes = limit_bytes
        """Bytes that no queue holds. Queues count them themselves, without a call for each frame."""
        self.dropped_frames = 0
        """Frames that queues have dropped or not taken for lack of room, since the start."""

    @property
    def held_bytes(self) -> int:
        """By data of all queues."""
        return self.limit_bytes - self.free_bytes

    def resize(self, limit_bytes: int) -> None:
        """Have another limit from now on; what queues hold beyond it goes as they send."""
        self.free_bytes += limit_bytes - self.limit_bytes
        self.limit_bytes = limit_bytes

    def share_bytes(self, own_bytes: int) -> int:
        """What a queue that holds ``own_bytes`` may hold: with that it has twice what it leaves free."""
        return (self.free_bytes + own_bytes) * GREED // (1 + GREED)
