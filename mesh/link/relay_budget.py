"""The memory that data waiting for all links of an agent shares."""

from typing import Final, Protocol

GREED: Final = 2
"""A link's queue may hold twice what is left free.

One full queue holds 2/3 of the limit, N of them 2 / (1 + 2N) each, and something always stays free: a slow
link takes memory from no other that has little waiting.
Source: dynamic queue thresholds, Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.
"""


class Queue(Protocol):
    """One that holds data for a link."""

    @property
    def data_bytes(self) -> int:
        """Memory that its data holds."""

    def drop_to(self, byte_count: int) -> None:
        """Drop data until it holds so much."""


class RelayBudget:
    """Counts the memory that data holds in the send queues of all links (``limits.relay_buffer``).

    Args:
        limit_bytes: for all links together.
    """

    __slots__ = ("_queues", "dropped_frames", "free_bytes", "limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.free_bytes = limit_bytes
        """Bytes that no queue holds. Queues count them themselves, without a call for each frame."""
        self._queues: set[Queue] = set()
        self.dropped_frames = 0
        """Frames that queues have dropped or not taken for lack of room, since the start."""

    @property
    def held_bytes(self) -> int:
        """By data of all queues."""
        return self.limit_bytes - self.free_bytes

    def join(self, queue: Queue) -> None:
        """Have ``queue`` give back what it holds beyond a smaller limit, until it leaves."""
        self._queues.add(queue)

    def leave(self, queue: Queue) -> None:
        """Its link has ended: nothing waits in it any more."""
        self._queues.discard(queue)

    def resize(self, limit_bytes: int) -> None:
        """Have another limit from now on; queues that hold too much for it drop what is more than their part.

        A queue that hardly moves would keep it else, and leave nothing for all others.
        """
        self.free_bytes += limit_bytes - self.limit_bytes
        self.limit_bytes = limit_bytes
        waiting = [queue for queue in self._queues if queue.data_bytes]
        if any(queue.data_bytes > GREED * self.free_bytes for queue in waiting):
            part_bytes = GREED * limit_bytes // (1 + GREED * len(waiting))
            for queue in waiting:
                queue.drop_to(part_bytes)

    def share_bytes(self, own_bytes: int) -> int:
        """What a queue that holds ``own_bytes`` may hold: with that it has twice what it leaves free."""
        return (self.free_bytes + own_bytes) * GREED // (1 + GREED)
