"""Trying candidates for one connection: whom to ask next, how long to wait for each, and when none is left.

The first candidate is sent an OPEN. One that rejects, or that no path leads to any more, is followed by the
next at once; one that is silent is left to answer while the next is tried beside it. If nobody is left to be
tried, the listener is asked who else offers the key by now.

Nobody else is asked beside an OPEN that carries what the client has said: as long as its exit has not
answered, the client's bytes may be with a target.
"""

import enum
from collections.abc import Callable, Iterator
from math import inf
from typing import Final, TypeAlias

from mesh.connection import ingress_effects as effects
from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.connection.early_data import HeardExits
from mesh.connection.ingress_states import IngressEvent, IngressState, advance
from mesh.connection.initiating import Initiator
from mesh.connection.offer import Offer
from mesh.connection.open_attempt import OpenAttempt
from mesh.connection.opening_payloads import MAX_EARLY_BYTES, OpenRequest
from mesh.connection.party import Party
from mesh.connection.patience import RESTART_PATIENCE_S, RETRY_AFTER_S, patience_s
from mesh.connection.reject_codes import IngressVerdict, RejectCode
from mesh.connection.repeating import FIRST_REPEAT_S, REPEATS_TO_DOUBT, repeat_delay_s
from mesh.deadlines import Deadlines, never
from mesh.earliest import earliest
from mesh.errors import AuthenticationError
from mesh.escaping import escaped
from mesh.link.frames import Frame
from mesh.trust.identity import AgentId
from mesh.trust.naming import named

Initiate: TypeAlias = Callable[[Party, int], Initiator]
"""Gives what asks an exit for a connection: whom, under which number."""


class Due(enum.IntEnum):
    """What an opening waits for, beside the answers of its attempts."""

    END = 0
    """The time for opening is over."""
    RETRY = 1
    """When to ask again who offers the key."""
    WORDS = 2
    """Until when nobody is asked, as the client may say something that could go along."""


_NEVER: Final = never(Due)
_ASKED_AGAIN: Final = (RejectCode.RESTARTING, RejectCode.SLOW, IngressVerdict.RESTARTED)
_NONE_CHOSEN: Final = "", AgentId(b""), 0
_NO_PARTY: Final[frozenset[Party]] = frozenset()
_NO_AGENT: Final[frozenset[AgentId]] = frozenset()


class CandidateTrials:
    """Whom one connection has tried, tries and may still try; what is to be done gathers in ``_effects``.

    The base of :class:`~mesh.connection.ingress_opening.IngressOpening`, which says what happens and explains
    the arguments.
    """

    __slots__ = (
        "_attempts",
        "_candidates",
        "_chosen",
        "_credit",
        "_deadlines",
        "_effects",
        "_heard",
        "_initiate",
        "_key",
        "_last_code",
        "_last_refusal",
        "_numbers",
        "_open_timeout_s",
        "_refusals",
        "_refused_id",
        "_registering",
        "_ruled_out",
        "_said",
        "_starting",
        "state",
    )

    __deletable__ = ("_initiate",)

    def __init__(
        self,
        *,
        key: str,
        credit: int,
        numbers: ConnectionNumbers,
        initiate: Initiate,
        open_timeout_s: float,
        heard: HeardExits,
    ) -> None:
        self.state = IngressState.STANDING_BY
        self._chosen = _NONE_CHOSEN
        """Name, ID and number of the exit that was chosen."""
        self._key = key
        self._credit = credit
        self._numbers = numbers
        self._initiate = initiate
        self._open_timeout_s = open_timeout_s
        self._heard = heard
        self._said = b""
        """What the client has said, for the exit that is chosen."""
        self._candidates: list[Offer] = []
        """Untried candidates, the one to try next last."""
        self._registering: tuple[tuple[Offer, int], ...] = ()
        """The candidate to try as soon as its number is registered; one at the most."""
        self._attempts: dict[int, OpenAttempt] = {}
        """Who is being tried, by number; without the one that was chosen."""
        self._starting: dict[AgentId, float] = {}
        """Exits to be asked again, as most are being started, and until when to wait for their offer."""
        self._refusals = _NO_PARTY
        """Who has refused, and is not asked again."""
        self._ruled_out = _NO_AGENT
        """Exits that say the client is a socket of theirs: it would run in a circle."""
        self._last_refusal = "no candidate answered"
        self._refused_id = ""
        """Of the connection that was rejected last, for people."""
        self._last_code = ""
        """Of that refusal."""
        self._deadlines = Deadlines(_NEVER)
        self._effects: list[effects.IngressEffect] = []

    def __str__(self) -> str:
        """Name and number of the exit that was chosen, or the state, for logs and dumps."""
        return f"{self.exit_name}#{self._chosen[2]}" if self.exit_name else self.state.value

    @property
    def exit_name(self) -> str:
        """The exit that was chosen, as logs name it; empty if none was."""
        name, exit_id, _ = self._chosen
        return named(name, exit_id) if exit_id else ""

    @property
    def stands_by(self) -> bool:
        """Whether its client has yet to come."""
        return self.state is IngressState.STANDING_BY

    @property
    def listens(self) -> bool:
        """Whether the client, who has come, is yet to say something before anybody is asked."""
        return self._deadlines[Due.WORDS] < inf

    def deadline(self) -> float:
        """When to call :meth:`timeout`, in monotonic seconds."""
        match self.state:
            case IngressState.STANDING_BY | IngressState.ENDED:
                return inf
            case IngressState.OPEN:
                return self._deadlines[Due.END] if self._attempts else inf
            case IngressState.ABANDONED:
                return self._deadlines[Due.END]
            case IngressState.OPENING:
                due = earliest(self._deadlines)
                for attempt in self._attempts.values():
                    due = min(due, attempt.repeat_at, attempt.hedge_at)
                return due

    def asks(self, exit_id: AgentId) -> bool:
        """Whether this exit is being asked, or about to be."""
        return any(exit_id == party_id for party_id, _ in self.numbers_in_use())

    def awaits(self, number: int) -> bool:
        """Whether the exit that was asked under this number may still be chosen."""
        attempt = self._attempts.get(number)
        may_be = attempt is not None and attempt.is_asked and attempt.is_wanted
        return may_be and self.state is IngressState.OPENING

    def numbers_in_use(self) -> Iterator[tuple[AgentId, int]]:
        """What is to be given back if the opening ends here and now: exits and numbers."""
        for attempt in self._attempts.values():
            yield attempt.party.id, attempt.number
        for offer, number in self._registering:
            yield offer.party.id, number

    # -- whom to ask next ------------------------------------------------------------------------------------

    def _try_next(self, now: float) -> None:
        if self._registering or self.state is not IngressState.OPENING or self.listens or self._is_committed:
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

    @property
    def _is_committed(self) -> bool:
        """Whether the client's first bytes may be with a target: then they go to no other."""
        for attempt in self._attempts.values():  # noqa: SIM110 -- each connection asks: any() takes four calls
            if attempt.early and attempt.asked_at < inf:
                return True
        return False

    @property
    def _may_be_served(self) -> bool:
        """Whether one of those that are being tried may still be chosen."""
        return any(attempt.is_wanted for attempt in self._attempts.values())

    def _look_for_more(self, now: float) -> None:
        """Ask who offers the key now, and again later if there is still something to wait for."""
        self._deadlines[Due.RETRY] = now + (
            RETRY_AFTER_S if self._starting else patience_s(0.0, self._open_timeout_s)
        )
        tried = self._refusals.union(
            (attempt.party for attempt in self._attempts.values()),
            (offer.party for offer in self._untried()),
        )
        self._effects.append(effects.FindCandidates(tried))

    def _untried(self) -> Iterator[Offer]:
        """Candidates that are still to be tried, including the one being registered."""
        yield from self._candidates
        yield from (offer for offer, _ in self._registering)

    def _begin(self, attempt: OpenAttempt, now: float) -> None:
        """Ask this candidate, and be patient with it from now on."""
        self._repeat_from_now(attempt, now)
        attempt.hedge_at = now + patience_s(attempt.rtt_s, self._open_timeout_s)
        self._open_or_pass_on(attempt, now)

    def _repeat_from_now(self, attempt: OpenAttempt, now: float) -> None:
        """Repeat, and doubt, as at first."""
        attempt.repeats, attempt.repeat_at = 0, now + FIRST_REPEAT_S

    def _open_or_pass_on(self, attempt: OpenAttempt, now: float) -> None:
        """Send OPEN; without a path try the next candidate, for this one's path may not come back in time."""
        if attempt.has_path:
            self._send_open(attempt, now)
        else:
            self._try_next(now)

    def _send_open(self, attempt: OpenAttempt, now: float, *, again: bool = False) -> None:
        if not attempt.is_asked:
            if self._deadlines[Due.WORDS] < inf or self._is_committed:
                return
            attempt.early = self._early_for(attempt, now)
        for frame in self._make_open(attempt, now, again=again):
            attempt.asked_at = min(attempt.asked_at, now)
            self._effects.append(effects.SendOpen(frame))

    def _request(self, early: bytes = b"") -> OpenRequest:
        return OpenRequest(
            routing_key=self._key, credit=self._credit, tells_client=True, renews_keys=True, early=early
        )

    def _prepare(self, attempt: OpenAttempt, now: float) -> None:
        """Do what can be done before the client comes."""
        try:
            attempt.initiator.prepare(self._request)
        except AuthenticationError as error:
            self._refused(attempt, IngressVerdict.UNUSABLE_KEY, str(error), now)

    def _early_for(self, attempt: OpenAttempt, now: float) -> bytes:
        """What the client has said, if there is room for all of it and this exit alone may be chosen.

        Where it has said more than fits, a part would reach the target a round trip before the rest, be
        answered no sooner, and keep the client from other exits.
        """
        if not (0 < len(self._said) < MAX_EARLY_BYTES and self._heard.is_there(attempt.party, now)):
            return b""
        for other in self._attempts.values():
            if other.asked_at < inf and other.is_wanted:
                return b""
        if len(self._said) > attempt.initiator.early_room(self._request()):
            return b""
        self._heard.asked(attempt.party, now)
        return self._said

    def _make_open(self, attempt: OpenAttempt, now: float, *, again: bool) -> tuple[Frame, ...]:
        """The OPEN, the same each time, in each form that it has; nothing if the exit's key is of no use."""
        request = self._request(attempt.early)
        try:
            if again:
                return attempt.initiator.repetitions(request)
            return (attempt.initiator.open_frame(request),)
        except AuthenticationError as error:
            self._refused(attempt, IngressVerdict.UNUSABLE_KEY, str(error), now)
            return ()

    def _refused(self, attempt: OpenAttempt, code: str, why: str, now: float) -> None:
        if attempt.is_wanted:
            self._last_code = code
            self._last_refusal = f"{escaped(code)} at {named(attempt.name, attempt.party.id)}: {why}"
            self._effects.append(effects.CandidateFailed(attempt.party.id, code, self._last_refusal))
        self._drop(attempt)
        if self.state is IngressState.OPENING and attempt.is_wanted:
            if code == RejectCode.SLOW:
                self._heard.was_slow(attempt.party, now)
            if code in _ASKED_AGAIN:
                self._starting[attempt.party.id] = now + RESTART_PATIENCE_S
                self._deadlines[Due.RETRY] = min(self._deadlines[Due.RETRY], now + RETRY_AFTER_S)
            else:
                self._refusals |= {attempt.party}
            self._go_on(now)
        self._end_if_settled()

    def _go_on(self, now: float) -> None:
        """Somebody has refused, so others may be asked who could not be beside that one."""
        for attempt in tuple(self._attempts.values()):
            if attempt.has_path and attempt.is_wanted and not attempt.is_asked:
                self._begin(attempt, now)
        self._try_next(now)

    def _lost_with(self, attempt: OpenAttempt, code: str, why: str) -> None:
        """This exit will not answer any more, and its target may have the client's first bytes."""
        self._last_code = code
        self._last_refusal = f"{why}, and may have handed over what the client has said"
        self._effects.append(effects.CandidateFailed(attempt.party.id, code, self._last_refusal))
        self._drop(attempt)
        self._give_client_up()

    def _came_back_by(self, party: Party, name: str) -> None:
        """Say why this exit is not tried: the client would run in a circle through it."""
        self._last_code = IngressVerdict.LOOP
        self._last_refusal = f"{named(name, party.id)} says that the client is a connection of its own"
        self._effects.append(effects.CandidateFailed(party.id, IngressVerdict.LOOP, self._last_refusal))

    def _drop(self, attempt: OpenAttempt) -> None:
        del self._attempts[attempt.number]
        self._effects.append(effects.ForgetExit(attempt.party.id, attempt.number))

    def _attempt_due(self, attempt: OpenAttempt, now: float) -> None:
        if now >= attempt.repeat_at:
            attempt.repeats += 1
            attempt.repeat_at = now + repeat_delay_s(attempt.repeats)
            if attempt.has_path and attempt.is_asked:  # one that is held back is silent for that alone
                if attempt.repeats == REPEATS_TO_DOUBT:
                    attempt.initiator.insist()
                self._send_open(attempt, now, again=True)
                if attempt.repeats == REPEATS_TO_DOUBT and attempt.doubted_at == inf:
                    self._effects.append(effects.PathDoubted(attempt.party.id, attempt.number))
                    attempt.doubted_at = now
        if now >= attempt.hedge_at:
            attempt.hedge_at = inf
            # Try another candidate beside one that has not answered; it may still win.
            if attempt.number in self._attempts:
                if attempt.has_path and attempt.is_asked:
                    why = f"no answer from {named(attempt.name, attempt.party.id)} yet"
                    self._effects.append(
                        effects.CandidateFailed(attempt.party.id, IngressVerdict.SILENT, why)
                    )
                self._try_next(now)

    # -- the end ---------------------------------------------------------------------------------------------

    def _forget_what_was_needed(self) -> None:
        """An open connection may last for years: hold no memory of how it was opened."""
        self._candidates.clear()
        self._starting.clear()
        self._refusals = _NO_PARTY
        self._ruled_out = _NO_AGENT
        self._said = b""
        del self._initiate  # nobody else is tried
        if not self._attempts:
            self._attempts.clear()  # a dictionary keeps the room of what was deleted

    def _end_if_settled(self) -> None:
        """Nobody needs an opening whose client has left, once all have answered."""
        if self.state is IngressState.ABANDONED and not self._attempts and not self._registering:
            self.state = advance(self.state, IngressEvent.NOTHING_LEFT)
            self._effects.append(effects.OpeningEnded())

    def _give_client_up(self) -> None:
        """Nobody is left who could serve it; whoever was ruled out may yet answer, to be declined."""
        self.state = advance(self.state, IngressEvent.NOTHING_LEFT)
        self._effects.append(effects.ClientGivenUp(self._last_refusal, self._last_code, self._refused_id))
        self._end_if_settled()

    def _done(self) -> effects.IngressEffects:
        done, self._effects = self._effects, []
        return done
