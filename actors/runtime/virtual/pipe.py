"""One direction of a simulated stream: what an agent can notice of TCP's buffers, windows and order."""

import zlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from actors.runtime.seam import BytesLike
from actors.runtime.virtual.clock import Trace, VirtualClock
from actors.runtime.virtual.links import Link


class SendingEnd(Protocol):
    """What a pipe tells the socket that sends into it."""

    def room_changed(self) -> None:
        """There may be room to send again."""
        ...


class ReceivingEnd(Protocol):
    """What a pipe tells the socket that receives from it."""

    def bytes_arrived(self) -> None:
        """Bytes or the end of the stream can be read."""
        ...

    def bytes_refused(self) -> None:
        """Bytes arrived after this end was closed: TCP answers with a reset (RFC 1122, 4.2.2.13)."""
        ...


class Pipe:
    """One direction of a stream: send buffer, window, receive buffer and end.

    Args:
        path: The link that bytes take.
        back: The link that acknowledgements take.
        send_bytes: Size of the send buffer; bytes stay in it until they are acknowledged.
        receive_bytes: Size of the receive buffer, which is also the window.
        low_water_bytes: TCP_NOTSENT_LOWAT; ``None`` for none.
    """

    __slots__ = (
        "_acknowledged",
        "_acks",
        "_arrived",
        "_arriving",
        "_back",
        "_clock",
        "_dead",
        "_edge",
        "_fin_queued",
        "_fin_sent",
        "_head_offset",
        "_low_water_bytes",
        "_name",
        "_path",
        "_promised",
        "_queue",
        "_read",
        "_receive_bytes",
        "_receiver",
        "_receiver_closed",
        "_send_bytes",
        "_sender",
        "_sent",
        "_trace",
        "_unsent",
        "_waiting_for_ack",
        "finished",
        "queued",
    )

    def __init__(
        self,
        clock: VirtualClock,
        trace: Trace,
        name: str,
        *,
        path: Link,
        back: Link,
        sender: SendingEnd,
        receiver: ReceivingEnd,
        send_bytes: int,
        receive_bytes: int,
        low_water_bytes: int | None,
    ) -> None:
        self.queued = False
        """Whether the link has this pipe among those that take turns."""
        self.finished = False
        """Whether the end of the stream has arrived; bytes may still wait before it."""
        self._clock, self._trace, self._name = clock, trace, name
        self._path, self._back = path, back
        self._sender, self._receiver = sender, receiver
        self._send_bytes, self._receive_bytes = send_bytes, receive_bytes
        self._low_water_bytes = low_water_bytes
        self._dead = False
        # The sender's side; all positions count bytes since the start of the stream.
        self._queue: deque[bytes] = deque()
        self._head_offset = 0
        self._unsent = 0
        self._sent = 0
        self._acknowledged = 0
        self._edge = receive_bytes
        self._acks: deque[tuple[float, int, int]] = deque()
        self._waiting_for_ack = False
        self._fin_queued = False
        self._fin_sent = False
        # The receiver's side.
        self._arriving: deque[bytes] = deque()
        self._arrived = 0
        self._read = 0
        self._promised = receive_bytes
        self._receiver_closed = False

    @property
    def buffered_bytes(self) -> int:
        """What has arrived and waits to be read."""
        return self._arrived - self._read

    @property
    def end_sent(self) -> bool:
        """Whether the end of the stream is on its way, or there, behind all that was offered."""
        return self._fin_sent

    def configure_sending(self, *, buffer_bytes: int | None, low_water_bytes: int | None) -> None:
        """Set what is not ``None``, as ``setsockopt`` may on a connected socket."""
        self._send_bytes = buffer_bytes or self._send_bytes
        self._low_water_bytes = low_water_bytes or self._low_water_bytes

    def configure_receiving(self, *, buffer_bytes: int | None) -> None:
        """Set the receive buffer; a window that has been promised already is not taken back."""
        self._receive_bytes = buffer_bytes or self._receive_bytes

    def room_bytes(self) -> int:
        """What the sender may add now."""
        self._settle_acks()
        room = self._send_bytes - self._held()
        if self._low_water_bytes is not None:
            room = min(room, self._low_water_bytes - self._unsent)
        return max(room, 0)

    def is_writable(self) -> bool:
        """Whether poll(2) would say so: a third of the buffer is free, and little waits unsent.

        Source: Linux, ``sk_stream_is_writable`` and ``tcp_stream_memory_free``.
        """
        self._settle_acks()
        if self._low_water_bytes is not None and self._unsent * 2 >= self._low_water_bytes:
            return False
        return self._held() * 3 <= self._send_bytes * 2

    def offer(self, buffers: Sequence[BytesLike]) -> int:
        """Take from ``buffers`` what there is room for; the number of bytes, 0 where there is none."""
        left = room = self.room_bytes()
        parts: list[BytesLike] = []
        for buffer in buffers:
            if left <= 0:
                break
            part = buffer if len(buffer) <= left else memoryview(buffer)[:left]
            parts.append(part)
            left -= len(part)
        data = b"".join(parts)
        if data:
            self._queue.append(data)
            self._unsent += len(data)
            self._path.request(self)
        return room - left

    def finish(self) -> None:
        """End the stream behind what has been offered."""
        if not self._fin_queued:
            self._fin_queued = True
            self._path.request(self)

    def drop(self) -> None:
        """Forget what has not been sent: the stream is broken."""
        self._dead = True
        self._queue.clear()
        self._acks.clear()
        self._unsent = 0

    def await_room(self) -> None:
        """Tell the sender when an acknowledgement arrives; asked only where it waits, for events are dear."""
        if not self._waiting_for_ack:
            self._waiting_for_ack = True
            if self._acks:
                self._clock.at(self._acks[0][0], self._ack_due)

    def take_burst(self, limit_bytes: int) -> bytes | None:
        """Take up to ``limit_bytes`` off the send buffer for the link; empty is the end, ``None`` none."""
        self._settle_acks()
        if self._dead:
            return None
        if self._unsent == 0:
            if self._fin_queued and not self._fin_sent:
                self._fin_sent = True
                return b""
            return None
        size = min(limit_bytes, self._edge - self._sent, self._unsent)
        if size <= 0:
            self.await_room()
            return None
        burst = self._dequeue(size)
        self._unsent -= size
        self._sent += size
        return burst

    def arrival(self, burst: bytes) -> Callable[[], None]:
        """What happens at the receiver's end once ``burst`` gets there."""
        return partial(self._arrive, burst)

    def departed(self) -> None:
        """A burst has left: less waits unsent now."""
        if self._low_water_bytes is not None:
            self._sender.room_changed()

    def read_into(self, buffer: memoryview) -> int:
        """Move what has arrived into ``buffer``; the number of bytes."""
        taken = 0
        while self._arriving and taken < len(buffer):
            head = self._arriving.popleft()
            room = len(buffer) - taken
            if len(head) > room:
                self._arriving.appendleft(head[room:])
                head = head[:room]
            buffer[taken : taken + len(head)] = head
            taken += len(head)
        self._read += taken
        # Half the window at once, as a kernel does against the silly window syndrome (RFC 9293, 3.8.6.2.2).
        if self._read + self._receive_bytes - self._promised >= self._receive_bytes / 2:
            self._acknowledge()
        return taken

    @property
    def has_lost_receiver(self) -> bool:
        """Whether the receiver has been closed."""
        return self._receiver_closed

    def close_receiver(self) -> None:
        """Nobody will read any more."""
        self._receiver_closed = True
        self._arriving.clear()

    def _held(self) -> int:
        return self._unsent + self._sent - self._acknowledged

    def _dequeue(self, size: int) -> bytes:
        parts: list[BytesLike] = []
        while size:
            head = self._queue[0]
            available = len(head) - self._head_offset
            if available <= size:
                parts.append(memoryview(head)[self._head_offset :] if self._head_offset else head)
                self._queue.popleft()
                self._head_offset = 0
                size -= available
            else:
                parts.append(memoryview(head)[self._head_offset : self._head_offset + size])
                self._head_offset += size
                size = 0
        return parts[0] if len(parts) == 1 and isinstance(parts[0], bytes) else b"".join(parts)

    def _arrive(self, burst: bytes) -> None:
        self._trace.note("arrived", self._name, f"{len(burst)} {zlib.crc32(burst):08x}")
        self._arrived += len(burst)
        if not burst:
            self.finished = True
        elif self._receiver_closed:
            self._read = self._arrived
            self._receiver.bytes_refused()
            return
        else:
            self._arriving.append(burst)
            self._acknowledge()
        self._receiver.bytes_arrived()

    def _acknowledge(self) -> None:
        self._promised = max(self._promised, self._read + self._receive_bytes)
        time = self._back.carry_signal(self._acknowledge)
        if time is None or self._dead:
            return
        self._acks.append((time, self._arrived, self._promised))
        if self._waiting_for_ack and len(self._acks) == 1:
            self._clock.at(time, self._ack_due)

    def _settle_acks(self) -> None:
        while self._acks and self._acks[0][0] <= self._clock.now:
            _, acknowledged, edge = self._acks.popleft()
            self._acknowledged = max(self._acknowledged, acknowledged)
            self._edge = max(self._edge, edge)

    def _ack_due(self) -> None:
        self._waiting_for_ack = False
        self._settle_acks()
        if self._unsent:
            self._path.request(self)
        if not self._dead:
            self._sender.room_changed()
