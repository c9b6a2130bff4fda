"""The sending half of a stream: what was sent and is not acknowledged yet, and when to send it again."""

from math import inf
from typing import Final

from mesh.connection.stream.budget import LATE_S, StreamBudget
from mesh.connection.stream.congestion import CongestionWindow
from mesh.connection.stream.control import Acknowledgement, Fin, encode_fin
from mesh.connection.stream.receive_half import MAX_SEGMENTS_AHEAD
from mesh.connection.stream.rtt import RoundTrip
from mesh.connection.stream.sealing import SegmentSealer
from mesh.connection.stream.window import WindowLimits
from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.link.frames import MAX_SEGMENT_BYTES, BytesLike, Frame, FrameType

SEGMENT_OVERHEAD_BYTES: Final = 256
"""What a kept segment takes beside its plaintext: tag, frame, entry."""

SMALLEST_SEGMENT_BYTES: Final = 4 * 1024
"""With less room and an acknowledgement to come, wait: RFC 9293 section 3.8.6.2.1 (silly windows)."""

SMALLEST_CUT_BYTES: Final = 8 * 1024
"""Bytes are not cut into smaller segments than this, however small the congestion window."""

MAX_LAST_BYTES: Final = SMALLEST_CUT_BYTES
"""As many go with the FIN."""

_DATA: Final = FrameType.DATA

MAX_PATIENCE: Final = 8
"""Doublings; the longest timeout is reached before."""


class SendHalf:
    """Keeps segments until they are acknowledged.

    Recovery is a range of numbers to repeat, first to last, as far as the congestion window goes; new bytes
    wait until it is through.
    """

    __slots__ = (
        "_ambiguous_below",
        "_budget",
        "_congestion",
        "_floor",
        "_halved_below",
        "_in_flight",
        "_kept",
        "_marked",
        "_patience",
        "_repaired_at",
        "_repaired_below",
        "_repeat_end",
        "_repeat_next",
        "_rerouted_below",
        "_rtt",
        "_session",
        "_tail_probed",
        "acknowledged_bytes",
        "acknowledged_number",
        "credit",
        "due",
        "fin_sent",
        "fin_told",
        "next_number",
        "progress_at",
        "repeated_segments",
        "sent_bytes",
        "timeouts",
        "waited_s",
    )

    def __init__(
        self, session: SegmentSealer, credit: int, budget: StreamBudget, rtt: RoundTrip, limits: WindowLimits
    ) -> None:
        self._session = session
        self._budget = budget
        self._rtt = rtt
        self._floor = limits.floor
        self._congestion = CongestionWindow(limits.cap)
        self.credit = credit
        """Bytes since the start that the other end takes."""
        self.sent_bytes = self.acknowledged_bytes = 0
        self.next_number = 0
        """Number of the next new segment."""
        self.acknowledged_number = 0
        """Every segment below is acknowledged."""
        self.progress_at = -inf
        """When a segment was last acknowledged."""
        self.waited_s = 0.0
        """What those lately acknowledged have taken that had to be repeated; 0 once one had not."""
        self._marked = 0
        """Segments that have arrived with a mark, as far as is known."""
        self._kept: list[tuple[Frame, int, float]] = []
        """Frame, bytes and time of sending of each segment from the acknowledged number on."""
        self.fin_sent = False
        self.fin_told = 0
        """What the FIN says: segments below had arrived from the other end."""
        self.due = inf
        """When to repeat something, unless an acknowledgement comes."""
        self.timeouts = 0
        """Retransmission timeouts since the last acknowledgement that helped."""
        self._tail_probed = False
        self._patience = 0
        """Repetitions since the last round-trip time was measured. Each doubles the time to the next, as in
        RFC 6298 section 5.7: else a path that became slow would have every segment sent twice for ever."""
        self._repeat_next = self._repeat_end = 0
        self._in_flight = 0
        self._ambiguous_below = 0
        """Segments below may have been sent twice: they give no round-trip time (Karn's algorithm)."""
        self._rerouted_below = 0
        """Segments below were sent before another path was taken: what they take tells nothing of either."""
        self._repaired_below = 0
        self._repaired_at = -inf
        self._halved_below = 0
        self.repeated_segments = 0

    @property
    def outstanding(self) -> int:
        """Segments sent and not acknowledged."""
        return len(self._kept)

    @property
    def starved(self) -> bool:
        """Without credit, and with nothing on the way that an acknowledgement would bring some for."""
        return not self._kept and self.credit <= self.sent_bytes and not self.fin_sent

    @property
    def finished(self) -> bool:
        """FIN is acknowledged."""
        return self.fin_sent and not self._kept

    @property
    def repeats(self) -> bool:
        """Whether something unacknowledged has been repeated for want of an answer."""
        return bool(self._kept) and self._patience > 0

    @property
    def first_bytes(self) -> int:
        """Bytes of the first unacknowledged segment."""
        return self._kept[0][1] if self._kept else 0

    @property
    def stalled_since(self) -> float:
        """Since when the first unacknowledged segment waits; infinity without one."""
        return max(self.progress_at, self._kept[0][2]) if self._kept else inf

    @property
    def only_fin_outstanding(self) -> bool:
        """Everything but the FIN is acknowledged, and that has no bytes."""
        return self.fin_sent and len(self._kept) == 1 and not self._kept[0][1]

    @property
    def room_bytes(self) -> int:
        """Plaintext bytes that may be sent now."""
        if self.fin_sent or self._repeat_next < self._repeat_end:
            return 0
        kept, sent = len(self._kept), self.sent_bytes
        held = sent - self.acknowledged_bytes + kept * SEGMENT_OVERHEAD_BYTES
        # Not min() of all four, for which compiled code makes objects of them.
        room = min(self.credit - sent, self._congestion.window_bytes - self._in_flight)
        if (most := max(self._budget.share_bytes, self._floor) - held) < room:
            room = most
        if (most := (MAX_SEGMENTS_AHEAD - 1 - kept) * SMALLEST_CUT_BYTES) < room:  # one place is the FIN's
            room = most
        if room < SMALLEST_SEGMENT_BYTES and (kept or room < 0):
            return 0
        return room

    def send(self, data: BytesLike, now: float, frames: list[Frame]) -> None:
        """Seal ``data``, which has been cut to ``room_bytes``, as segments.

        Raises:
            LocalProtocolError: the other end has not given so much credit.
        """
        size = len(data)
        if size > self.credit - self.sent_bytes:
            raise LocalProtocolError(f"{size} bytes to send, beyond the credit of {self.credit}")
        # Where queues are long, several short segments share them with others better than one long one.
        largest = min(max(self._congestion.window_bytes >> 2, SMALLEST_CUT_BYTES), MAX_SEGMENT_BYTES)
        if size <= largest:
            self._send_segment(_DATA, data, size, now, frames)
        else:
            view = memoryview(data)
            for start in range(0, size, largest):
                piece = view[start : start + largest]
                self._send_segment(_DATA, piece, len(piece), now, frames)
        if self.due == inf:
            self._arm(now)

    def carried(self, byte_count: int, now: float) -> None:
        """The first segment has gone in another frame, and has arrived."""
        self.next_number = self.acknowledged_number = 1
        self.sent_bytes = self.acknowledged_bytes = byte_count
        self.progress_at = now

    def finish(self, fin: Fin, last: BytesLike, now: float, frames: list[Frame]) -> None:
        """Seal the FIN with the ``last`` bytes, at most ``MAX_LAST_BYTES``, which need credit as all do."""
        self.fin_sent = True
        self.fin_told = fin.next_number
        self._send_segment(FrameType.FIN, encode_fin(fin, last), len(last), now, frames)
        if self.due == inf:
            self._arm(now)

    def _send_segment(
        self, kind: FrameType, data: BytesLike, size: int, now: float, frames: list[Frame]
    ) -> None:
        number = self.next_number
        frame = self._session.seal_segment(kind, number, data)
        self.next_number = number + 1
        self._kept.append((frame, size, now))
        self.sent_bytes += size
        self._in_flight += size
        self._budget.reserved_bytes += size + SEGMENT_OVERHEAD_BYTES
        self._budget.unacknowledged_segments += 1
        frames.append(frame)

    def acknowledged(self, ack: Acknowledgement, now: float, frames: list[Frame]) -> None:
        """Drop what has arrived, take the new credit, repeat what is missing.

        Raises:
            RemoteProtocolError: it acknowledges what was never sent.
        """
        first = self.acknowledged_number
        self._judge(max(ack.next_number, ack.missing_until))
        self.credit = max(self.credit, ack.credit)
        if ack.marked > self._marked:
            self._marked, self._budget.marked_at = ack.marked, now
        in_flight = self._in_flight
        byte_count = self._drop_below(ack.next_number, now, ack.delay_s) if ack.next_number > first else 0
        self._congestion.acknowledged(
            byte_count=byte_count,
            segments=self.acknowledged_number - first,
            marked=ack.marked,
            next_acknowledged=self.acknowledged_number,
            next_to_send=self.next_number,
            in_flight=in_flight,
            round_trip_s=self._rtt.minimum_s,
        )
        if ack.missing_until > self.acknowledged_number:
            self._repair(ack.missing_until, now)
        if self._repeat_next < self._repeat_end:
            self._repeat(frames)

    def acknowledged_by_fin(self, fin: Fin, now: float, frames: list[Frame]) -> None:
        """Drop what had arrived at the other end when it sent its FIN; that may have been long ago.

        Raises:
            RemoteProtocolError: it acknowledges what was never sent.
        """
        self._judge(fin.next_number)
        if fin.next_number > self.acknowledged_number:
            self._drop_below(fin.next_number, now, fin.delay_s)
        if self._repeat_next < self._repeat_end:
            self._repeat(frames)

    def _judge(self, number: int) -> None:
        if number > self.next_number:
            raise RemoteProtocolError(f"segment {number} acknowledged; {self.next_number} is next to send")

    def _drop_below(self, number: int, now: float, delay_s: float) -> int:
        """Forget the segments below ``number``; return their bytes."""
        kept = self._kept
        byte_count, count, sent_at = 0, number - self.acknowledged_number, now
        for position in range(count):
            _, size, sent_at = kept[position]
            byte_count += size
        del kept[:count]
        # Some may have counted as lost: of a range being repeated only what has been repeated is on the way.
        self._in_flight = max(0, self._in_flight - byte_count) if kept else 0
        self.acknowledged_number = number
        self.acknowledged_bytes += byte_count
        self._budget.reserved_bytes -= byte_count + count * SEGMENT_OVERHEAD_BYTES
        self._budget.unacknowledged_segments -= count
        self._repeat_next = max(self._repeat_next, number)
        took_s = now - sent_at - delay_s  # an acknowledgement that was late says so
        if number > self._ambiguous_below:
            self._rtt.sample(took_s, now)
            self._patience = 0
            self.waited_s = 0.0
        else:
            self.waited_s = max(took_s, self.waited_s / 2)
        if took_s > LATE_S and number > self._rerouted_below:
            self._budget.segment_was_late(took_s, now)
        self.timeouts = 0
        self.progress_at = now
        self._tail_probed = False
        self._arm(now)
        return byte_count

    def _repair(self, end: int, now: float) -> None:
        """Repeat up to ``end`` what the other end misses, but each segment once in a round trip."""
        first = self.acknowledged_number
        if now < self._repaired_at + self._rtt.timeout_s:
            first = max(first, self._repaired_below)
        if first >= end or self._repeat_next < self._repeat_end:
            return
        if first >= self._halved_below:
            # Once for all gaps in what was on the way: they have one cause.
            self._congestion.lost(self._in_flight)
            self._halved_below = self.next_number
        self._repaired_at, self._repaired_below = now, end
        self._repeat_from(first, end)
        self._arm(now)

    def _repeat_from(self, first: int, end: int) -> None:
        self._repeat_next, self._repeat_end = first, end
        self._in_flight = 0

    def _repeat(self, frames: list[Frame]) -> None:
        """Send of the range being repeated what the congestion window lets through."""
        first, window = self.acknowledged_number, self._congestion.window_bytes
        self._ambiguous_below = self.next_number
        while self._repeat_next < self._repeat_end:
            frame, size, _ = self._kept[self._repeat_next - first]
            if self._in_flight and self._in_flight + size > window:
                return
            frames.append(frame)
            self.repeated_segments += 1
            self._in_flight += size
            self._repeat_next += 1

    def _arm(self, now: float) -> None:
        if not self._kept:
            self.due = inf
            return
        rtt, patience = self._rtt, self._patience
        if self._probes_tail:
            wait_s = min(rtt.tail_probe_s * (1 << patience), rtt.backed_off_s(patience))
        else:
            wait_s = rtt.backed_off_s(max(patience - 1, 0))
        self.due = now + (wait_s if rtt.is_of_segments else max(wait_s, self._queue_s(now)))

    def path_measured(self, now: float) -> None:
        """A PROBE has told what a round trip takes: nothing is waited for as on a path that is not known."""
        if not (self._rtt.is_of_segments or self._patience):
            self.due = min(self.due, now + max(self._rtt.tail_probe_s, self._queue_s(now)))

    def _queue_s(self, now: float) -> float:
        """What segments take at the least, before one has been measured."""
        return 0.0 if self._rtt.is_of_segments else self._budget.queue_s(self._in_flight, now)

    @property
    def _probes_tail(self) -> bool:
        """Whether the next repetition is of the last segment only."""
        return not (self.timeouts or self._tail_probed or self._repeat_next < self._repeat_end)

    def timeout(self, now: float, frames: list[Frame]) -> None:
        """``due`` has passed: repeat the last segment, then go back to the first unacknowledged one."""
        if not self._patience and (late_at := self.stalled_since + self._queue_s(now)) > now:
            self.due = late_at  # others have turned out to be late meanwhile
            return
        self._patience = min(self._patience + 1, MAX_PATIENCE)
        if self._probes_tail:
            self._tail_probed = True
            self._repeat_tail(frames)
        else:
            if not self.timeouts:
                self._congestion.timed_out(self._in_flight)
            self.timeouts += 1
            self._tail_probed = False
            self._repeat_from(self.acknowledged_number, self.next_number)
            self._repeat(frames)
        self._arm(now)

    def probe_path(self, now: float, frames: list[Frame]) -> None:
        """A new path, or one that works again: repeat both ends of what is outstanding at once.

        The answer tells what is missing in between; it may be nothing, if the old path still worked.
        """
        if not self._kept:
            return
        self.timeouts = 0
        self._patience = 1
        self._tail_probed = True
        frames.append(self._kept[0][0])
        self.repeated_segments += 1
        if len(self._kept) > 1:
            self._repeat_tail(frames)
        self._ambiguous_below = self._rerouted_below = self.next_number
        self._repeat_next = self._repeat_end = self.next_number
        self._repaired_at = -inf
        self._arm(now)

    def _repeat_tail(self, frames: list[Frame]) -> None:
        self._ambiguous_below = self.next_number
        self.repeated_segments += 1
        frames.append(self._kept[-1][0])

    def release(self) -> None:
        """Forget everything kept."""
        budget, count = self._budget, len(self._kept)
        budget.reserved_bytes -= self.sent_bytes - self.acknowledged_bytes + count * SEGMENT_OVERHEAD_BYTES
        budget.unacknowledged_segments -= count
        self.acknowledged_bytes = self.sent_bytes
        self.acknowledged_number = self.next_number
        self._repeat_next = self._repeat_end = self.next_number
        self._kept.clear()
        self._in_flight = 0
        self.due = inf
