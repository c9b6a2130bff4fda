"""A reliable, sealed, credit-controlled byte stream: one end of a connection. Pure; time is passed in.

Whatever the other end must know is repeated until it answers: segments, the FIN among them, until
acknowledged; PROBE until anything authentic arrives; RESET until a RESET with the answer flag.
Acknowledgements are not repeated by themselves: an end that misses one asks again. How it ends: ``life.py``.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

from mesh.connection.stream.control import ResetCode, decode_acknowledgement, decode_reset
from mesh.connection.stream.effects import NOTHING, Effects, PathVerdict
from mesh.connection.stream.life import StreamLife
from mesh.connection.stream.rekeying import Rekeying
from mesh.connection.stream.rtt import MAX_ACK_DELAY_S
from mesh.connection.stream.send_half import MAX_LAST_BYTES
from mesh.connection.stream.states import ACTIVE, FIN_UNACKNOWLEDGED, SENDING, Event, State
from mesh.connection.stream.window import SMALLEST_ACK_BYTES
from mesh.errors import AuthenticationError, LocalProtocolError, OvertakenError, RemoteProtocolError
from mesh.link.frames import BytesLike, Frame, FrameType

_SEGMENTS: Final = (FrameType.DATA, FrameType.FIN)
_CONTROLS: Final = (FrameType.ACK, FrameType.PROBE, FrameType.RESET)


class Stream(StreamLife):
    """One end's stream, in both directions.

    Every call gives what to do in return; an authentic frame that breaks the protocol resets the connection.

    Args:
        session: seals and opens.
        send_credit: what the other end takes at first, from its OPEN or ACCEPT.
        credit: what it was given, by this end's ACCEPT or OPEN.
        budget: of all streams.
        limits: of the receive window.
        reroute_timeout_s: unanswered for so long, the connection is given up.
        idle_probe_s: silence after which to ask whether the other end is still there.
        terms: for new keys.
        opened_at: since when the present ones serve, in monotonic seconds.
    """

    __slots__ = ()

    # -- what the owner sees ---------------------------------------------------------------------------------

    @property
    def writable_bytes(self) -> int:
        """Bytes that may be taken from the local socket now; with 0 it should not be read."""
        return self._sender.room_bytes if self._state in SENDING else 0

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
    def taken_bytes(self) -> int:
        """Plaintext bytes that the local socket has taken."""
        return self._receiver.taken_bytes

    @property
    def round_trip_s(self) -> float | None:
        """Smoothed round-trip time; None before it has been measured."""
        return self._rtt.smoothed_s

    @property
    def heard(self) -> bool:
        """Whether anything authentic has arrived that was no RESET; the other end's FIN may have been all."""
        return self._liveness.heard or self._ended_in_order

    @property
    def idle(self) -> bool:
        """Nothing is on the way from here, and no acknowledgement is owed."""
        return not self._sender.outstanding and self._acknowledger.due == inf

    @property
    def is_worn(self) -> bool:
        """So much has been carried that :meth:`timeout` is due: look now and then while bytes flow."""
        return self._sender.sent_bytes + self._receiver.received_bytes >= self._worn_at

    def deadline(self) -> float:
        """When to call :meth:`timeout`; a call before then does nothing. Any call may move it, either way."""
        acknowledger = self._acknowledger
        # Not min(), which compiled code takes only two of without objects for all of them.
        earliest = self._sender.due
        if (due := acknowledger.due) < earliest:
            earliest = due
        if (due := acknowledger.gap_due) < earliest:
            earliest = due
        if (due := self._liveness.due) < earliest:
            earliest = due
        return min(earliest, self._wait_until)

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
        if self._acknowledger.due < inf:
            # An acknowledgement that cannot wait for the next request goes along.
            patience = MAX_ACK_DELAY_S if (self._rtt.smoothed_s or 0.0) >= MAX_ACK_DELAY_S else 0.0
            if self._acknowledger.is_due(now, patience):
                effects.frames.append(self._acknowledgement(FrameType.ACK, now))
        return effects

    def finish(self, now: float, last: BytesLike = b"") -> Effects:
        """The local socket has reached its end: send the FIN. On a stream that is broken off it does nothing.

        Args:
            now: seconds.
            last: bytes that precede the end, at most ``writable_bytes``; they go with it if they are few.

        Raises:
            LocalProtocolError: it has been called before.
        """
        effects = Effects()
        if self._aborted or self._state is State.DRAINING:
            return self._concluded(effects)
        sender, acknowledger = self._sender, self._acknowledger
        if len(last) > MAX_LAST_BYTES:
            sender.send(last, now, effects.frames)
            last = b""
        is_last = self._is_asked_until_finished and not last
        if not is_last:
            self._advance(Event.FINISH, now)
        # The FIN queues behind the bytes on the way; an ACK would overtake them.
        is_prompt = sender.sent_bytes - sender.acknowledged_bytes <= SMALLEST_ACK_BYTES
        fin = acknowledger.fin(now, is_prompt=is_prompt, is_last=is_last)
        sender.finish(fin, last, now, effects.frames)
        if is_last:
            self._farewell = tuple(effects.frames)
            sender.release()
            self._advance(Event.FINISH_LAST, now)
            return self._concluded(effects)
        self._liveness.owed(now)
        return effects

    def delivered(self, byte_count: int, now: float) -> Effects:
        """The local socket has taken ``byte_count`` more of what was handed out.

        Raises:
            LocalProtocolError: so much was not handed out.
        """
        receiver = self._receiver
        if byte_count > receiver.received_bytes - receiver.taken_bytes:
            raise LocalProtocolError(f"{byte_count} bytes taken, which is more than was handed out")
        if self._released:
            return NOTHING
        acknowledger, state = self._acknowledger, self._state
        credit_moves = receiver.taken(byte_count, now)
        if state is State.DONE:
            return self._concluded(Effects())
        if state not in ACTIVE or not (credit_moves or acknowledger.is_due(now)):
            return NOTHING
        effects = Effects()
        effects.frames.append(self._acknowledgement(acknowledger.bulk_kind(now), now))
        return effects

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

    def take_forged(self) -> int:
        """How many frames have not authenticated since this was asked last."""
        count, self.forged_frames = self.forged_frames, 0
        return count

    # -- the other end ---------------------------------------------------------------------------------------

    def receive(self, frames: Sequence[Frame], now: float) -> Effects:
        """Take frames of this connection, in the order of their arrival.

        Those that do not authenticate are dropped and counted; control frames that newer ones have overtaken
        are dropped. An authentic one that breaks the protocol resets the connection.
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
                elif frame.type == FrameType.SESSION_KEYS:
                    self._keys_message(frame, now, effects.frames)
                    heard = True
            except AuthenticationError:
                self.forged_frames += 1
            except OvertakenError:
                pass  # a newer one has said more
            except RemoteProtocolError:
                self._violated(now, effects)
        if heard and self._state in ACTIVE:
            self._heard(now, effects.frames)
        if self._answer and (self._state in ACTIVE or self._ended_in_order):
            effects.frames.extend(self._farewell or (self._acknowledgement(FrameType.ACK, now),))
        return self._concluded(effects) if self._state is State.DONE else effects

    def _heard(self, now: float, frames: list[Frame]) -> None:
        """Something new and authentic has arrived: the other end is there."""
        sender = self._sender
        if sender.timeouts and not self._liveness.answered_at_once:
            # What was repeated went unanswered, yet the path works again: do not wait for the next time.
            sender.probe_path(now, frames)
        outstanding = sender.acknowledged_number < sender.next_number
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
            is_awaited = not (receiver.fin.is_last and self._state is State.DONE)
            self._answer = self._answer or (is_awaited and self._state is not State.PEER_FINISHED)
        return True

    def _control(self, frame: Frame, now: float, effects: Effects) -> None:
        payload = self._session.open_control(frame)
        if frame.type == FrameType.RESET:
            self._peer_reset(decode_reset(payload), now, effects)
            return
        ack = decode_acknowledgement(payload)
        acknowledger = self._acknowledger
        acknowledger.told_at = now
        if frame.type == FrameType.PROBE:
            self._answer = True
            late_s = self._progress.answer_late_s(now)
            is_lost = acknowledger.probe_arrived(frame.number, ack.silence_s, late_s, now)
            if is_lost and self._state in ACTIVE:
                self._doubt_path(now, effects, is_loss=True)
        if self._state in ACTIVE:
            sender = self._sender
            is_measured = acknowledger.echo_arrived(ack.echo, now)
            sender.acknowledged(ack, now, effects.frames)
            if is_measured and sender.outstanding:
                sender.path_measured(now)
            if self._progress.doubts:
                effects.path = self._progress.proved(ack.silence_s, now) or effects.path
            if sender.repeats:
                self._judge_path(now, effects)
            self._look_for_fin(now)

    def _keys_message(self, frame: Frame, now: float, frames: list[Frame]) -> None:
        payload = self._session.open_control(frame)
        if self._state in ACTIVE:  # else the present ones do for what is left
            rekeying = self._made_rekeying()
            rekeying.receive(payload, now, frames)
            self._note_keys(rekeying)

    def _look_for_fin(self, now: float) -> None:
        """Go on if the own FIN has been acknowledged."""
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

    # -- time ------------------------------------------------------------------------------------------------

    def timeout(self, now: float) -> Effects:
        """Do what is due; nothing if it is too early."""
        effects = Effects()
        if self._acknowledger.timeout(now):
            effects.frames.append(self._acknowledgement(FrameType.ACK, now))
        if (now >= self._rekey_at or self.is_worn) and self._state in ACTIVE:
            self._renew_keys(now, effects)
        is_waited_for = now >= self._wait_until
        if is_waited_for:
            self._wait_until = inf
            if self._state is State.DRAINING:
                self._drained(effects)
        if is_waited_for or now >= min(self._sender.due, self._liveness.due):
            if self._liveness.overdue(now):
                if self._state in ACTIVE:
                    # The other end may hear, though it is not heard.
                    effects.frames.append(self._reset_frame(ResetCode.TIMED_OUT, is_answer=False))
                self._give_up(ResetCode.TIMED_OUT, effects)
            if now >= self._sender.due:
                self._sender.timeout(now, effects.frames)
                if self._sender.timeouts and not self._liveness.asking:
                    self._ask(now, effects.frames)  # the answer tells a lost path from a silent end
                    self._acknowledger.expect_no_sample()
            if now >= self._liveness.due:
                self._ask(now, effects.frames)
            if self._state in ACTIVE:
                self._judge_path(now, effects)
                self._wait_until = min(self._wait_until, self._rekey_at)
        return self._concluded(effects)

    # -- the keys --------------------------------------------------------------------------------------------

    def _renew_keys(self, now: float, effects: Effects) -> None:
        """Do what is due of new keys; an end that has heard nothing yet may not be wanted, and waits."""
        if not self._liveness.heard:
            self._rekey_at = now + self._rtt.timeout_s
            return
        rekeying = self._made_rekeying()
        if rekeying.timeout(now, effects.frames):
            self._note_keys(rekeying)
            if effects.frames:
                self._liveness.owed(now)
        else:
            effects.frames.append(self._reset_frame(ResetCode.NO_NEW_KEYS, is_answer=False))
            self._give_up(ResetCode.NO_NEW_KEYS, effects)

    def _made_rekeying(self) -> Rekeying:
        rekeying = self._rekeying
        if rekeying is None:
            rekeying = self._rekeying = Rekeying(
                self._session, self._terms, self._sender, self._receiver, self._rtt
            )
            rekeying.due, rekeying.worn_at = self._rekey_at, self._worn_at
        return rekeying

    def _note_keys(self, rekeying: Rekeying) -> None:
        self._rekey_at, self._worn_at = rekeying.due, rekeying.worn_at
        self._wait_until = min(self._wait_until, self._rekey_at)

    # -- the path --------------------------------------------------------------------------------------------

    def _judge_path(self, now: float, effects: Effects) -> None:
        """Something has gone unanswered: is it the path, and for how long yet?"""
        if self._progress.hopeless(now):
            effects.frames.append(self._reset_frame(ResetCode.NO_PROGRESS, is_answer=False))
            self._give_up(ResetCode.NO_PROGRESS, effects)
        elif self._progress.failed(now):
            self._doubt_path(now, effects, is_loss=False)
        else:
            self._wait_until = min(self._progress.look_again_at(now), self._rekey_at)

    def _doubt_path(self, now: float, effects: Effects, *, is_loss: bool) -> None:
        if self._progress.doubted(now, is_loss=is_loss):
            effects.path = PathVerdict.FAILED
