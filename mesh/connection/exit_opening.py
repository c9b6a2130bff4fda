"""Opening a connection at its exit, as a pure state machine: who asks, for what, and what is answered.

The OPEN is judged, the endpoint asked, the target reached, and only then is the answer yes. Until the ingress
shows that it has chosen this exit the connection is provisional: one that was not chosen, or whose OPEN was
replayed, goes away by itself.
"""

import enum
from collections.abc import Callable, Container
from math import inf
from types import MappingProxyType
from typing import Final

from mesh.connection import exit_effects as effects
from mesh.connection.early_data import ANSWER_WAIT_S, REACH_PATIENCE_S
from mesh.connection.exit_states import UNANSWERED, ExitEvent, ExitState, advance
from mesh.connection.opening_payloads import (
    MAX_EARLY_BYTES,
    MAX_REASON_CHARACTERS,
    MalformedRequestError,
)
from mesh.connection.reject_codes import RejectCode
from mesh.connection.repeating import ANSWER_LOST_S, FIRST_REPEAT_S, PROMPT_S, repeat_delay_s
from mesh.connection.reserved import is_reserved, read_reserved
from mesh.connection.session_handshake import SessionResponder
from mesh.connection.short_open import ShortResponder
from mesh.deadlines import Deadlines, never
from mesh.earliest import earliest
from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.link.frames import Frame
from mesh.reaching import Failure, Kind

ENDPOINT_TIMEOUT_S: Final = 0.25
"""How often to check whether a silent endpoint still lives: one that crashed over the question will never
answer, one that is busy is only late."""

REJECT_LINGER_S: Final = 1.0
"""How long a rejection is kept to be repeated: the ingress repeats its OPEN within this time."""

_REFUSAL_CODES: Final = MappingProxyType(
    {
        Kind.OWN_LIMIT: RejectCode.AT_CAPACITY,
        Kind.REFUSED: RejectCode.REFUSED,
        Kind.SILENT: RejectCode.TIMED_OUT,
        Kind.UNREACHABLE: RejectCode.UNREACHABLE,
        Kind.EXCLUDED: RejectCode.UNREACHABLE,
        Kind.UNRESOLVED: RejectCode.UNRESOLVED,
    }
)

NO_ENDPOINT: Final = "no endpoint has this key here"
"""Also said to an agent that an endpoint with ``visibility: granted`` does not let in."""

NAMELESS: Final = "the target's name has no address at the exit"

_WITH_NAME: Final = frozenset({Kind.UNRESOLVED, Kind.EXCLUDED})


class _Due(enum.IntEnum):
    """What an opening waits for."""

    END = 0
    """When the target must have been reached, and then the ingress have confirmed."""
    ENDPOINT = 1
    """When to look whether the endpoint, which has yet to answer, still lives."""
    REPEAT = 2
    """When to repeat the answer."""
    LINGER = 3
    """When a rejection need not be repeated any more."""
    WORDS = 4
    """When to answer though the target has said nothing."""
    SLOW = 5
    """When to give early data back that nobody could be told yet."""


_NEVER: Final = never(_Due)


class ExitOpening:
    """Answers one OPEN; every call returns what is to be done, in this order.

    Args:
        open_frame: the OPEN.
        responder: reads it, and answers.
        offered: the keys of this agent's endpoints.
        may_use: whether the ingress's certificate permits the use of a key.
        open_timeout_s: for reaching the target, and then for the ingress to confirm.
    """

    __slots__ = (
        "_answer",
        "_answered_at",
        "_credit",
        "_deadlines",
        "_doubted_at",
        "_may_use",
        "_offered",
        "_open_frame",
        "_open_timeout_s",
        "_reached",
        "_repeats",
        "_responder",
        "early",
        "key",
        "state",
        "tells_client",
    )

    __deletable__ = ("_answer", "_may_use", "_open_frame", "_responder")

    _answer: Frame
    """Set as soon as there is one, and until it is confirmed; it is repeated as it is."""

    def __init__(
        self,
        *,
        open_frame: Frame,
        responder: SessionResponder | ShortResponder,
        offered: Container[str],
        may_use: Callable[[str], bool],
        open_timeout_s: float,
    ) -> None:
        self.state = ExitState.JUDGING
        self.key = ""
        """The routing key, once the OPEN has been read."""
        self.tells_client = False
        """Whether the ingress can say who its client is, if it is asked to."""
        self.early = b""
        """What the client has said, until that is settled."""
        self._open_frame = open_frame
        self._responder = responder
        self._offered = offered
        self._may_use = may_use
        self._open_timeout_s = open_timeout_s
        self._credit = 0
        self._reached = b"", 0
        """What :meth:`reached` would be told, while the target is to answer."""
        self._repeats = 0
        self._answered_at = inf
        """When the answer was given first."""
        self._doubted_at = inf
        """When another first hop was asked for."""
        self._deadlines = Deadlines(_NEVER)

    def deadline(self) -> float:
        """When to call :meth:`timeout`, in monotonic seconds."""
        return earliest(self._deadlines)

    def start(self, now: float) -> effects.ExitEffects:
        """Judge the OPEN."""
        self._deadlines[_Due.END] = now + self._open_timeout_s
        try:
            request = self._responder.read_open(self._open_frame)
        except MalformedRequestError as error:
            return effects.OpenAuthenticated(), self._reject(RejectCode.MALFORMED, str(error), now)
        except (AuthenticationError, RemoteProtocolError) as error:
            self.state = advance(self.state, ExitEvent.FORGED)
            self._deadlines.clear_all()
            return (effects.OpenForged(str(error)),)
        self.key, self._credit = request.routing_key, request.credit
        self.tells_client = request.tells_client
        self.early = request.early
        # Of a reserved key, what counts is the key that it speaks of; the rest is the service's own affair.
        key = read_reserved(self.key).subject if is_reserved(self.key) else self.key
        if key and not self._may_use(key):
            why = "the ingress's certificate does not permit the use of this key"
            return effects.OpenAuthenticated(), self._reject(RejectCode.NOT_PERMITTED, why, now)
        if key and key not in self._offered:
            return effects.OpenAuthenticated(), self._reject(RejectCode.UNKNOWN_KEY, NO_ENDPOINT, now)
        self.state = advance(self.state, ExitEvent.ASKED)
        self._deadlines[_Due.ENDPOINT] = now + ENDPOINT_TIMEOUT_S
        if self.early:
            self._deadlines[_Due.SLOW] = now + REACH_PATIENCE_S
        return effects.OpenAuthenticated(), effects.AskEndpoint(self.key)

    def granted(self, now: float) -> effects.ExitEffects:
        """The endpoint lets the connection in."""
        if self.state is not ExitState.ADMITTING:
            return ()
        self.state = advance(self.state, ExitEvent.GRANTED)
        self._deadlines[_Due.ENDPOINT] = inf
        return (effects.ReachTarget(self._deadlines[_Due.END] - now),)

    def denied(self, code: RejectCode, reason: str, now: float) -> effects.ExitEffects:
        """The endpoint does not let it in, or this agent is about to leave."""
        return self._denied(code, reason, now)

    def not_shown(self, why: str, now: float) -> effects.ExitEffects:
        """The endpoint does not let it in and is not shown to it: for the ingress there is none."""
        return tuple(
            rejection.because(why) for rejection in self._denied(RejectCode.UNKNOWN_KEY, NO_ENDPOINT, now)
        )

    def endpoint_gone(self, now: float) -> effects.ExitEffects:
        """The endpoint has crashed, perhaps over the question."""
        return self.denied(RejectCode.RESTARTING, "the endpoint is being started again", now)

    def reached(
        self, socket_tag: bytes, credit: int, now: float, *, wants_client: bool = False
    ) -> effects.ExitEffects:
        """The target has accepted, and has been told nothing.

        Args:
            socket_tag: that of the socket (``loops.py``), or empty.
            credit: what the ingress may send at first, in bytes.
            now: in monotonic seconds.
            wants_client: whether the ingress is to say who its client is.
        """
        self.state = advance(self.state, ExitEvent.REACHED)
        self._answer, session = self._responder.accept(credit, socket_tag, wants_client=wants_client)
        self.early = b""
        return self._accepted(effects.Accept(self._answer, session, self._credit), now)

    def handed_over(self, socket_tag: bytes, credit: int, now: float) -> effects.ExitEffects:
        """The target has accepted, and is told :attr:`early`: it may have a word for the answer.

        A client that has said all that fits may have more to say, and is not kept waiting. The arguments are
        those of :meth:`reached`.
        """
        self.state = advance(self.state, ExitEvent.HANDED_OVER)
        self._deadlines[_Due.SLOW] = inf
        self._reached = socket_tag, credit
        if len(self.early) >= MAX_EARLY_BYTES or not self.answer_room:
            return self.answered(b"", now)
        self._deadlines[_Due.WORDS] = now + ANSWER_WAIT_S
        return ()

    @property
    def answer_room(self) -> int:
        """Bytes of what the target says that the answer can carry."""
        return min(MAX_EARLY_BYTES, self._credit)

    def answered(self, said: bytes, now: float) -> effects.ExitEffects:
        """The target has said something, at most :attr:`answer_room`, or is not waited for any longer."""
        if self.state is not ExitState.ANSWERING:
            return ()
        self.state = advance(self.state, ExitEvent.ANSWERED)
        socket_tag, credit = self._reached
        self._answer, session = self._responder.accept(credit, socket_tag, took_early=True, early=said)
        early, self.early = self.early, b""
        return self._accepted(effects.Accept(self._answer, session, self._credit, early, said), now)

    def _accepted(self, accept: effects.Accept, now: float) -> effects.ExitEffects:
        self._deadlines[_Due.WORDS] = self._deadlines[_Due.SLOW] = inf
        self._answered_at = now
        self._deadlines[_Due.REPEAT] = now + FIRST_REPEAT_S
        self._deadlines[_Due.END] = now + self._open_timeout_s
        return (accept,)

    def unreachable(self, failure: Failure, now: float) -> effects.ExitEffects:
        """The target could not be reached."""
        if self.state not in UNANSWERED:
            return ()
        # Of a failed look-up the reason has the target's name, which is for this agent's own log.
        told = NAMELESS if failure.kind in _WITH_NAME else failure.reason
        rejection = self._reject(_REFUSAL_CODES[failure.kind], told, now)
        return (rejection.because(failure.reason),)

    def asked_again(self, frame: Frame, now: float) -> effects.ExitEffects:
        """An OPEN with this number has arrived: the same one gets the same answer, if there is one yet.

        If that was given long ago it is lost: who has heard it asks no more.
        """
        if self.state not in (ExitState.ACCEPTED, ExitState.REJECTED) or frame.body != self._open_frame.body:
            return ()
        if self._doubted_at == inf and now >= self._answered_at + ANSWER_LOST_S:
            self._doubted_at = now
            return effects.RepeatAnswer(self._answer), effects.PathDoubted()
        return (effects.RepeatAnswer(self._answer),)

    def path_changed(self) -> effects.ExitEffects:
        """Another link leads to the ingress: it may not have heard the answer by the old one."""
        return (effects.RepeatAnswer(self._answer),) if self.state is ExitState.ACCEPTED else ()

    def confirmed(self, now: float) -> effects.ExitEffects:
        """The ingress has chosen this exit, and has its answer: that need not be repeated any more."""
        if self.state is not ExitState.ACCEPTED:
            return ()
        self.state = advance(self.state, ExitEvent.CONFIRMED)
        self._deadlines.clear_all()
        # An open connection may last for years: hold no memory of how it was opened.
        del self._open_frame, self._responder, self._may_use, self._answer
        if self._doubted_at == inf:
            return (effects.OpenConfirmed(),)
        return effects.OpenConfirmed(), effects.PathAnswered(now - self._doubted_at <= PROMPT_S)

    def timeout(self, now: float) -> effects.ExitEffects:
        """Do what is due."""
        if self._deadlines.take(_Due.WORDS, now):
            return self.answered(b"", now)
        if self._deadlines.take(_Due.LINGER, now):
            self.state = advance(self.state, ExitEvent.TIME_IS_UP)
            return (effects.OpeningOver(),)
        if self._deadlines.take(_Due.END, now):
            return self._time_is_up(now)
        if self._deadlines.take(_Due.SLOW, now):
            return self.denied(RejectCode.SLOW, "the target takes long to be reached", now)
        wanted: list[effects.ExitEffect] = []
        if self._deadlines.take(_Due.ENDPOINT, now):
            self._deadlines[_Due.ENDPOINT] = now + ENDPOINT_TIMEOUT_S
            wanted.append(effects.LookAtEndpoint())
        if self._deadlines.take(_Due.REPEAT, now):
            self._repeats += 1
            self._deadlines[_Due.REPEAT] = now + repeat_delay_s(self._repeats)
            wanted.append(effects.RepeatAnswer(self._answer))
        return wanted

    def _time_is_up(self, now: float) -> effects.ExitEffects:
        if self.state is ExitState.ACCEPTED:
            self.state = advance(self.state, ExitEvent.TIME_IS_UP)
            self._deadlines.clear_all()
            return (effects.NotConfirmed(),)
        return self.denied(
            RejectCode.TIMED_OUT, f"no answer from the endpoint in {self._open_timeout_s:g} s", now
        )

    def _denied(self, code: RejectCode, reason: str, now: float) -> tuple[effects.Reject, ...]:
        return (self._reject(code, reason, now),) if self.state in UNANSWERED else ()

    def _reject(self, code: RejectCode, reason: str, now: float) -> effects.Reject:
        self.state = advance(self.state, ExitEvent.REFUSED)
        self._answer = self._responder.reject(code, reason[:MAX_REASON_CHARACTERS])
        self._deadlines.clear_all()
        self._deadlines[_Due.LINGER] = now + REJECT_LINGER_S
        return effects.Reject(self._answer, code, reason, self._responder.id)
