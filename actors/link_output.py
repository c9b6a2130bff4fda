"""What a link has to send, and how far its socket has taken it."""

from collections import deque
from typing import Final

from actors.gather import drop_sent
from actors.runtime.seam import StreamSocket
from mesh.frames import Frame, FrameWriter
from mesh.relay_budget import RelayBudget
from mesh.send_queue import SendQueue

MARK_DELAY_S: Final = 0.02
MAX_MARK_OCTETS: Final = 4 * 1024 * 1024
"""Data is marked when more waits than the link takes in the former time, or than the latter.

A fixed depth of 256 KiB held a fast link (loopback, three agents) to 165 MB/s at 6.9 CPU s/GiB; with 2 MiB it
carried 410 MB/s at 4.4. A slow link keeps its short queue this way.
"""

MEASURE_S: Final = 0.05
"""Over which a link's pace is measured."""

WRITE_BATCH_OCTETS: Final = 256 * 1024
"""Octets taken from the send queue for one gathered write."""


class LinkOutput:
    """Sends handshake octets as they are, then frames: sealed in the order in which they leave.

    Args:
        socket: owned by the link; it reports room to the link, which then calls :meth:`flush`.
        budget: of all links, for waiting data.
        mark_octets: above this, and what a fast link takes in ``MARK_DELAY_S``, data is marked as it leaves.
    """

    def __init__(self, socket: StreamSocket, *, budget: RelayBudget, mark_octets: int) -> None:
        self._socket = socket
        self._queue = SendQueue(budget=budget, mark_octets=mark_octets)
        self._least_mark_octets = mark_octets
        self._measured_octets = 0
        self._measured_since = 0.0
        self._writer: FrameWriter | None = None
        self._unsent: deque[bytes | memoryview] = deque()
        self.is_blocked = False
        """Whether the socket had no room; it says when it has."""
        self.took_at = 0.0
        """When the socket last took anything, monotonic seconds."""

    @property
    def control_octets(self) -> int:
        """Memory held by the control lane."""
        return self._queue.control_octets

    @property
    def has_work(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._unsent or self._queue.frames)

    def say(self, octets: bytes) -> None:
        """Let handshake octets wait to be sent."""
        self._unsent.append(octets)

    def seal_with(self, key: bytes) -> None:
        """From now on frames may leave, sealed with the link's key."""
        self._writer = FrameWriter(key)

    def push(self, frame: Frame) -> None:
        """Let a frame wait for its turn."""
        self._queue.push(frame)

    def flush(self, now: float) -> bool:
        """Send until the socket is full or nothing is left; whether nothing is left.

        Raises:
            OSError: the stream is broken.
        """
        unsent = self._unsent
        while True:
            if not unsent and self._writer is not None:
                for frame in self._queue.pop_batch(WRITE_BATCH_OCTETS):
                    unsent.extend(self._writer.seal(frame))
            if not unsent:
                self._wait_for_room(False)
                return True
            try:
                sent = self._socket.send(unsent)
            except BlockingIOError:
                self._wait_for_room(True)
                return False
            self.took_at = now
            self._follow_pace(sent, now)
            drop_sent(unsent, sent)

    def release(self) -> None:
        """Give back to the budget what waits: the link has ended."""
        self._queue.clear()

    def _follow_pace(self, sent: int, now: float) -> None:
        elapsed_s = now - self._measured_since
        self._measured_octets += sent
        if elapsed_s >= MEASURE_S:
            depth = int(self._measured_octets / elapsed_s * MARK_DELAY_S)
            self._queue.mark_octets = min(max(depth, self._least_mark_octets), MAX_MARK_OCTETS)
            self._measured_octets, self._measured_since = 0, now

    def _wait_for_room(self, enabled: bool) -> None:
        if enabled != self.is_blocked:
            self.is_blocked = enabled
            self._socket.watch_write(enabled)
