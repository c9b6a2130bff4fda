"""The receiving half of a stream: segments in any order in, bytes in order out, credit for more."""

from collections.abc import Hashable
from math import inf
from typing import Final

from mesh.connection.stream.budget import LARGE_BYTES, LATE_S, StreamBudget
from mesh.connection.stream.control import Fin, decode_fin
from mesh.connection.stream.reached import BULK_BYTES, LONG_PATH_S, PART
from mesh.connection.stream.rtt import RoundTrip
from mesh.connection.stream.sealing import SegmentSealer
from mesh.connection.stream.window import ReceiveWindow, WindowLimits
from mesh.errors import RemoteProtocolError
from mesh.link.frames import Frame, FrameType

MAX_SEGMENTS_AHEAD: Final = 1024
"""Segments that may be sent beyond the first unacknowledged one: bounds what tiny ones cost at both ends."""

_MIN_REORDERING_S: Final = 0.01
_MAX_REORDERING_S: Final = 0.1

_FIN: Final = FrameType.FIN
_NO_FIN: Final = Fin(0, 0.0)
_NO_FINAL_NUMBER: Final = 2**64
"""Beyond all numbers that a segment may have: the FIN has not come."""


class ReceiveHalf:
    """Puts segments in order, and grants credit as the local socket takes their bytes."""

    __slots__ = (
        "_begun_bytes",
        "_budget",
        "_carried_bytes",
        "_early_bytes",
        "_final_number",
        "_floor",
        "_is_bulk",
        "_remote",
        "_reserved_bytes",
        "_rtt",
        "_session",
        "_window",
        "arrived_at",
        "bytes_end",
        "credit",
        "early",
        "fin",
        "finished",
        "marked",
        "next_number",
        "pending_bytes",
        "received_bytes",
        "taken_bytes",
    )

    def __init__(
        self,
        session: SegmentSealer,
        credit: int,
        budget: StreamBudget,
        rtt: RoundTrip,
        limits: WindowLimits,
        *,
        remote: Hashable,
    ) -> None:
        self._session = session
        self._remote = remote
        """The agent that sends."""
        self._is_bulk = False
        """So much has come that the window need not begin small."""
        self._begun_bytes = 0
        """What the window then began with, by what others had reached."""
        self._budget = budget
        self._rtt = rtt
        self._window = ReceiveWindow(limits, credit)
        self.credit = credit
        """Bytes since the start that the other end has been told it may send."""
        self._floor = limits.floor
        self._reserved_bytes = max(credit, limits.floor)
        """What of the budget is this half's: credit not taken yet, and until the FIN at least the floor."""
        budget.reserved_bytes += self._reserved_bytes
        self.next_number = 0
        """Every segment below has arrived."""
        self.received_bytes = self.taken_bytes = 0
        """Bytes handed out in order; and of these, those the local socket has taken."""
        self._carried_bytes = 0
        """Bytes that came with the opening: they say nothing of what the path carries in a round."""
        self.pending_bytes = 0
        """Bytes handed out since the last acknowledgement."""
        self.arrived_at = -inf
        self.marked = 0
        """Segments that arrived with a congestion mark."""
        self.finished = False
        """The FIN and everything before it have arrived."""
        self.fin = _NO_FIN
        """What the FIN says, once it has arrived."""
        self.bytes_end = 0
        """No segment from this number on has bytes of the stream, once that is finished."""
        self.early: dict[int, tuple[bool, bytes]] = {}
        """Segments after a gap, by number: whether it is the FIN, bytes. Without a gap it is empty."""
        self._early_bytes = 0
        self._final_number = _NO_FINAL_NUMBER
        """Number of the FIN, as soon as it is known."""

    @property
    def missing_until(self) -> int:
        """The first early segment's number."""
        return min(self.early)

    @property
    def reordering_delay_s(self) -> float:
        """How long a gap may be mere reordering: a quarter of the round-trip time, RFC 8985 section 6.2."""
        return min(max(self._rtt.minimum_s / 4, _MIN_REORDERING_S), _MAX_REORDERING_S)

    @property
    def acknowledgement_due(self) -> bool:
        """So much has arrived that the other end should hear of it."""
        return self.pending_bytes >= self._window.ack_bytes

    def arrived(self, frame: Frame, now: float, delivered: list[bytes]) -> bool:
        """Take a DATA or FIN frame and append what is in order now to ``delivered``.

        Returns:
            Whether it is new; False for a duplicate.

        Raises:
            AuthenticationError: it is not authentic; nothing has changed.
            RemoteProtocolError: the other end breaks the protocol.
        """
        plaintext = self._session.open_segment(frame)
        number, is_fin = frame.number, frame.type == _FIN
        if number < self.next_number or number in self.early:
            return False
        if is_fin:
            fin, plaintext = decode_fin(plaintext)
            self._judge(number, len(plaintext), is_fin=True)
            self.fin = fin
        else:
            self._judge(number, len(plaintext), is_fin=False)
        if now > self.arrived_at + LATE_S and len(plaintext) >= LARGE_BYTES:
            self._budget.large_segment_came(now)
        self.arrived_at = now
        if frame.marked:
            self.marked += 1
        if number > self.next_number:
            self.early[number] = is_fin, plaintext
            self._early_bytes += len(plaintext)
            return True
        self._take(plaintext, delivered, is_fin=is_fin)
        while self.early and (early := self.early.pop(self.next_number, None)) is not None:
            self._early_bytes -= len(early[1])
            self._take(early[1], delivered, is_fin=early[0])
        return True

    def carried(self, plaintext: bytes, now: float, delivered: list[bytes]) -> None:
        """The first segment has come in another frame."""
        self.arrived_at = now
        self._carried_bytes = len(plaintext)
        self._take(plaintext, delivered, is_fin=False)

    def _judge(self, number: int, size: int, *, is_fin: bool) -> None:
        if self.received_bytes + self._early_bytes + size > self.credit:
            raise RemoteProtocolError(f"segment {number} goes beyond the credit of {self.credit} bytes")
        if number >= self.next_number + MAX_SEGMENTS_AHEAD:
            raise RemoteProtocolError(f"segment {number} is too far ahead of {self.next_number}")
        if not size and not is_fin:
            raise RemoteProtocolError(f"segment {number} is DATA without bytes")
        if number > self._final_number:
            raise RemoteProtocolError(f"segment {number} comes after the FIN, {self._final_number}")
        if is_fin:
            if self.early and max(self.early) > number:
                raise RemoteProtocolError(f"the FIN, {number}, comes before other segments")
            self._final_number = number

    def _take(self, plaintext: bytes, delivered: list[bytes], *, is_fin: bool) -> None:
        if is_fin:
            self._take_fin(plaintext, delivered)
            return
        size = len(plaintext)
        self.next_number += 1
        self.received_bytes += size
        self.pending_bytes += size
        delivered.append(plaintext)

    def _take_fin(self, last: bytes, delivered: list[bytes]) -> None:
        self.bytes_end = self.next_number
        if last:
            self._take(last, delivered, is_fin=False)
            self.bytes_end = self.next_number
        else:
            self.next_number += 1
        self.finished = True
        self._hold(self.received_bytes - self.taken_bytes)

    def taken(self, byte_count: int, now: float) -> bool:
        """The local socket has taken ``byte_count``; return whether there is credit worth telling now."""
        self.taken_bytes += byte_count
        budget = self._budget
        if self.finished:
            held = self.received_bytes - self.taken_bytes
        elif (held := self.credit - self.taken_bytes) < self._floor:
            held = self._floor
        budget.reserved_bytes += held - self._reserved_bytes
        self._reserved_bytes = held
        window = self._window
        if self.taken_bytes < self.received_bytes:
            window.hindered(self.received_bytes, now)
        if self.received_bytes > self._carried_bytes:
            window.update(
                self.received_bytes,
                now,
                self._rtt.minimum_s,
                budget.share_bytes,
                in_company=budget.in_company(self, now),
            )
        new_credit = self.taken_bytes + window.size_bytes - self.credit
        return new_credit >= window.ack_bytes and not self.finished

    def grant(self) -> int:
        """Move credit on if it is worth a frame, and return it; it never moves back.

        A sender that is given crumbs sends crumbs: RFC 9293 section 3.8.6.2.2. What is held back is less than
        a quarter of the window, so a sender has credit whenever the local socket has taken everything.
        """
        if not self._is_bulk and self.received_bytes >= BULK_BYTES and not self.finished:
            self._is_bulk = True
            self._begun_bytes = self._budget.reached.take(self._remote, self.arrived_at)
            self._window.begin_with(self._begun_bytes, self._budget.share_bytes)
        new_credit = self.taken_bytes + self._window.size_bytes - self.credit
        if new_credit >= self._window.ack_bytes and not self.finished:
            self.credit += new_credit
            self._hold(self._window.size_bytes)  # at least the floor
        return self.credit

    def release(self) -> None:
        """Forget what is early, and give the window back."""
        self.early.clear()
        self._early_bytes = 0
        if self._is_bulk:
            self._tell_what_was_reached()
        self._budget.forget(self)
        self._hold(0)
        self.credit = self.taken_bytes

    def _tell_what_was_reached(self) -> None:
        """Let the next stream of the same agent know, if the path is long."""
        is_long = self._rtt.minimum_s >= LONG_PATH_S
        reached = self._window.reached_bytes(self.received_bytes) if is_long else 0
        if self.received_bytes <= self._begun_bytes:  # nothing says that this is not so any more
            reached = max(reached, PART * self._begun_bytes)
        if reached:
            self._budget.reached.note(self._remote, reached, self.arrived_at)

    def _hold(self, byte_count: int) -> None:
        """Have so much of the budget reserved."""
        self._budget.reserved_bytes += byte_count - self._reserved_bytes
        self._reserved_bytes = byte_count
