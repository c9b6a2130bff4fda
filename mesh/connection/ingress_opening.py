"""Opening a connection at its ingress, as a pure state machine: what happens, until an exit is chosen.

The first to accept is chosen, the others are declined. Whom to try, and for how long, is the subject of
``candidate_trials.py``.

An opening may begin before its client comes. It then stands by with its number for one candidate, and with
its OPEN if that takes a handshake, and sends nothing.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

from mesh.connection import ingress_effects as effects
from mesh.connection.candidate_trials import CandidateTrials, Due
from mesh.connection.ingress_states import IngressEvent, IngressState, advance
from mesh.connection.offer import Offer
from mesh.connection.open_attempt import OpenAttempt
from mesh.connection.reject_codes import IngressVerdict, code_of_exit
from mesh.connection.repeating import PROMPT_S
from mesh.errors import RemoteProtocolError
from mesh.escaping import escaped
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId
from mesh.trust.naming import named

MAX_NAMED: Final = 3
"""Exits that did not answer, in the reason that a connection was refused."""

ANSWERS: Final = frozenset({FrameType.ACCEPT, FrameType.REJECT})
"""Types of frames in which an exit says yes or no."""


class IngressOpening(CandidateTrials):
    """Opens one connection; every call returns what is to be done, in this order.

    Args:
        key: the routing key.
        numbers: of this instance's connections.
        initiate: begins a session with an exit.
        open_timeout_s: the time for opening, from when the client comes.
    """

    __slots__ = ()

    def prepare(self, offer: Offer) -> effects.IngressEffects:
        """Make what can be made ahead for the next client's first candidate."""
        self._register(offer, self._numbers.reserve())
        return self._done()

    def discard(self) -> effects.IngressEffects:
        """No client will come."""
        self.state = advance(self.state, IngressEvent.DISCARDED)
        self._effects.append(effects.OpeningEnded())
        return self._done()

    def client_came(
        self, candidates: Sequence[Offer], now: float, *, said: bytes = b"", listens_s: float = 0.0
    ) -> effects.IngressEffects:
        """Open for a client.

        Args:
            candidates: in the order to try them; what was prepared is for the first.
            now: in monotonic seconds.
            said: by the client, so far.
            listens_s: for how long to ask nobody, as it may say something.
        """
        self.state = advance(self.state, IngressEvent.CLIENT_CAME)
        self._deadlines[Due.END] = now + self._open_timeout_s
        self._candidates = list(reversed(candidates))
        for prepared in tuple(self._attempts.values()):
            if prepared.is_stale(now, self._numbers.last):
                self._drop(prepared)
            else:
                self._numbers.use(prepared.number)
                prepared.rtt_s = self._candidates.pop().rtt_s
        for _, number in self._registering:
            self._numbers.use(number)
            self._candidates.pop()  # tried as soon as it is registered
        if listens_s:
            self._deadlines[Due.WORDS] = now + listens_s
        else:
            self._ask_first(said, now)
        return self._done()

    def client_said(self, said: bytes, now: float) -> effects.IngressEffects:
        """The client, who was waited for, has said something or has finished."""
        if self.listens:
            self._ask_first(said, now)
        return self._done()

    def _ask_first(self, said: bytes, now: float) -> None:
        """Ask the first candidate."""
        self._deadlines[Due.WORDS] = inf
        self._said = said
        for prepared in tuple(self._attempts.values()):
            self._begin(prepared, now)
        if not self._attempts:
            self._try_next(now)

    def registered(
        self, exit_id: AgentId, number: int, now: float, *, has_path: bool
    ) -> effects.IngressEffects:
        """Frames of this connection are delivered here from now on."""
        registering, self._registering = self._registering, ()
        is_wanted = self.state in (IngressState.STANDING_BY, IngressState.OPENING)
        if not is_wanted or exit_id in self._ruled_out or not registering or registering[0][1] != number:
            self._effects.append(effects.ForgetExit(exit_id, number))
            self._try_next(now)
            self._end_if_settled()
            return self._done()
        offer = registering[0][0]
        attempt = self._attempts[number] = OpenAttempt(
            offer.party,
            offer.name,
            number,
            self._initiate(offer.party, number),
            has_path,
            now,
            offer.rtt_s,
        )
        if self.stands_by:
            self._prepare(attempt, now)
        elif not self.listens:
            self._begin(attempt, now)
        return self._done()

    def answered(self, frame: Frame, now: float) -> effects.IngressEffects:
        """An ACCEPT, REJECT or UNKNOWN has arrived; a forged one changes nothing that matters."""
        attempt = self._attempts.get(frame.connection)
        if attempt is None or not attempt.is_asked:
            return ()
        if frame.type not in ANSWERS:
            return self._pair_unknown(attempt, now) if frame.type == FrameType.UNKNOWN else ()
        try:
            reply, session = attempt.initiator.read_reply(frame)
        except RemoteProtocolError:
            self._effects.append(effects.AnswerForged(attempt.party.id, attempt.number))
            return self._done()
        self._heard.heard(attempt.party, now - attempt.asked_at, now)
        if session is None:
            self._refused_id = attempt.initiator.id
            self._refused(attempt, code_of_exit(reply.code), escaped(reply.reason), now)
            return self._done()
        if self.state is IngressState.OPENING and attempt.is_wanted:
            self.state = advance(self.state, IngressEvent.EXIT_CHOSEN)
            del self._attempts[attempt.number]
            exit_id, number = attempt.party.id, attempt.number
            self._chosen = attempt.name, exit_id, number
            taken_bytes = len(attempt.early) if reply.took_early else 0
            chosen = effects.ExitChosen(
                session=session,
                remote=exit_id,
                number=number,
                credit=reply.credit,
                socket_tag=reply.socket_tag,
                wants_client=reply.wants_client,
                taken_bytes=taken_bytes,
                unsent=self._said[taken_bytes:],
                answer=reply.early,
            )
            self._forget_what_was_needed()
            self._effects.append(chosen)
            if attempt.doubted_at != inf:
                is_prompt = now - attempt.doubted_at <= PROMPT_S
                self._effects.append(effects.PathAnswered(is_prompt))
        else:
            self._effects.append(effects.ExitDeclined(session, attempt.party.id, reply.credit))
            self._drop(attempt)
            self._end_if_settled()
        # Last: the listener prepares the next connection then, and this one's bytes are on their way.
        self._effects.append(effects.CandidateServed(attempt.party.id))
        return self._done()

    def _pair_unknown(self, attempt: OpenAttempt, now: float) -> effects.IngressEffects:
        """The exit says that it has no such pair session, which nobody vouches for: send a full OPEN, too."""
        if self.state is IngressState.OPENING and attempt.is_wanted and attempt.initiator.pair_unknown():
            self._repeat_from_now(attempt, now)
            self._open_or_pass_on(attempt, now)
        return self._done()

    def candidates_found(self, offers: Sequence[Offer], now: float) -> effects.IngressEffects:
        """Try candidates that are new or back; give the client up if there is none to try or to wait for."""
        if self.state is not IngressState.OPENING:
            return ()
        offering = {offer.party.id for offer in offers}
        for exit_id, until in list(self._starting.items()):
            if exit_id in offering or now >= until:
                del self._starting[exit_id]
        known = {attempt.party.id for attempt in self._attempts.values()}
        known.update(offer.party.id for offer in self._untried())
        known |= self._ruled_out
        found = [
            offer for offer in offers if offer.party.id not in known and offer.party not in self._refusals
        ]
        self._candidates[:0] = reversed(found)
        if self._candidates:
            if self._is_stuck:
                self._try_next(now)
        elif not (self._starting or self._registering or self._may_be_served):
            self._give_client_up()
        return self._done()

    def came_back(self, exit_id: AgentId, now: float) -> effects.IngressEffects:
        """This exit says that the client is its own socket: only others may serve it.

        That need not be true. So it ends what is tried with this exit, and nothing else.
        """
        if self.state is not IngressState.OPENING:
            return ()
        self._ruled_out |= {exit_id}
        self._candidates = [offer for offer in self._candidates if offer.party.id != exit_id]
        for offer, _ in self._registering:
            if offer.party.id == exit_id:
                self._came_back_by(offer.party, offer.name)
        for attempt in list(self._attempts.values()):
            if attempt.party.id == exit_id and attempt.is_wanted:
                self._came_back_by(attempt.party, attempt.name)
                if attempt.may_hold_bytes:
                    self._drop(attempt)
                    self._give_client_up()
                    break
                if attempt.is_asked:
                    attempt.rule_out()  # it may have accepted, and is to hear at once that it is not chosen
                else:
                    self._drop(attempt)
                self._try_next(now)
        return self._done()

    def path_changed(self, exit_id: AgentId, now: float, *, has_path: bool) -> effects.IngressEffects:
        """The path to this exit is another one now, or there is none."""
        for attempt in list(self._attempts.values()):
            if attempt.party.id == exit_id:
                attempt.has_path = has_path
                if (
                    attempt.repeat_at < inf
                ):  # another first hop, or one at last: repeat, and doubt, as at first
                    self._repeat_from_now(attempt, now)
                if self.state is IngressState.OPENING and attempt.is_wanted:
                    self._open_or_pass_on(attempt, now)
        return self._done()

    def exit_gone(
        self, exit_id: AgentId, verdict: IngressVerdict, why: str, now: float
    ) -> effects.IngressEffects:
        """This exit's agent is a new instance, which knows nothing of the OPEN, or may no longer serve."""
        for attempt in list(self._attempts.values()):
            if attempt.party.id == exit_id:
                if self.stands_by:
                    self._drop(attempt)
                elif attempt.may_hold_bytes and self.state is IngressState.OPENING:
                    self._lost_with(attempt, verdict, why)
                else:
                    self._refused(attempt, verdict, why, now)
        return self._done()

    def client_left(self) -> effects.IngressEffects:
        """The client was reset before an exit was chosen: wait for answers, to decline what they opened."""
        self.state = advance(self.state, IngressEvent.CLIENT_LEFT)
        self._candidates.clear()
        self._starting.clear()
        for attempt in tuple(self._attempts.values()):
            if not attempt.is_asked:
                self._drop(attempt)
        self._end_if_settled()
        return self._done()

    def timeout(self, now: float) -> effects.IngressEffects:
        """Do what is due."""
        if self._deadlines.take(Due.END, now):
            self._time_is_up()
        elif self.state is IngressState.OPENING:
            for attempt in list(self._attempts.values()):
                self._attempt_due(attempt, now)
            if self._deadlines.take(Due.WORDS, now):
                self._ask_first(b"", now)
            if self._deadlines.take(Due.RETRY, now):
                if self._starting:
                    self._look_for_more(now)
                elif self._is_stuck:
                    self._try_next(now)
        return self._done()

    def _time_is_up(self) -> None:
        """Whoever has not been chosen is forgotten."""
        wanted = [attempt for attempt in self._attempts.values() if attempt.is_wanted]
        unanswered = tuple(attempt.party.id for attempt in wanted)
        names = [named(attempt.name, attempt.party.id) for attempt in wanted]
        silent = ", ".join(names[:MAX_NAMED]) + (" and others" if len(names) > MAX_NAMED else "")
        for attempt in list(self._attempts.values()):
            self._drop(attempt)
        if self.state is IngressState.OPENING:
            if any(attempt.may_hold_bytes for attempt in wanted):
                self._last_refusal = (
                    "an exit may have handed over what the client has said: no other was asked"
                )
            self._effects.append(
                effects.ClientGivenUp(
                    self._last_refusal, self._last_code, self._refused_id, unanswered, silent
                )
            )
        self.state = advance(self.state, IngressEvent.TIME_IS_UP)
        if self.state is IngressState.ENDED:
            self._effects.append(effects.OpeningEnded())
