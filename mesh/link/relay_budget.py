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
        limit_octets: for all links together.
    """

    __slots__ = ("dropped_frames", "free_octets", "limit_octets")

    def __init__(self, limit_octets: int) -> None:
        self.limit_octets = limit_octets
        self.free_octets = limit_octets
        """Octets that no queue holds. Queues count them themselves, without a call for each frame."""
        self.dropped_frames = 0
        """Frames that queues have dropped or not taken for lack of room, since the start."""

    @property
    def held_octets(self) -> int:
        """By data of all queues."""
        return self.limit_octets - self.free_octets

    def share_octets(self, own_octets: int) -> int:
        """What a queue that holds ``own_octets`` may hold: with that it has twice what it leaves free."""
        return (self.free_octets + own_octets) * GREED // (1 + GREED)
