"""What an opening at its exit asks of its owner."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from mesh.connection.reject_codes import RejectCode
from mesh.connection.session import Session
from mesh.link.frames import Frame


class OpenForged(msgspec.Struct, frozen=True, gc=False):
    """The OPEN is not its ingress's: count it, and end without an answer."""

    why: str


class OpenAuthenticated(msgspec.Struct, frozen=True, gc=False):
    """The OPEN is its ingress's: its number is used up."""


class AskEndpoint(msgspec.Struct, frozen=True, gc=False):
    """Ask the endpoint of this key to let the connection in."""

    key: str


class LookAtEndpoint(msgspec.Struct, frozen=True, gc=False):
    """The endpoint has not answered: report with ``endpoint_gone`` if it has ended."""


class ReachTarget(msgspec.Struct, frozen=True, gc=False):
    """Connect to the target that the endpoint has named."""

    within_s: float


class Accept(msgspec.Struct, frozen=True, gc=False):
    """Send ``answer``, and carry bytes in this session; ``credit`` is what the ingress takes at first."""

    answer: Frame
    session: Session
    credit: int
    early: bytes = b""
    """What the target has been handed already: the first segment from the ingress."""
    said: bytes = b""
    """What the target has said, which ``answer`` carries: the first segment to the ingress."""


class Reject(msgspec.Struct, frozen=True, gc=False):
    """Send ``answer``, and let go of endpoint and target."""

    answer: Frame
    code: RejectCode
    reason: str
    id: str
    """The connection's, for people."""


class RepeatAnswer(msgspec.Struct, frozen=True, gc=False):
    """Send the answer once more."""

    answer: Frame


class PathDoubted(msgspec.Struct, frozen=True, gc=False):
    """The answer may have been lost: ask for another first hop."""


class PathAnswered(msgspec.Struct, frozen=True, gc=False):
    """The ingress has heard the answer after that; if at once, then probably because of it."""

    is_prompt: bool


class OpenConfirmed(msgspec.Struct, frozen=True, gc=False):
    """The ingress has chosen this exit: the connection is no longer provisional."""


class NotConfirmed(msgspec.Struct, frozen=True, gc=False):
    """The ingress has not chosen this exit in time: end."""


class OpeningOver(msgspec.Struct, frozen=True, gc=False):
    """The rejection need not be repeated any more: end."""


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
