"""The halves of a stream, as section 10 of docs/PROTOCOL.md has them: what is under way, what has come."""

import struct
from dataclasses import dataclass
from typing import Final

from tests.second.frames import MAX_SEGMENT_BYTES, Frame, Type
from tests.second.wire import ProtocolError

INITIAL_WINDOW_BYTES: Final = 65_536
WINDOW_BYTES: Final = 262_144
MIN_CONGESTION_BYTES: Final = 16_384
MAX_SEGMENTS_AHEAD: Final = 1_024
FIN: Final = struct.Struct(">QIB")
"""What stands before the last bytes of a stream."""
MARKED: Final = 1
"""The flag of a congestion mark."""
MUCH: Final = 2**32 - 1
"""The most that a field of milliseconds or microseconds says."""

NO_FIN_YET: Final = 2**64
"""Above every number."""

INITIAL_TIMEOUT_S: Final = 1.0
MIN_TIMEOUT_S: Final = 0.2
MAX_TIMEOUT_S: Final = 5.0


@dataclass
class Sent:
    """A segment that is not acknowledged."""

    frame: Frame
    octets: int
    sent_at_s: float
    is_repeated: bool = False


class Sender:
    """The half that sends: what is on its way, and how much may be."""

    def __init__(self, credit: int) -> None:
        self.credit = credit
        self.octets = 0
        self.next_number = 0
        self.waiting: dict[int, Sent] = {}
        self.timeout_s = INITIAL_TIMEOUT_S
        self.progress_at_s = 0.0
        self._round_trip_s = 0.0
        self._window = INITIAL_WINDOW_BYTES
        self._marks = 0

    @property
    def under_way(self) -> int:
        return sum(each.octets for each in self.waiting.values())

    def room(self) -> int:
        """How many bytes the next segment may have."""
        if len(self.waiting) >= MAX_SEGMENTS_AHEAD:
            return 0
        return max(0, min(self.credit - self.octets, self._window - self.under_way, MAX_SEGMENT_BYTES))

    def acknowledged(self, next_number: int, delay_us: int, now_s: float) -> None:
        if next_number > self.next_number:
            raise ProtocolError("an acknowledgement of what was never sent")
        gone = [self.waiting.pop(number) for number in sorted(self.waiting) if number < next_number]
        if not gone:
            return
        self._window = min(self._window + sum(each.octets for each in gone), 4 * WINDOW_BYTES)
        self.progress_at_s = now_s
        if not gone[-1].is_repeated:
            sample = max(0.0, now_s - gone[-1].sent_at_s - delay_us / 1e6)
            self._round_trip_s = self._round_trip_s * 7 / 8 + sample / 8 if self._round_trip_s else sample
            self.timeout_s = min(max(MIN_TIMEOUT_S, 3 * self._round_trip_s), MAX_TIMEOUT_S)

    def marked(self, marks: int) -> None:
        """Queues are full where the other end has seen marks: send less."""
        if marks > self._marks:
            self._marks = marks
            self._window = max(self._window // 2, MIN_CONGESTION_BYTES)

    def missing(self, first: int, until: int, now_s: float) -> list[Sent]:
        """Segments to repeat because a gap was reported."""
        if until > self.next_number:
            raise ProtocolError("a gap in what was never sent")
        found = [self.waiting[number] for number in range(first, until) if number in self.waiting]
        return [each for each in found if now_s - each.sent_at_s > max(0.05, self._round_trip_s)]


class Receiver:
    """The half that receives: puts segments in order."""

    def __init__(self) -> None:
        self.next_number = 0
        self.octets = 0
        self.taken = 0
        self.credit = INITIAL_WINDOW_BYTES
        self.marks = 0
        self.newest_at_s = 0.0
        self.has_ended = False
        self.ready: list[bytes] = []
        self.early: dict[int, tuple[int, bytes]] = {}
        self._fin_number = NO_FIN_YET

    def segment(self, frame: Frame, plaintext: bytes, now_s: float) -> bool:
        """Whether it is new."""
        number = frame.number
        if number < self.next_number or number in self.early:
            return False
        is_fin = frame.type == Type.FIN
        if number >= self.next_number + MAX_SEGMENTS_AHEAD or number >= self._fin_number:
            raise ProtocolError("a segment too far ahead, or behind the FIN")
        if is_fin and any(other > number for other in self.early):
            raise ProtocolError("a FIN in front of a segment")
        if not is_fin and not plaintext:
            raise ProtocolError("a DATA without octets")
        octets = plaintext[FIN.size :] if is_fin else plaintext
        self.octets += len(octets)
        if self.octets > self.credit:
            raise ProtocolError("more than the credit")
        if is_fin:
            self._fin_number = number
        self.newest_at_s = now_s
        self.marks += frame.flags & MARKED
        self.early[number] = frame.type, octets
        while self.next_number in self.early:
            kind, octets = self.early.pop(self.next_number)
            self.next_number += 1
            if octets:
                self.ready.append(octets)
            self.has_ended = kind == Type.FIN
        return True

    def delay_us(self, now_s: float) -> int:
        return min(int((now_s - self.newest_at_s) * 1e6), MUCH) if self.next_number else 0
