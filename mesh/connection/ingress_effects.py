"""What an opening at its ingress asks of its owner."""

from collections.abc import Sequence
from typing import TypeAlias

from mesh.connection.party import Party
from mesh.connection.session import Session
from mesh.link.frames import Frame
from mesh.trust.identity import AgentId


class RegisterExit:
    """Have frames of connection ``number`` from ``party`` delivered here; report with ``registered``."""

    __slots__ = ("number", "party")

    def __init__(self, party: Party, number: int) -> None:
        self.party = party
        self.number = number


class ForgetExit:
    """Undo :class:`RegisterExit`."""

    __slots__ = ("exit_id", "number")

    def __init__(self, exit_id: AgentId, number: int) -> None:
        self.exit_id = exit_id
        self.number = number


class SendOpen:
    """Send this OPEN on the path of its connection."""

    __slots__ = ("frame",)

    def __init__(self, frame: Frame) -> None:
        self.frame = frame


class PathDoubted:
    """The OPEN may have been lost: ask for another first hop; report with ``path_changed``."""

    __slots__ = ("exit_id", "number")

    def __init__(self, exit_id: AgentId, number: int) -> None:
        self.exit_id = exit_id
        self.number = number


class PathAnswered:
    """The chosen exit answered after another first hop was asked for; if at once, probably because of it."""

    __slots__ = ("is_prompt",)

    def __init__(self, is_prompt: bool) -> None:
        self.is_prompt = is_prompt


class FindCandidates:
    """Ask who offers the key now, beside those ``tried``; report with ``candidates_found``."""

    __slots__ = ("tried",)

    def __init__(self, tried: frozenset[Party]) -> None:
        self.tried = tried


class CandidateFailed:
    """Tell the listener that this exit did not open a connection."""

    __slots__ = ("code", "exit_id", "why")

    def __init__(self, exit_id: AgentId, code: str, why: str) -> None:
        self.exit_id = exit_id
        self.code = code
        self.why = why


class CandidateServed:
    """Tell the listener that this exit accepted."""

    __slots__ = ("exit_id",)

    def __init__(self, exit_id: AgentId) -> None:
        self.exit_id = exit_id


class AnswerForged:
    """Count an answer of this exit that does not authenticate."""

    __slots__ = ("exit_id", "number")

    def __init__(self, exit_id: AgentId, number: int) -> None:
        self.exit_id = exit_id
        self.number = number


class ExitChosen:
    """Carry the client's bytes in this session from now on; ``credit`` is what the exit takes at first."""

    __slots__ = (
        "answer",
        "credit",
        "number",
        "remote",
        "session",
        "socket_tag",
        "taken_bytes",
        "unsent",
        "wants_client",
    )

    def __init__(
        self,
        *,
        session: Session,
        remote: AgentId,
        number: int,
        credit: int,
        socket_tag: bytes,
        wants_client: bool,
        taken_bytes: int,
        unsent: bytes,
        answer: bytes,
    ) -> None:
        self.session = session
        self.remote = remote
        self.number = number
        self.credit = credit
        self.socket_tag = socket_tag
        """What the exit said of its socket: see :mod:`mesh.connection.loops`."""
        self.wants_client = wants_client
        """Whether the exit is to hear whose bytes follow, before them."""
        self.taken_bytes = taken_bytes
        """Of the client's, which the exit has handed over: the first segment of that direction."""
        self.unsent = unsent
        """What follows them, and was read of the client."""
        self.answer = answer
        """The first segment of the other direction, if ACCEPT has brought it."""


class ExitDeclined:
    """Reset what an exit opened too late, or for a client that has left."""

    __slots__ = ("credit", "remote", "session")

    def __init__(self, session: Session, remote: AgentId, credit: int) -> None:
        self.session = session
        self.remote = remote
        self.credit = credit


class ClientGivenUp:
    """Reset the client: nobody serves it; ``why`` is what the last candidate said."""

    __slots__ = ("code", "id", "silent", "unanswered", "why")

    def __init__(
        self, why: str, code: str, connection_id: str, unanswered: tuple[AgentId, ...] = (), silent: str = ""
    ) -> None:
        self.why = why
        self.code = code
        """What that was: of a REJECT, or the ingress's own; empty if nobody has said anything."""
        self.id = connection_id
        """Of the connection to the last that answered, for people; empty if none has."""
        self.unanswered = unanswered
        """Who might still have been chosen when the time was over: asked in vain, or not asked, for no path
        led there."""
        self.silent = silent
        """The same for people."""


class OpeningEnded:
    """Nothing is left to do: end."""

    __slots__ = ()


IngressEffect: TypeAlias = (
    RegisterExit
    | ForgetExit
    | SendOpen
    | PathDoubted
    | PathAnswered
    | FindCandidates
    | CandidateFailed
    | CandidateServed
    | AnswerForged
    | ExitChosen
    | ExitDeclined
    | ClientGivenUp
    | OpeningEnded
)

IngressEffects: TypeAlias = Sequence[IngressEffect]
"""To be done in this order."""
