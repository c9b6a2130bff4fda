"""Opening a connection at its ingress, as a pure state machine: whom to ask, how long to wait, whom to take.

The first candidate is sent an OPEN. One that rejects, or that no path leads to any more, is followed by the
next at once; one that is silent is left to answer while the next is tried beside it. The first to accept is
chosen, the others are declined. If nobody is left to be tried, the listener is asked who else offers the key
by now.

An opening may begin before its client comes. It then stands by with its number and its OPEN for one
candidate, and sends nothing.
"""

import enum
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Final, TypeAlias

from mesh.connection import ingress_effects as effects
from mesh.connection.candidates import Offer
from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.connection.ingress_states import IngressEvent, IngressState, advance
from mesh.connection.open_attempt import OpenAttempt
from mesh.connection.patience import RESTART_PATIENCE_S, RETRY_AFTER_S, patience_s
from mesh.connection.reject_codes import IngressVerdict, RejectCode
from mesh.connection.repeating import repeat_delay_s
from mesh.connection.session_handshake import OpenRequest, Party, SessionInitiator
from mesh.connection.stream import INITIAL_WINDOW_BYTES
from mesh.deadlines import Deadlines
from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.escaping import escaped
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId
from mesh.trust.naming import named

_ANSWERS: Final = frozenset({FrameType.ACCEPT, FrameType.REJECT})


Initiate: TypeAlias = Callable[[Party, int, bool], SessionInitiator]
"""Begins a session: with whom, under which number, and whether it is for a client that is yet to come."""


class _Due(enum.IntEnum):
    """What an opening waits for, beside the answers of its attempts."""

    END = 0
    """The time for opening is over."""
    RETRY = 1
    """To look who offers the key then."""


class IngressOpening:
    """Opens one connection; every call returns what is to be done, in this order.

    Args:
        key: the routing key.
        numbers: of this instance's connections.
        initiate: begins a session with an exit.
        open_timeout_s: the time for opening, from when the client comes.
    """

    __slots__ = (
        "_attempts",
        "_candidates",
        "_deadlines",
        "_effects",
        "_initiate",
        "_key",
        "_last_refusal",
        "_numbers",
        "_open_timeout_s",
        "_refusals",
        "_registering",
        "_starting",
        "chosen",
        "state",
    )

    def __init__(
        self, *, key: str, numbers: ConnectionNumbers, initiate: Initiate, open_timeout_s: float
    ) -> None:
        self.state = IngressState.STANDING_BY
        self.chosen = ""
        """Name and number of the exit that was chosen, for logs."""
        self._key = key
        self._numbers = numbers
        self._initiate = initiate
        self._open_timeout_s = open_timeout_s
        self._candidates: list[Offer] = []
        """Untried candidates, the one to try next last."""
        self._registering: tuple[tuple[Offer, int], ...] = ()
        """Who is to be tried as soon as its number is registered; one at the most."""
        self._attempts: dict[int, OpenAttempt] = {}
        """Who is being tried, by number; without the one that was chosen."""
        self._starting: dict[AgentId, float] = {}
        """Exits that are being started again, and until when their offer is waited for."""
        self._refusals: frozenset[Party] = frozenset()
        """Who has refused, and is not asked again."""
        self._last_refusal = "no candidate answered"
        self._deadlines = Deadlines(_Due)
        self._effects: list[effects.IngressEffect] = []

    @property
    def stands_by(self) -> bool:
        """Whether its client has yet to come."""
        return self.state is IngressState.STANDING_BY

    def deadline(self) -> float:
        """When to call :meth:`timeout`, in monotonic seconds."""
        match self.state:
            case IngressState.STANDING_BY | IngressState.ENDED:
                return inf
            case IngressState.OPEN:
                return self._deadlines[_Due.END] if self._attempts else inf
            case IngressState.ABANDONED:
                return self._deadlines[_Due.END]
            case IngressState.OPENING:
                due = min(self._deadlines)
                for attempt in self._attempts.values():
                    due = min(due, attempt.repeat_at, attempt.hedge_at)
                return due

    # -- what happens ----------------------------------------------------------------------------------------

    def prepare(self, offer: Offer) -> effects.IngressEffects:
        """Make what can be made ahead for the next client's first candidate."""
        self._register(offer, self._numbers.reserve())
        return self._done()

    def discard(self) -> effects.IngressEffects:
        """No client will come."""
        self.state = advance(self.state, IngressEvent.DISCARDED)
        self._effects.append(effects.OpeningEnded())
        return self._done()

    def client_came(self, candidates: Sequence[Offer], now: float) -> effects.IngressEffects:
        """Open for a client; what was prepared is for the first of ``candidates``, which are in order."""
        self.state = advance(self.state, IngressEvent.CLIENT_CAME)
        self._deadlines[_Due.END] = now + self._open_timeout_s
        self._candidates = list(reversed(candidates))
        if self._registering:
            self._numbers.use(self._registering[0][1])
            self._candidates.pop()  # tried as soon as it is registered
        elif not self._attempts:
            self._try_next(now)
        else:
            (prepared,) = self._attempts.values()
            if prepared.is_stale(now, self._numbers.last):
                self._drop(prepared)
                self._try_next(now)
            else:
                self._numbers.use(prepared.number)
                self._begin(prepared, self._candidates.pop(), now)
        return self._done()

    def registered(
        self, exit_id: AgentId, number: int, now: float, *, has_path: bool
    ) -> effects.IngressEffects:
        """Frames of this connection are delivered here from now on."""
        registering, self._registering = self._registering, ()
        is_wanted = self.state in (IngressState.STANDING_BY, IngressState.OPENING)
        if not is_wanted or not registering or registering[0][1] != number:
            self._effects.append(effects.ForgetExit(exit_id, number))
            self._end_if_settled()
            return self._done()
        offer = registering[0][0]
        attempt = self._attempts[number] = OpenAttempt(
            offer.party,
            offer.name,
            number,
            self._initiate(offer.party, number, self.stands_by),
            has_path,
            now,
        )
        if self.stands_by:
            self._make_open(attempt, now)  # it will be there when the client comes
        else:
            self._begin(attempt, offer, now)
        return self._done()

    def answered(self, frame: Frame, now: float) -> effects.IngressEffects:
        """An ACCEPT or REJECT has arrived; a forged one changes nothing."""
        attempt = self._attempts.get(frame.connection)
        if attempt is None or not attempt.is_asked or frame.type not in _ANSWERS:
            return ()
        try:
            reply, session = attempt.initiator.read_reply(frame)
        except RemoteProtocolError:
            self._effects.append(effects.AnswerForged())
            return self._done()
        if session is None:
            self._refused(attempt, reply.code, escaped(reply.reason), now)
            return self._done()
        if self.state is IngressState.OPENING:
            self.state = advance(self.state, IngressEvent.EXIT_CHOSEN)
            del self._attempts[attempt.number]
            self._forget_what_was_needed()
            self.chosen = f"{named(attempt.name, attempt.party.id)}#{attempt.number}"
            exit_id, number = attempt.party.id, attempt.number
            chosen = effects.ExitChosen(session, exit_id, number, reply.credit, reply.socket_tag)
            self._effects.append(chosen)
        else:
            self._effects.append(effects.ExitDeclined(session, attempt.party.id, reply.credit))
            self._drop(attempt)
            self._end_if_settled()
        # Last: the listener prepares the next connection then, and this one's bytes are on their way.
        self._effects.append(effects.CandidateServed(attempt.party.id))
        return self._done()

    def candidates_found(self, offers: Sequence[Offer], now: float) -> effects.IngressEffects:
        """Try who is new or back; without anyone to wait for, give up."""
        if self.state is not IngressState.OPENING:
            return ()
        offering = {offer.party.id for offer in offers}
        for exit_id, until in list(self._starting.items()):
            if exit_id in offering or now >= until:
                del self._starting[exit_id]
        known = {attempt.party.id for attempt in self._attempts.values()}
        known.update(offer.party.id for offer in self._untried())
        found = [
            offer for offer in offers if offer.party.id not in known and offer.party not in self._refusals
        ]
        self._candidates[:0] = reversed(found)
        if self._candidates:
            if self._is_stuck:
                self._try_next(now)
        elif not self._attempts and not self._starting and not self._registering:
            self._fail(IngressEvent.NOTHING_LEFT)
        return self._done()

    def path_changed(self, exit_id: AgentId, now: float, *, has_path: bool) -> effects.IngressEffects:
        """The path to this exit is another one now, or there is none."""
        for attempt in list(self._attempts.values()):
            if attempt.party.id == exit_id:
                attempt.has_path = has_path
                if not self.stands_by:
                    self._open_or_pass_on(attempt, now)
        return self._done()

    def exit_restarted(self, exit_id: AgentId, now: float) -> effects.IngressEffects:
        """This exit's agent runs as a new instance, which knows nothing of the OPEN."""
        for attempt in list(self._attempts.values()):
            if attempt.party.id == exit_id:
                if self.stands_by:
                    self._drop(attempt)
                else:
                    self._refused(attempt, IngressVerdict.RESTARTED, "the exit's agent has restarted", now)
        return self._done()

    def client_left(self) -> effects.IngressEffects:
        """The client was reset before an exit was chosen: wait for answers, to decline what they opened."""
        self.state = advance(self.state, IngressEvent.CLIENT_LEFT)
        self._candidates.clear()
        self._starting.clear()
        self._end_if_settled()
        return self._done()

    def timeout(self, now: float) -> effects.IngressEffects:
        """Do what is due."""
        if self._deadlines.take(_Due.END, now):
            self._time_is_up()
        elif self.state is IngressState.OPENING:
            for attempt in list(self._attempts.values()):
                self._attempt_due(attempt, now)
            if self._deadlines.take(_Due.RETRY, now):
                if self._starting:
                    self._look_for_more(now)
                elif self._is_stuck:
                    self._try_next(now)
        return self._done()

    def asks(self, exit_id: AgentId) -> bool:
        """Whether this exit is being asked, or about to be."""
        return any(exit_id == party_id for party_id, _ in self.numbers_in_use())

    def numbers_in_use(self) -> Iterator[tuple[AgentId, int]]:
        """What is to be given back if the opening ends here and now: exits and numbers."""
        for attempt in self._attempts.values():
            yield attempt.party.id, attempt.number
        for offer, number in self._registering:
            yield offer.party.id, number

    # -- trying ----------------------------------------------------------------------------------------------

    def _try_next(self, now: float) -> None:
        if self._registering or self.state is not IngressState.OPENING:
            return
        if self._candidates:
            self._register(self._candidates.pop(), self._numbers.take())
        elif not self._starting and self._is_stuck:
            self._look_for_more(now)

    def _register(self, offer: Offer, number: int) -> None:
        self._registering = ((offer, number),)
        self._effects.append(effects.RegisterExit(offer.party, number))

    @property
    def _is_stuck(self) -> bool:
        """Whether each candidate that was tried has refused, is silent, or has no path."""
        return all(attempt.is_silent for attempt in self._attempts.values())

    def _look_for_more(self, now: float) -> None:
        """Ask who offers the key now, and again later if there is still something to wait for."""
        self._deadlines[_Due.RETRY] = now + (
            RETRY_AFTER_S if self._starting else patience_s(0.0, self._open_timeout_s)
        )
        tried = self._refusals.union(
            (attempt.party for attempt in self._attempts.values()),
            (offer.party for offer in self._untried()),
        )
        self._effects.append(effects.FindCandidates(tried))

    def _untried(self) -> Iterator[Offer]:
        """Who is still to be tried, including whoever is being registered with."""
        yield from self._candidates
        yield from (offer for offer, _ in self._registering)

    def _begin(self, attempt: OpenAttempt, offer: Offer, now: float) -> None:
        """Ask this candidate, and be patient with it from now on."""
        attempt.repeat_at = now + repeat_delay_s(0)
        attempt.hedge_at = now + patience_s(offer.rtt_s, self._open_timeout_s)
        self._open_or_pass_on(attempt, now)

    def _open_or_pass_on(self, attempt: OpenAttempt, now: float) -> None:
        """Send OPEN; without a path try the next candidate, for this one's path may not come back in time."""
        if attempt.has_path:
            self._send_open(attempt, now)
        else:
            self._try_next(now)

    def _send_open(self, attempt: OpenAttempt, now: float) -> None:
        for frame in self._make_open(attempt, now):
            attempt.is_asked = True
            self._effects.append(effects.SendOpen(frame))

    def _make_open(self, attempt: OpenAttempt, now: float) -> tuple[Frame, ...]:
        """The OPEN, the same each time; nothing if the exit's key is of no use."""
        request = OpenRequest(routing_key=self._key, credit=INITIAL_WINDOW_BYTES)
        try:
            return (attempt.initiator.open_frame(request),)
        except AuthenticationError as error:
            self._refused(attempt, IngressVerdict.UNUSABLE_KEY, str(error), now)
            return ()

    def _refused(self, attempt: OpenAttempt, code: str, why: str, now: float) -> None:
        self._last_refusal = f"{escaped(code)} at {named(attempt.name, attempt.party.id)}: {why}"
        self._effects.append(effects.CandidateFailed(attempt.party.id, code, self._last_refusal))
        self._drop(attempt)
        match self.state:
            case IngressState.STANDING_BY:
                return  # its client may be on the way, and has others tried
            case IngressState.OPENING if code in (RejectCode.RESTARTING, IngressVerdict.RESTARTED):
                self._starting[attempt.party.id] = now + RESTART_PATIENCE_S
                self._deadlines[_Due.RETRY] = min(self._deadlines[_Due.RETRY], now + RETRY_AFTER_S)
            case _:
                self._refusals |= {attempt.party}
        self._try_next(now)
        self._end_if_settled()

    def _drop(self, attempt: OpenAttempt) -> None:
        del self._attempts[attempt.number]
        self._effects.append(effects.ForgetExit(attempt.party.id, attempt.number))

    # -- time ------------------------------------------------------------------------------------------------

    def _attempt_due(self, attempt: OpenAttempt, now: float) -> None:
        if now >= attempt.repeat_at:
            attempt.repeats += 1
            attempt.repeat_at = now + repeat_delay_s(attempt.repeats)
            if attempt.has_path:
                self._send_open(attempt, now)
        if now >= attempt.hedge_at:
            attempt.hedge_at = inf
            # Try another candidate beside one that has not answered; it may still win.
            if attempt.number in self._attempts:
                if attempt.has_path:
                    why = f"no answer from {named(attempt.name, attempt.party.id)} yet"
                    self._effects.append(
                        effects.CandidateFailed(attempt.party.id, IngressVerdict.SILENT, why)
                    )
                self._try_next(now)

    def _time_is_up(self) -> None:
        """Whoever has not been chosen is forgotten."""
        for attempt in list(self._attempts.values()):
            self._drop(attempt)
        if self.state is IngressState.OPEN:
            self.state = advance(self.state, IngressEvent.TIME_IS_UP)
        else:
            self._fail(IngressEvent.TIME_IS_UP)

    # -- the end ---------------------------------------------------------------------------------------------

    def _forget_what_was_needed(self) -> None:
        """An open connection may last for years: hold no memory of how it was opened."""
        self._candidates.clear()
        self._starting.clear()
        if not self._attempts:
            self._attempts.clear()  # a dictionary keeps the room of what was deleted

    def _end_if_settled(self) -> None:
        """Nobody needs an opening whose client has left, once all have answered."""
        if self.state is IngressState.ABANDONED and not self._attempts and not self._registering:
            self.state = advance(self.state, IngressEvent.NOTHING_LEFT)
            self._effects.append(effects.OpeningEnded())

    def _fail(self, event: IngressEvent) -> None:
        self.state = advance(self.state, event)
        self._effects.append(effects.OpeningFailed(self._last_refusal))

    def _done(self) -> effects.IngressEffects:
        done, self._effects = self._effects, []
        return done
