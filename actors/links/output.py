"""What a link has to send, and how far its socket has taken it."""

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final

from actors.links.settings import LEAST_NOT_SENT_BYTES, NOT_SENT_BYTES
from actors.peer_meters import PeerMeter
from actors.runtime.gather import drop_sent
from actors.runtime.seam import StreamSocket
from mesh.errors import LocalProtocolError
from mesh.link.frame_sealing import FrameWriter
from mesh.link.frames import Frame
from mesh.link.relay_budget import RelayBudget
from mesh.link.send_queue import SendQueue
from mesh.trust.identity import AgentId

MARK_DELAY_S: Final = 0.02
MARK_ROUND_TRIPS: Final = 2.0
MAX_MARK_BYTES: Final = 4 * 1024 * 1024
"""Data is marked when more waits than the link takes in the longer of the former two, or than the latter.

A fixed depth of 256 KiB held a fast link (loopback, three agents) to 165 MB/s at 6.9 CPU s/GiB; with 2 MiB it
carried 410 MB/s at 4.4. A slow link keeps its short queue this way. On a long link a queue is what makes its
TCP connection open its own window: with 20 ms alone, three agents over two links of 1 Gbit/s and 40 ms each
carried 9 to 10 MB/s.

A lower pace takes the depth down by half of the way only, for it may be the link's own TCP that had a rest;
and not at all if everything had been sent meanwhile.
"""

LONG_LINK_RATE: Final = 12_500_000
"""Bytes a second, 100 Mbit/s: what a link may carry that has not shown its pace yet. What it would take in a
round trip may wait without a mark, so that streams do not stop growing before the link's TCP has begun to."""

MEASURE_S: Final = 0.05
"""Over which a link's pace is measured."""

WRITE_BATCH_BYTES: Final = 256 * 1024
"""Bytes taken from the send queue for one gathered write, at the most, unless the link is very fast."""

BATCH_FRACTION: Final = 8
MOST_BATCH_BYTES: Final = 512 * 1024
"""Then it is such a part of what the link takes in ``MARK_DELAY_S``, up to the latter: what goes first waits
2.5 ms for it at the most, and half as many writes cost less."""

LEAST_BATCH_BYTES: Final = 16 * 1024
"""Of a link that has not shown that it takes more in ``MARK_DELAY_S``: nothing goes before what has left the
queue, and before what waits unsent in the kernel. Every link begins so: one of 300 KB/s that took 256 KiB and
128 KiB at once had a keystroke wait for 1.3 s when a flood began."""

SHOWN_BYTES: Final = 128 * 1024
"""A link that has taken so much within ``MEASURE_S``, and had room all the time, is a fast one: what it takes
at once is limited no more, until it has no room. One of 300 KB/s has none long before."""

REFILL_FRACTION: Final = 16
"""The next batch leaves the queue when so small a part of one is left, or nothing: until then what waits may
still be overtaken, also by what comes meanwhile. The kernel has enough to go on with."""

AT_ONCE_BYTES: Final = 16 * 1024
"""What is sealed at once in a turn, if nothing waits: no more may get ahead of frames that go first."""


class LinkOutput:
    """Sends handshake bytes as they are, then frames: sealed in the order in which they leave.

    Args:
        socket: owned by the link; it reports room to the link, which then calls :meth:`flush`.
        budget: of all links, for waiting data.
        mark_bytes: above this, and what a fast or long link takes in a while, data is marked as it leaves.
        own_id: this agent.
    """

    def __init__(
        self, socket: StreamSocket, *, budget: RelayBudget, mark_bytes: int, own_id: AgentId
    ) -> None:
        self._socket = socket
        self.queue = SendQueue(budget=budget, mark_bytes=mark_bytes, own_id=own_id)
        """Frames that are not sealed yet."""
        self._least_mark_bytes = mark_bytes
        self._measured_bytes = 0
        self._measured_since = 0.0
        self._round_trip_s = inf
        self._batch_bytes = LEAST_BATCH_BYTES
        self._unsent_in_kernel = LEAST_NOT_SENT_BYTES
        self._was_blocked = False
        """Whether the socket had no room since the pace was measured, which then is the link's own."""
        self._ran_dry = False
        """Whether everything had been sent at some time since: the link took all that it was given."""
        self._depth = 0
        """Bytes that the link has shown to take while data may wait without a mark."""
        self._writer: FrameWriter | None = None
        self._unsent: deque[bytes | memoryview] = deque()
        self.unsent_bytes = 0
        """Handshake bytes and sealed frames that have not been sent."""
        self.is_blocked = False
        """Whether the socket had no room; it says when it has."""
        self.took_at = 0.0
        """When the socket last took anything, monotonic seconds."""
        self.meter = PeerMeter()
        """Where the link counts: one that has been admitted, for its peer."""
        self._metered_before = 0

    @property
    def control_bytes(self) -> int:
        """Memory held by all that waits and is no data."""
        return self.queue.control_bytes

    @property
    def carried_bytes(self) -> int:
        """In both directions since the link was admitted; what another one to the peer carries counts too."""
        return self.meter.sent_bytes + self.meter.received_bytes - self._metered_before

    def count_in(self, meter: PeerMeter) -> None:
        """Count for the peer from now on: the link has been admitted."""
        self.meter = meter
        self._metered_before = meter.sent_bytes + meter.received_bytes

    def say(self, data: bytes) -> None:
        """Let handshake bytes wait to be sent."""
        self._unsent.append(data)
        self.unsent_bytes += len(data)

    def seal_with(self, key: bytes) -> None:
        """From now on frames may leave, sealed with the link's key."""
        self._writer = FrameWriter(key)

    def switch(self, last: Frame, key: bytes) -> None:
        """Seal ``last`` as all frames before it, and with another key whatever has not been sealed yet.

        Raises:
            LocalProtocolError: no frame may leave yet.
        """
        self.seal_now(last)
        self.seal_with(key)

    def seal_now(self, frame: Frame) -> None:
        """Seal ``frame`` with the present key, ahead of all that has not been sealed yet.

        Raises:
            LocalProtocolError: no frame may leave yet.
        """
        if self._writer is None:
            raise LocalProtocolError("a link that seals nothing yet has no key to change")
        for piece in self._writer.seal(frame):
            self.say(piece)

    def push(self, frames: Sequence[Frame]) -> None:
        """Queue frames; if nothing waits, seal them at once."""
        queue, byte_count = self.queue, self.unsent_bytes
        writer = None if self.is_blocked else self._writer
        for frame in frames:
            if writer is None or queue.frames or byte_count + len(frame.body) > AT_ONCE_BYTES:
                queue.push(frame)
            else:
                for piece in writer.seal(frame):
                    self._unsent.append(piece)
                    byte_count += len(piece)
        self.unsent_bytes = byte_count

    def flush(self, now: float) -> bool:
        """Send until the socket is full or nothing is left; whether nothing is left.

        Raises:
            OSError: the stream is broken.
        """
        unsent, queue = self._unsent, self.queue
        while True:
            is_low = self.unsent_bytes * REFILL_FRACTION < self._batch_bytes
            if queue.frames and is_low and self._writer is not None:
                for frame in queue.pop_batch(self._batch_bytes):
                    for piece in self._writer.seal(frame):
                        unsent.append(piece)
                        self.unsent_bytes += len(piece)
            if not unsent:
                if self.is_blocked:
                    self._wait_for_room(False)
                self._ran_dry = True
                return True
            try:
                sent = self._socket.send(unsent)
            except BlockingIOError:
                self._wait_for_room(True)
                return False
            self.took_at = now
            self.meter.sent_bytes += sent
            self._measured_bytes += sent
            if now - self._measured_since >= MEASURE_S:
                self._follow_pace(now)
            elif (
                self._measured_bytes >= SHOWN_BYTES
                and not self._was_blocked
                and self._batch_bytes < WRITE_BATCH_BYTES
            ):
                self._commit(WRITE_BATCH_BYTES)
            if sent == self.unsent_bytes:
                unsent.clear()
                self.unsent_bytes = 0
                if not (queue.frames or self.is_blocked):
                    self._ran_dry = True
                    return True
            else:
                drop_sent(unsent, sent)
                self.unsent_bytes -= sent

    def release(self) -> None:
        """Give back to the budget what waits: the link has ended."""
        self.queue.clear()

    def follow_round_trip(self, rtt_s: float) -> None:
        """Take note of a measured round trip; the smallest counts, which met no queue."""
        self.meter.round_trips.observe(rtt_s)
        self._round_trip_s = min(rtt_s, self._round_trip_s)

    def _follow_pace(self, now: float) -> None:
        round_trip_s = 0.0 if self._round_trip_s == inf else self._round_trip_s
        delay_s = max(MARK_DELAY_S, MARK_ROUND_TRIPS * round_trip_s)
        pace = self._measured_bytes / (now - self._measured_since)
        depth = min(int(pace * delay_s), MAX_MARK_BYTES)
        if depth < self._depth:
            depth = self._depth if self._ran_dry else (depth + self._depth) // 2
        self._depth, self._ran_dry = depth, False
        least = self._least_mark_bytes + int(LONG_LINK_RATE * round_trip_s)
        self.queue.data.mark_bytes = max(depth, min(least, MAX_MARK_BYTES))
        batch_bytes = max(int(pace * MARK_DELAY_S), LEAST_BATCH_BYTES)
        # A link that always had room took what it was given: it may carry more than that, but no less.
        if self._was_blocked or batch_bytes > self._batch_bytes:
            self._commit(batch_bytes)
        self._was_blocked = self.is_blocked
        self._measured_bytes, self._measured_since = 0, now

    def _commit(self, byte_count: int) -> None:
        """Let so much leave the queue at once, and wait unsent in the kernel, as far as they go."""
        batch_bytes = max(min(byte_count, WRITE_BATCH_BYTES), byte_count // BATCH_FRACTION)
        self._batch_bytes = min(batch_bytes, MOST_BATCH_BYTES)
        unsent_in_kernel = LEAST_NOT_SENT_BYTES
        while unsent_in_kernel < min(byte_count, NOT_SENT_BYTES):
            unsent_in_kernel *= 2  # in steps, for each change is a system call
        if unsent_in_kernel != self._unsent_in_kernel:
            self._unsent_in_kernel = unsent_in_kernel
            self._socket.keep_unsent(unsent_in_kernel)

    def _wait_for_room(self, enabled: bool) -> None:
        if enabled != self.is_blocked:
            self.is_blocked = enabled
            self._was_blocked = True
            self._socket.watch_write(enabled)
