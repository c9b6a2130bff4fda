"""One end of a connection's stream, as section 10 of docs/PROTOCOL.md has it, without sockets.

What is due is done in ``tick``, which is to be called often; what it says goes to ``transmit`` as frames.
"""

import struct
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Final

from tests.second.frames import Frame, Type
from tests.second.halves import (
    FIN,
    INITIAL_TIMEOUT_S,
    INITIAL_WINDOW_BYTES,
    MAX_TIMEOUT_S,
    MUCH,
    WINDOW_BYTES,
    Receiver,
    Sender,
    Sent,
)
from tests.second.session import CONTROL, Session
from tests.second.wire import ProtocolError

ACK: Final = struct.Struct(">QQQQIII")
RESET: Final = struct.Struct(">BBQ")

HOP_LIMIT: Final = 16
ANSWERS_RESET: Final = 1
WAITS_FOR_NOTHING: Final = 1

ACK_DELAY_S: Final = 0.001
IDLE_PROBE_S: Final = 60.0
REROUTE_TIMEOUT_S: Final = 30.0
DRAIN_SILENCE_S: Final = 1.0
UNKNOWNS_TO_END: Final = 3


class Code(IntEnum):
    RESET = 1
    CANCELLED = 2
    TIMED_OUT = 3
    GONE = 4
    PROTOCOL_ERROR = 5


class State(Enum):
    OPEN = "open"
    FIN_SENT = "fin sent"
    FIN_ACKNOWLEDGED = "fin acknowledged"
    PEER_FINISHED = "peer finished"
    CLOSING = "closing"
    RESETTING = "resetting"
    DRAINING = "draining"
    DONE = "done"


class Event(Enum):
    FINISH = "finish"
    FIN_ACKNOWLEDGED = "fin acknowledged"
    PEER_FIN = "peer fin"
    RESET = "reset"
    RESET_ANSWERED = "reset answered"
    PEER_RESET = "peer reset"
    DRAINED = "drained"
    GIVE_UP = "give up"


LIVING: Final = (State.OPEN, State.FIN_SENT, State.FIN_ACKNOWLEDGED, State.PEER_FINISHED, State.CLOSING)
TRANSITIONS: Final = {
    (State.OPEN, Event.FINISH): State.FIN_SENT,
    (State.PEER_FINISHED, Event.FINISH): State.CLOSING,
    (State.FIN_SENT, Event.FIN_ACKNOWLEDGED): State.FIN_ACKNOWLEDGED,
    (State.CLOSING, Event.FIN_ACKNOWLEDGED): State.DONE,
    (State.OPEN, Event.PEER_FIN): State.PEER_FINISHED,
    (State.FIN_SENT, Event.PEER_FIN): State.CLOSING,
    (State.FIN_ACKNOWLEDGED, Event.PEER_FIN): State.DONE,
    **{(state, Event.RESET): State.RESETTING for state in LIVING},
    **{(state, Event.PEER_RESET): State.DRAINING for state in LIVING},
    **{(state, Event.GIVE_UP): State.DONE for state in (*LIVING, State.RESETTING, State.DRAINING)},
    (State.RESETTING, Event.RESET_ANSWERED): State.DONE,
    (State.RESETTING, Event.PEER_RESET): State.DONE,
    (State.DRAINING, Event.RESET): State.DONE,
    (State.DRAINING, Event.DRAINED): State.DONE,
}


class Stream:
    """One end: seals what it sends and judges what arrives."""

    def __init__(
        self,
        session: Session,
        is_ingress: bool,
        credit: int,
        transmit: Callable[[Frame], None],
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._is_ingress = is_ingress
        self._transmit = transmit
        self._clock = clock
        self.sender, self.receiver = Sender(credit), Receiver()
        self.state = State.OPEN
        self.is_confirmed = is_ingress
        self._control_number = 0
        self._highest_control = -1
        self._probes = 0
        self._echo = 0
        self._control_heard_at_s: float = -MUCH
        self._heard_at_s = self._started_at_s = clock()
        self._ack_due_s = float("inf")
        self._probe_due_s = clock() if is_ingress else float("inf")
        self._probe_wait_s = INITIAL_TIMEOUT_S
        self._told_credit = INITIAL_WINDOW_BYTES
        self._unknowns = 0
        self._final_number = 0
        self._reset_code = Code.RESET
        self._reset_due_s = self._drained_at_s = float("inf")

    # -- what the local side says ----------------------------------------------------------------------------

    def write(self, octets: bytes) -> None:
        """Send a segment; no longer than ``sender.room()``."""
        self._send_segment(Type.DATA, octets)
        self.sender.octets += len(octets)

    def finish(self, last: bytes = b"") -> None:
        """The local socket has ended, after ``last``."""
        self._move(Event.FINISH)
        said = FIN.pack(self.receiver.next_number, self.receiver.delay_us(self._clock()), 0)
        self._send_segment(Type.FIN, said + last)
        self.sender.octets += len(last)

    def took(self, count: int) -> None:
        """The local socket has taken so many bytes: that much more may come."""
        receiver = self.receiver
        receiver.taken += count
        receiver.credit = receiver.taken + WINDOW_BYTES
        if receiver.credit - self._told_credit >= WINDOW_BYTES // 4:
            self._ack_due_s = self._clock()

    def reset(self, code: Code) -> None:
        if self.state in LIVING:
            self._move(Event.RESET)
            self._reset_code, self._reset_due_s = code, self._clock()
            self.tick()

    def give_up(self) -> None:
        """The other end is out of reach."""
        if self.state is not State.DONE:
            self._move(Event.GIVE_UP)

    # -- what arrives ----------------------------------------------------------------------------------------

    def receive(self, frame: Frame) -> None:
        try:
            plaintext = self._session.unseal(frame)
        except ProtocolError:
            return  # it moves nothing
        if frame.type in CONTROL:
            if frame.number <= self._highest_control:
                return
            self._highest_control = frame.number
        self._heard_at_s = self._clock()
        self._unknowns, self._probe_wait_s = 0, INITIAL_TIMEOUT_S
        self._probe_due_s = float("inf")
        try:
            self._take(frame, plaintext)
        except (ProtocolError, struct.error):
            self.reset(Code.PROTOCOL_ERROR)

    def _take(self, frame: Frame, plaintext: bytes) -> None:
        now = self._heard_at_s
        if frame.type == Type.RESET:
            _, flags, final = RESET.unpack(plaintext)
            self._take_reset(flags, final)
            return
        self.is_confirmed = True
        if frame.type == Type.SESSION_KEYS:
            answer = self._session.told_of_keys(plaintext, self.sender.next_number)
            if answer:
                self._send_control(Type.SESSION_KEYS, answer)
            return
        if frame.type in CONTROL:
            number, credit, missing, marks, _, _, delay = ACK.unpack(plaintext)
            self._control_heard_at_s = now
            self.sender.credit = max(self.sender.credit, credit)
            self.sender.marked(marks)
            self._acknowledged(number, delay)
            for each in self.sender.missing(number, missing, now):
                self._repeat(each)
            if frame.type == Type.PROBE:
                self._echo = (frame.number + 1) % 2**32
                self._send_ack(Type.ACK)
            return
        waits_for_nothing = False
        is_new = self.receiver.segment(frame, plaintext, now)
        if frame.type == Type.FIN:
            number, delay, flags = FIN.unpack_from(plaintext)
            if flags & ~WAITS_FOR_NOTHING:
                raise ProtocolError("a FIN with other flags")
            self._acknowledged(number, delay)
            waits_for_nothing = flags == WAITS_FOR_NOTHING
        if is_new and self.receiver.has_ended and self.state in LIVING:
            self._move(Event.PEER_FIN)
        if waits_for_nothing and self.state is State.DONE:
            self._ack_due_s = float("inf")
            return
        self._ack_due_s = min(self._ack_due_s, now + ACK_DELAY_S)

    def _acknowledged(self, number: int, delay_us: int) -> None:
        self.sender.acknowledged(number, delay_us, self._clock())
        if self.state in {State.FIN_SENT, State.CLOSING} and not self.sender.waiting:
            self._move(Event.FIN_ACKNOWLEDGED)

    def _take_reset(self, flags: int, final: int) -> None:
        if flags & ANSWERS_RESET:
            if self.state is State.RESETTING:
                self._move(Event.RESET_ANSWERED)
            return
        self._send_control(Type.RESET, RESET.pack(Code.RESET, ANSWERS_RESET, self.sender.next_number))
        if self.state in LIVING or self.state is State.RESETTING:
            self._move(Event.PEER_RESET)
            self._final_number = final

    def unknown(self) -> None:
        """The other end says, without proof, that it does not know the connection."""
        self._unknowns += 1
        if self._unknowns > UNKNOWNS_TO_END:
            self.give_up()
        elif self._unknowns == 1:
            self._probe_due_s = self._clock()

    # -- what is due -----------------------------------------------------------------------------------------

    def tick(self) -> None:
        now = self._clock()
        self._session.arrived(self.receiver.next_number)
        if now >= self._ack_due_s and self.state in (*LIVING, State.DONE):
            self._send_ack(Type.ACK)
        if self.state in LIVING:
            self._tick_alive(now)
        elif self.state is State.RESETTING and now >= self._reset_due_s:
            self._send_control(Type.RESET, RESET.pack(self._reset_code, 0, self.sender.next_number))
            self._reset_due_s = now + self._backed_off()
        elif self.state is State.DRAINING:
            is_whole = self.receiver.next_number >= self._final_number
            if is_whole or now > max(self._heard_at_s, self.receiver.newest_at_s) + DRAIN_SILENCE_S:
                self._move(Event.DRAINED)
        if now > self._heard_at_s + 2 * IDLE_PROBE_S:
            self.give_up()

    def _tick_alive(self, now: float) -> None:
        sender = self.sender
        if sender.waiting:
            oldest = sender.waiting[min(sender.waiting)]
            if now > max(oldest.sent_at_s, sender.progress_at_s) + sender.timeout_s:
                sender.timeout_s = min(2 * sender.timeout_s, MAX_TIMEOUT_S)
                self._repeat(oldest)
            if now > max(self._heard_at_s, self._started_at_s) + REROUTE_TIMEOUT_S:
                self.reset(Code.TIMED_OUT)
                return
        elif sender.credit == sender.octets and self._probe_due_s == float("inf"):
            self._probe_due_s = now + sender.timeout_s
        if now > self._heard_at_s + IDLE_PROBE_S:
            self._probe_due_s = min(self._probe_due_s, now)
        if now >= self._probe_due_s:
            self._send_ack(Type.PROBE)
            self._probe_due_s = now + self._backed_off()

    def _backed_off(self) -> float:
        wait = self._probe_wait_s
        self._probe_wait_s = min(2 * wait, MAX_TIMEOUT_S)
        return wait

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state, event]

    # -- frames ----------------------------------------------------------------------------------------------

    def _send_segment(self, kind: Type, plaintext: bytes) -> None:
        sender, now = self.sender, self._clock()
        frame = self._session.seal(kind, sender.next_number, plaintext, HOP_LIMIT)
        sender.waiting[sender.next_number] = Sent(frame, len(plaintext) - FIN.size * (kind == Type.FIN), now)
        sender.next_number += 1
        self._probe_due_s = float("inf")  # it will be acknowledged
        self._transmit(frame)

    def _repeat(self, sent: Sent) -> None:
        sent.sent_at_s, sent.is_repeated = self._clock(), True
        self._transmit(sent.frame)

    def _send_ack(self, kind: Type) -> None:
        receiver, now = self.receiver, self._clock()
        silence = min(int((now - self._control_heard_at_s) * 1e3), MUCH)
        missing = min(receiver.early, default=0)
        said = (receiver.next_number, receiver.credit, missing, receiver.marks, self._echo, silence)
        self._told_credit, self._ack_due_s = receiver.credit, float("inf")
        self._send_control(kind, ACK.pack(*said, receiver.delay_us(now)))

    def _send_control(self, kind: Type, plaintext: bytes) -> None:
        self._transmit(self._session.seal(kind, self._control_number, plaintext, HOP_LIMIT))
        self._control_number += 1
