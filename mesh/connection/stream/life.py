"""What a stream consists of, and its life: the state it is in, and how it ends.

Reset by either end, given up, or in order; ``states.py`` has the table. What flows before is the subject of
``stream.py``.
"""

from math import inf
from typing import Final

from mesh.connection.key_terms import KeyTerms
from mesh.connection.session import Session
from mesh.connection.stream.acknowledging import Acknowledger
from mesh.connection.stream.budget import StreamBudget
from mesh.connection.stream.control import Reset, ResetCode, encode_reset
from mesh.connection.stream.effects import Effects
from mesh.connection.stream.liveness import Liveness
from mesh.connection.stream.progress import Progress
from mesh.connection.stream.receive_half import ReceiveHalf
from mesh.connection.stream.rekeying import Rekeying
from mesh.connection.stream.rtt import MAX_ACK_DELAY_S, RoundTrip
from mesh.connection.stream.send_half import SendHalf
from mesh.connection.stream.states import ACTIVE, Event, State, advance
from mesh.connection.stream.window import DEFAULT_LIMITS, INITIAL_WINDOW_BYTES, WindowLimits
from mesh.link.frames import Frame, FrameType

MIN_LINGER_S: Final = 3.0
LINGER_TIMEOUTS: Final = 3
"""An end that may be asked once more stays: for three timeouts of an end that has not measured the path."""

DRAIN_SILENCE_S: Final = 1.0
MAX_DRAIN_S: Final = 10.0
"""RESET overtakes the segments before it. They are waited for until none has come for the former time."""


class StreamLife:
    """One end's halves, timers and state, and every way in which they end.

    The base of :class:`~mesh.connection.stream.stream.Stream`, which carries the bytes and explains the
    arguments.
    """

    __slots__ = (
        "_aborted",
        "_acknowledger",
        "_answer",
        "_drained_at",
        "_farewell",
        "_final_number",
        "_liveness",
        "_owes_sign",
        "_progress",
        "_receiver",
        "_rekey_at",
        "_rekeying",
        "_released",
        "_reset_code",
        "_rtt",
        "_sender",
        "_session",
        "_state",
        "_terms",
        "_wait_until",
        "_worn_at",
        "forged_frames",
    )

    def __init__(
        self,
        *,
        session: Session,
        send_credit: int,
        credit: int = INITIAL_WINDOW_BYTES,
        budget: StreamBudget,
        reroute_timeout_s: float,
        idle_probe_s: float,
        terms: KeyTerms,
        opened_at: float,
        limits: WindowLimits = DEFAULT_LIMITS,
    ) -> None:
        self._session = session
        self._terms = terms
        self._rekeying: Rekeying | None = None
        """None until the keys are due first: most connections end before."""
        key_age_s, self._worn_at = terms.limits.of(session)
        """After how many bytes, in both directions together, something is due of new keys."""
        self._rekey_at = opened_at + key_age_s
        """When."""
        self._rtt = RoundTrip()
        self._sender = SendHalf(session, send_credit, budget, self._rtt, limits)
        self._receiver = ReceiveHalf(session, credit, budget, self._rtt, limits, remote=session.remote)
        self._acknowledger = Acknowledger(session, self._receiver, self._rtt)
        self._liveness = Liveness(self._rtt, reroute_timeout_s, idle_probe_s)
        self._progress = Progress(
            self._sender,
            self._acknowledger,
            self._liveness,
            self._rtt,
            budget=budget,
            reroute_timeout_s=reroute_timeout_s,
        )
        self._state = State.OPEN
        self._aborted = False
        """Broken off, by either end."""
        self._released = False
        self._answer = False
        """A frame being handled wants an ACK at once."""
        self._wait_until = self._rekey_at
        """End of the wait for questions (done), or for segments that a reset overtook (draining).

        While active: when the path is to be judged, or new keys are due."""
        self._drained_at = inf
        """Latest end of the wait for segments."""
        self._reset_code = ResetCode.RESET
        self._final_number = 0
        self._farewell: tuple[Frame, ...] = ()
        """The own FIN, if it is what the other end repeats its own for."""
        self._owes_sign = False
        """The exit may not know yet that it was chosen, of which a RESET tells nothing."""
        self.forged_frames = 0
        """Frames dropped because they did not authenticate."""

    @property
    def state(self) -> State:
        """Where the stream stands."""
        return self._state

    @property
    def finished(self) -> bool:
        """Both directions ended in order: both FINs arrived, and the local socket has taken everything."""
        receiver = self._receiver
        taken = receiver.taken_bytes == receiver.received_bytes
        return self._state is State.DONE and taken and not self._aborted

    @property
    def farewell(self) -> tuple[Frame, ...]:
        """What tells the other end, if it asks on, that both have finished; empty if it need not be kept."""
        return self._farewell if self.finished else ()

    def began_early(self, data: bytes, now: float) -> None:
        """The OPEN has brought the first segment, which the ACCEPT acknowledges: at the exit."""
        self._receiver.carried(data, now, [])

    def accepted(self, taken_bytes: int, answer: bytes, now: float) -> Effects:
        """The ACCEPT tells that the exit has the first segment, or brings that of the other way, or both.

        At the ingress. Before long it tells the exit that it has chosen it: by what it says next, by the
        acknowledgement of the answer, or by a question if there was no answer.
        """
        effects = Effects()
        self._owes_sign = True
        if taken_bytes:
            self._sender.carried(taken_bytes, now)
        if answer:
            self._receiver.carried(answer, now, effects.delivered)
            self._liveness.hear(now, outstanding=False, starved=False)
            self._acknowledger.due = now + MAX_ACK_DELAY_S
        else:
            self._liveness.ask_at(now + MAX_ACK_DELAY_S, now)
        return effects

    def reset(self, code: ResetCode, now: float) -> Effects:
        """Break the connection off; the other end delivers what was sent before, as far as it arrives."""
        effects = Effects()
        if self._state is State.DONE:
            self._aborted = self._aborted or not self.finished
        elif self._state is not State.RESETTING:
            if self._owes_sign and self._state in ACTIVE and not self._acknowledger.said_number:
                effects.frames.append(self._acknowledgement(FrameType.ACK, now))
            self._abort(code, now, effects)
        return self._concluded(effects)

    def release(self) -> None:
        """Give everything back to the budget; the stream is of no use any more. Idempotent."""
        if self._released:
            return
        self._released = True
        self._aborted = self._aborted or not self.finished
        if self._state is not State.DONE:
            self._state = State.DONE
            self._stop_timers()
        self._wait_until = inf
        self._sender.release()
        self._receiver.release()

    # -- by reset --------------------------------------------------------------------------------------------

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

    # -- for want of an answer, or for a wrong one -----------------------------------------------------------

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

    def _ask(self, now: float, frames: list[Frame]) -> None:
        """Send what must be answered in this state, and set the time to repeat it."""
        if self._state is State.RESETTING:
            frames.append(self._reset_frame(self._reset_code, is_answer=False))
        else:
            frames.append(self._acknowledgement(FrameType.PROBE, now))
        self._liveness.asked(now)

    # -- what ends have in common ----------------------------------------------------------------------------

    def _abort(self, code: ResetCode, now: float, effects: Effects) -> None:
        """Break off; if the other end must hear of it, tell it until it answers."""
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
    def _is_asked_until_finished(self) -> bool:
        """The other end has all bytes, and repeats its FIN until this end's own acknowledges it."""
        if self._state is not State.PEER_FINISHED or self._sender.outstanding:
            return False
        return self._acknowledger.said_number < self._receiver.next_number

    @property
    def _needs_only_fin_acknowledged(self) -> bool:
        """All bytes of both directions have arrived, and both FINs but perhaps the own."""
        return self._state is State.CLOSING and self._sender.only_fin_outstanding

    def _advance(self, event: Event, now: float) -> None:
        """Go on in order."""
        self._state = advance(self._state, event)
        if self._state is State.DONE:
            self._stop_timers()
            receiver = self._receiver
            if self._sender.fin_told < receiver.bytes_end and not receiver.fin.is_last:
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
