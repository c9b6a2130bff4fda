"""What an opening at its exit asks of its owner."""

from collections.abc import Sequence
from typing import TypeAlias

from mesh.connection.reject_codes import RejectCode
from mesh.connection.session import Session
from mesh.link.frames import Frame


class OpenForged:
    """The OPEN is not its ingress's: count it, and end without an answer."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class OpenAuthenticated:
    """The OPEN is its ingress's: its number is used up."""

    __slots__ = ()


class AskEndpoint:
    """Ask the endpoint of this key to let the connection in."""

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        self.key = key


class LookAtEndpoint:
    """The endpoint has not answered: report with ``endpoint_gone`` if it has ended."""

    __slots__ = ()


class ReachTarget:
    """Connect to the target that the endpoint has named."""

    __slots__ = ("within_s",)

    def __init__(self, within_s: float) -> None:
        self.within_s = within_s


class Accept:
    """Send ``answer``, and carry bytes in this session; ``credit`` is what the ingress takes at first."""

    __slots__ = ("answer", "credit", "early", "said", "session")

    def __init__(
        self, answer: Frame, session: Session, credit: int, early: bytes = b"", said: bytes = b""
    ) -> None:
        self.answer = answer
        self.session = session
        self.credit = credit
        self.early = early
        """What the target has been handed already: the first segment from the ingress."""
        self.said = said
        """What the target has said, which ``answer`` carries: the first segment to the ingress."""


class Reject:
    """Send ``answer``, and let go of endpoint and target."""

    __slots__ = ("answer", "code", "id", "reason")

    def __init__(self, answer: Frame, code: RejectCode, reason: str, connection_id: str) -> None:
        self.answer = answer
        self.code = code
        self.reason = reason
        self.id = connection_id
        """The connection's, for people."""

    def because(self, reason: str) -> "Reject":
        """The same answer, of which people hear another reason here."""
        return Reject(self.answer, self.code, reason, self.id)


class RepeatAnswer:
    """Send the answer once more."""

    __slots__ = ("answer",)

    def __init__(self, answer: Frame) -> None:
        self.answer = answer


class PathDoubted:
    """The answer may have been lost: ask for another first hop."""

    __slots__ = ()


class PathAnswered:
    """The ingress has heard the answer after that; if at once, then probably because of it."""

    __slots__ = ("is_prompt",)

    def __init__(self, is_prompt: bool) -> None:
        self.is_prompt = is_prompt


class OpenConfirmed:
    """The ingress has chosen this exit: the connection is no longer provisional."""

    __slots__ = ()


class NotConfirmed:
    """The ingress has not chosen this exit in time: end."""

    __slots__ = ()


class OpeningOver:
    """The rejection need not be repeated any more: end."""

    __slots__ = ()


ExitEffect: TypeAlias = (
    OpenForged
    | OpenAuthenticated
    | AskEndpoint
    | LookAtEndpoint
    | ReachTarget
    | Accept
    | Reject
    | RepeatAnswer
    | PathDoubted
    | PathAnswered
    | OpenConfirmed
    | NotConfirmed
    | OpeningOver
)

ExitEffects: TypeAlias = Sequence[ExitEffect]
"""To be done in this order."""
