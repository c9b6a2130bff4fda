"""A reliable, sealed, credit-controlled byte stream: one end of a connection. Pure; time is passed in.

Whatever the other end must know is repeated until it answers: segments, the FIN among them, until
acknowledged; PROBE until anything authentic arrives; RESET until a RESET with the answer flag.
Acknowledgements are not repeated by themselves: whoever misses one asks again. How it ends: ``states.py``.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

from mesh.connection.stream.acknowledging import Acknowledger
from mesh.connection.stream.budget import StreamBudget
from mesh.connection.stream.control import (
    Reset,
    ResetCode,
    decode_acknowledgement,
    decode_reset,
    encode_reset,
)
from mesh.connection.stream.effects import Effects
from mesh.connection.stream.liveness import IDLE_PROBE_S, REROUTE_TIMEOUT_S, Liveness
from mesh.connection.stream.receive_half import ReceiveHalf
from mesh.connection.stream.rtt import MAX_ACK_DELAY_S, RoundTrip
from mesh.connection.stream.sealing import SegmentSealer
from mesh.connection.stream.send_half import SendHalf
from mesh.connection.stream.states import ACTIVE, FIN_UNACKNOWLEDGED, SENDING, Event, State, advance
from mesh.connection.stream.window import DEFAULT_LIMITS, SMALLEST_ACK_BYTES, WindowLimits
from mesh.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from mesh.link.frames import BytesLike, Frame, FrameType

MIN_LINGER_S: Final = 3.0
LINGER_TIMEOUTS: Final = 3
"""An end that may be asked once more stays: for three timeouts of an end that has not measured the path."""

DRAIN_SILENCE_S: Final = 1.0
MAX_DRAIN_S: Final = 10.0
"""RESET overtakes the segments before it. They are waited for until none has come for the former time."""

_SEGMENTS: Final = (FrameType.DATA, FrameType.FIN)
_CONTROLS: Final = (FrameType.ACK, FrameType.PROBE, FrameType.RESET)


class Stream:
    """One end's stream, in both directions.

    Every call gives what to do in return; an authentic frame that breaks the protocol resets the connection.

    Args:
        session: seals and opens.
        send_credit: what the other end takes at first, from its OPEN or ACCEPT. It must have been given
            ``INITIAL_WINDOW_BYTES``.
        budget: of all streams.
        limits: of the receive window.
        reroute_timeout_s: unanswered for so long, the connection is given up.
        idle_probe_s: silence after which to ask whether the other end is still there.
    """

    __slots__ = (
        "_aborted",
        "_acknowledger",
        "_answer",
        "_drained_at",
        "_final_number",
        "_liveness",
        "_receiver",
        "_released",
        "_reset_code",
        "_rtt",
        "_sender",
        "_session",
        "_state",
        "_wait_until",
        "forged_frames",
    )

    def __init__(
        self,
        *,
        session: SegmentSealer,
        send_credit: int,
        budget: StreamBudget,
        limits: WindowLimits = DEFAULT_LIMITS,
        reroute_timeout_s: float = REROUTE_TIMEOUT_S,
        idle_probe_s: float = IDLE_PROBE_S,
    ) -> None:
        self._session = session
        self._rtt = RoundTrip()
        self._sender = SendHalf(session, send_credit, budget, self._rtt, limits)
        self._receiver = ReceiveHalf(session, budget, self._rtt, limits)
        self._acknowledger = Acknowledger(session, self._receiver, self._rtt)
        self._liveness = Liveness(self._rtt, reroute_timeout_s, idle_probe_s)
        self._state = State.OPEN
        self._aborted = False
        """Broken off, by either end."""
        self._released = False
        self._answer = False
        """A frame being handled wants an ACK at once."""
        self._wait_until = inf
        """End of the wait for questions (done), or for segments that a reset overtook (draining)."""
        self._drained_at = inf
        """Latest end of the wait for segments."""
        self._reset_code = ResetCode.RESET
        self._final_number = 0
        self.forged_frames = 0
        """Frames dropped because they did not authenticate."""

    # -- what the owner sees ---------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the stream stands."""
        return self._state

    @property
    def writable_bytes(self) -> int:
        """Bytes that may be taken from the local socket now; with 0 it should not be read."""
        return self._sender.room_bytes if self._state in SENDING else 0

    @property
    def finished(self) -> bool:
        """Both directions ended in order: both FINs arrived, and the local socket has taken everything."""
        receiver = self._receiver
        taken = receiver.taken_bytes == receiver.received_bytes
        return self._state is State.DONE and taken and not self._aborted

    @property
    def unacknowledged_segments(self) -> int:
        """Segments sent and not acknowledged."""
        return self._sender.outstanding

    @property
    def repeated_segments(self) -> int:
        """Segments sent again."""
        return self._sender.repeated_segments

    @property
    def sent_bytes(self) -> int:
        """Plaintext bytes sent so far."""
        return self._sender.sent_bytes

    @property
    def received_bytes(self) -> int:
        """Plaintext bytes handed out so far."""
        return self._receiver.received_bytes

    @property
    def round_trip_s(self) -> float | None:
        """Smoothed round-trip time; None before it has been measured."""
        return self._rtt.smoothed_s

    @property
    def heard(self) -> bool:
        """Whether anything authentic has arrived."""
        return self._liveness.heard

    @property
    def idle(self) -> bool:
        """Nothing is on the way from here, and no acknowledgement is owed."""
        return not self._sender.outstanding and self._acknowledger.due == inf

    def deadline(self) -> float:
        """When to call :meth:`timeout`; a call before then does nothing. Any call may move it, either way."""
        acknowledger = self._acknowledger
        return min(
            self._sender.due, acknowledger.due, acknowledger.gap_due, self._liveness.due, self._wait_until
        )

    # -- the local side --------------------------------------------------------------------------------------

    def confirm(self, now: float) -> Effects:
        """Ask the other end for a sign, until one comes: how an ingress tells an exit that it was chosen."""
        effects = Effects()
        if self._state in ACTIVE:
            self._ask(now, effects.frames)
        return effects

    def send(self, data: BytesLike, now: float) -> Effects:
        """Send ``data``, at most ``writable_bytes``; it may be reused afterwards.

        Raises:
            LocalProtocolError: there is no room for so much, or the stream cannot be sent on.
        """
        if self._state not in SENDING or not data:
            raise LocalProtocolError(f"{len(data)} bytes to send on a stream that is {self._state.value}")
        effects = Effects()
        self._sender.send(data, now, effects.frames)
        self._liveness.owed(now)
        # An acknowledgement that cannot wait for the next request goes along.
        patience = MAX_ACK_DELAY_S if (self._rtt.smoothed_s or 0.0) >= MAX_ACK_DELAY_S else 0.0
        if self._acknowledger.is_due(now, patience):
            effects.frames.append(self._acknowledgement(FrameType.ACK, now))
        return effects

    def finish(self, now: float) -> Effects:
        """The local socket has reached its end: send the FIN. On a stream that is broken off it does nothing.

        Raises:
            LocalProtocolError: it has been called before.
        """
        effects = Effects()
        if self._aborted or self._state is State.DRAINING:
            return self._concluded(effects)
        self._advance(Event.FINISH, now)
        sender = self._sender
        # The FIN goes behind the bytes on the way, where an ACK would overtake them.
        is_prompt = sender.sent_bytes - sender.acknowledged_bytes <= SMALLEST_ACK_BYTES
        sender.finish(self._acknowledger.fin(now, is_prompt=is_prompt), now, effects.frames)
        self._liveness.owed(now)
        return effects

    def delivered(self, byte_count: int, now: float) -> Effects:
        """The local socket has taken ``byte_count`` more of what was handed out.

        Raises:
            LocalProtocolError: so much was not handed out.
        """
        effects = Effects()
        receiver = self._receiver
        if byte_count > receiver.received_bytes - receiver.taken_bytes:
            raise LocalProtocolError(f"{byte_count} bytes taken, which is more than was handed out")
        if self._released:
            return effects
        acknowledger = self._acknowledger
        credit_moves = receiver.taken(byte_count, now)
        if self._state in ACTIVE and (credit_moves or acknowledger.is_due(now)):
            effects.frames.append(self._acknowledgement(acknowledger.bulk_kind(now), now))
        return self._concluded(effects) if self._state is State.DONE else effects

    def reset(self, code: ResetCode, now: float) -> Effects:
        """Break the connection off; the other end delivers what was sent before, as far as it arrives."""
        effects = Effects()
        if self._state is State.DONE:
            self._aborted = self._aborted or not self.finished
        elif self._state is not State.RESETTING:
            self._abort(code, now, effects)
        return self._concluded(effects)

    def path_changed(self, now: float) -> Effects:
        """Another link leads to the other end now: find out at once what was lost with the old one."""
        effects = Effects()
        frames = effects.frames
        self._liveness.start_over()
        if self._state in ACTIVE:
            if self._liveness.concerned(now):
                self._ask(now, frames)
            self._sender.probe_path(now, frames)
        elif self._state is State.RESETTING:
            self._ask(now, frames)
        return self._concluded(effects)

    def release(self) -> None:
        """Give everything back to the budget; the stream is of no use any more. Idempotent."""
        if self._released:
            return
        self._released = True
        self._aborted = self._aborted or not self.finished
        self._state = State.DONE
        self._stop_timers()
        self._sender.release()
        self._receiver.release()

    # -- the other end ---------------------------------------------------------------------------------------

    def receive(self, frames: Sequence[Frame], now: float) -> Effects:
        """Take frames of this connection, in the order of their arrival.

        Those that do not authenticate are dropped and counted. An authentic one that breaks the protocol
        resets the connection.
        """
        effects = Effects()
        heard = self._answer = False
        for frame in frames:
            try:
                if self._state is State.DONE:
                    self._again(frame, effects.frames)
                elif frame.type in _SEGMENTS:
                    heard = self._segment(frame, now, effects) or heard
                elif frame.type in _CONTROLS:
                    self._control(frame, now, effects)
                    heard = True
                elif frame.type == FrameType.UNKNOWN:
                    self._peer_unknown(now, effects)
            except AuthenticationError:
                self.forged_frames += 1
            except RemoteProtocolError:
                self._violated(now, effects)
        if heard and self._state in ACTIVE:
            self._heard(now, effects.frames)
        if self._answer and (self._state in ACTIVE or self._ended_in_order):
            effects.frames.append(self._acknowledgement(FrameType.ACK, now))
        return self._concluded(effects) if self._state is State.DONE else effects

    def _heard(self, now: float, frames: list[Frame]) -> None:
        """Something new and authentic has arrived: the other end is there."""
        sender = self._sender
        if sender.timeouts and not self._liveness.answered_at_once:
            # What was repeated went unanswered, yet the path works again: do not wait for the next time.
            sender.probe_path(now, frames)
        outstanding = sender.outstanding > 0
        self._liveness.hear(now, outstanding=outstanding, starved=not outstanding and sender.starved)

    def _segment(self, frame: Frame, now: float, effects: Effects) -> bool:
        """Take a DATA or FIN; return whether it is new."""
        if self._state is State.RESETTING:
            return False
        receiver = self._receiver
        if not receiver.arrived(frame, now, effects.delivered):
            if self._state is not State.DRAINING:
                self._acknowledger.hurry(now)  # the ACK was lost, or the other end is in doubt
            return False
        if self._state is State.DRAINING:
            effects.peer_finished = receiver.finished
            self._drain(now, effects)
            return True
        self._acknowledger.segment_arrived(now, marked=frame.marked)
        if receiver.finished:
            self._sender.acknowledged_by_fin(receiver.fin, now, effects.frames)
            self._look_for_fin(now)
            effects.peer_finished = True
            self._advance(Event.PEER_FIN, now)
            # An end that can still send has a FIN to come, which may say it.
            self._answer = self._answer or self._state is not State.PEER_FINISHED
        return True

    def _control(self, frame: Frame, now: float, effects: Effects) -> None:
        payload = self._session.open_control(frame)
        if frame.type == FrameType.RESET:
            self._peer_reset(decode_reset(payload), now, effects)
            return
        ack = decode_acknowledgement(payload)
        if frame.type == FrameType.PROBE:
            self._acknowledger.probe_arrived(frame.number)
            self._answer = True
        if self._state in ACTIVE:
            self._acknowledger.echo_arrived(ack.echo, now)
            self._sender.acknowledged(ack, now, effects.frames)
            self._look_for_fin(now)

    def _look_for_fin(self, now: float) -> None:
        """Go on where the own FIN has been acknowledged."""
        if self._sender.finished and self._state in FIN_UNACKNOWLEDGED:
            self._advance(Event.FIN_ACKNOWLEDGED, now)

    def _again(self, frame: Frame, frames: list[Frame]) -> None:
        """This end is done, but still here: say again what the other end has missed."""
        if not self._ended_in_order:
            return
        if frame.type in _SEGMENTS:
            self._session.open_segment(frame)
            self._answer = True
        elif frame.type in _CONTROLS:
            payload = self._session.open_control(frame)
            if frame.type == FrameType.PROBE:
                self._answer = True
            elif frame.type == FrameType.RESET and not (reset := decode_reset(payload)).is_answer:
                frames.append(self._reset_frame(reset.code, is_answer=True))

    def _peer_reset(self, reset: Reset, now: float, effects: Effects) -> None:
        if reset.is_answer:
            if self._state is State.RESETTING:
                self._move(Event.RESET_ANSWERED)
            return
        effects.frames.append(self._reset_frame(reset.code, is_answer=True))
        if self._state is State.DRAINING:
            return
        self._reset_code, self._final_number = reset.code, reset.final_number
        self._drained_at = now + MAX_DRAIN_S
        self._move(Event.PEER_RESET)
        self._sender.release()
        self._drain(now, effects)

    def _drain(self, now: float, effects: Effects) -> None:
        """End if all that preceded the other end's RESET has arrived; else wait for more."""
        if self._state is not State.DRAINING:
            return
        if self._receiver.next_number >= self._final_number:
            self._drained(effects)
        else:
            self._wait_until = min(now + DRAIN_SILENCE_S, self._drained_at)

    def _drained(self, effects: Effects) -> None:
        self._aborted = True
        effects.peer_reset = self._reset_code
        self._move(Event.DRAINED)

    def _peer_unknown(self, now: float, effects: Effects) -> None:
        if self._state not in ACTIVE and self._state is not State.RESETTING:
            return
        if self._liveness.unknown():
            self._ask(now, effects.frames)
        elif self._liveness.gone(closing=self._needs_only_fin_acknowledged):
            self._give_up(ResetCode.GONE, effects)

    def _violated(self, now: float, effects: Effects) -> None:
        if self._state is not State.RESETTING and self._state is not State.DONE:
            effects.peer_reset = ResetCode.PROTOCOL_ERROR
            self._abort(ResetCode.PROTOCOL_ERROR, now, effects)

    # -- time ------------------------------------------------------------------------------------------------

    def timeout(self, now: float) -> Effects:
        """Do what is due; nothing where it is too early."""
        effects = Effects()
        if self._acknowledger.timeout(now):
            effects.frames.append(self._acknowledgement(FrameType.ACK, now))
        if now >= self._wait_until:
            self._wait_until = inf
            if self._state is State.DRAINING:
                self._drained(effects)
        if now >= min(self._sender.due, self._liveness.due):
            if self._liveness.overdue(now):
                if self._state in ACTIVE:
                    # The other end may hear, though it is not heard.
                    effects.frames.append(self._reset_frame(ResetCode.TIMED_OUT, is_answer=False))
                self._give_up(ResetCode.TIMED_OUT, effects)
            if now >= self._sender.due:
                self._sender.timeout(now, effects.frames)
            if now >= self._liveness.due:
                self._ask(now, effects.frames)
        return self._concluded(effects)

    def _ask(self, now: float, frames: list[Frame]) -> None:
        """Send what must be answered in this state, and set the time to repeat it."""
        if self._state is State.RESETTING:
            frames.append(self._reset_frame(self._reset_code, is_answer=False))
        else:
            frames.append(self._acknowledgement(FrameType.PROBE, now))
        self._liveness.asked(now)

    # -- ending ----------------------------------------------------------------------------------------------

    def _abort(self, code: ResetCode, now: float, effects: Effects) -> None:
        """Break off; where the other end must hear of it, tell it until it answers."""
        self._aborted = True
        self._move(Event.RESET)
        self._sender.release()
        if self._state is State.RESETTING:
            self._reset_code = code
            self._liveness.start_over()
            self._ask(now, effects.frames)

    def _give_up(self, code: ResetCode, effects: Effects) -> None:
        """The other end is out of reach or gone."""
        if not self._needs_only_fin_acknowledged:
            if self._state is not State.RESETTING:
                effects.peer_reset = code
            self._aborted = True
        self._move(Event.GIVE_UP)
        self._sender.release()

    @property
    def _ended_in_order(self) -> bool:
        return self._state is State.DONE and not self._aborted

    @property
    def _needs_only_fin_acknowledged(self) -> bool:
        """All bytes of both directions have arrived, and both FINs but perhaps the own."""
        return self._state is State.CLOSING and self._sender.only_fin_outstanding

    def _advance(self, event: Event, now: float) -> None:
        """Go on in order."""
        self._state = advance(self._state, event)
        if self._state is State.DONE:
            self._stop_timers()
            if self._sender.fin_told < self._receiver.next_number - 1:
                # Bytes came after it: the other end hears of them by ACKs, and these may be lost.
                self._wait_until = now + max(MIN_LINGER_S, LINGER_TIMEOUTS * self._rtt.timeout_s)

    def _move(self, event: Event) -> None:
        """Leave the states in which timers of old mean something."""
        self._state = advance(self._state, event)
        self._stop_timers()

    def _stop_timers(self) -> None:
        self._acknowledger.stop()
        self._liveness.forgive()
        self._sender.due = self._wait_until = inf

    def _concluded(self, effects: Effects) -> Effects:
        """Say so if this is the end."""
        if self._state is State.DONE:
            effects.done = self._aborted or (self.finished and self._wait_until == inf)
        return effects

    def _acknowledgement(self, kind: FrameType, now: float) -> Frame:
        return self._acknowledger.frame(kind, now)

    def _reset_frame(self, code: ResetCode, *, is_answer: bool) -> Frame:
        reset = Reset(code, is_answer, self._sender.next_number)
        return self._session.seal_control(FrameType.RESET, encode_reset(reset))
