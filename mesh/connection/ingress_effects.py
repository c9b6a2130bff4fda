"""What an opening at its ingress asks of its owner."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from mesh.connection.party import Party
from mesh.connection.session import Session
from mesh.link.frames import Frame
from mesh.trust.identity import AgentId


class RegisterExit(msgspec.Struct, frozen=True, gc=False):
    """Have frames of connection ``number`` from ``party`` delivered here; report with ``registered``."""

    party: Party
    number: int


class ForgetExit(msgspec.Struct, frozen=True, gc=False):
    """Undo :class:`RegisterExit`."""

    exit_id: AgentId
    number: int


class SendOpen(msgspec.Struct, frozen=True, gc=False):
    """Send this OPEN on the path of its connection."""

    frame: Frame


class PathDoubted(msgspec.Struct, frozen=True, gc=False):
    """The OPEN may have been lost: ask for another first hop; report with ``path_changed``."""

    exit_id: AgentId
    number: int


class PathAnswered(msgspec.Struct, frozen=True, gc=False):
    """The chosen exit answered after another first hop was asked for; if at once, probably because of it."""

    is_prompt: bool


class FindCandidates(msgspec.Struct, frozen=True, gc=False):
    """Ask who offers the key now, beside those ``tried``; report with ``candidates_found``."""

    tried: frozenset[Party]


class CandidateFailed(msgspec.Struct, frozen=True, gc=False):
    """Tell the listener that this exit did not open a connection."""

    exit_id: AgentId
    code: str
    why: str


class CandidateServed(msgspec.Struct, frozen=True, gc=False):
    """Tell the listener that this exit accepted."""

    exit_id: AgentId


class AnswerForged(msgspec.Struct, frozen=True, gc=False):
    """Count an answer of this exit that does not authenticate."""

    exit_id: AgentId
    number: int


class ExitChosen(msgspec.Struct, frozen=True, gc=False):
    """Carry the client's bytes in this session from now on; ``credit`` is what the exit takes at first."""

    session: Session
    remote: AgentId
    number: int
    credit: int
    socket_tag: bytes
    """What the exit said of its socket: see :mod:`mesh.connection.loops`."""
    wants_client: bool
    """Whether the exit is to hear whose bytes follow, before them."""
    taken_bytes: int
    """Of the client's, which the exit has handed over: the first segment of that direction."""
    unsent: bytes
    """What follows them, and was read of the client."""
    answer: bytes
    """The first segment of the other direction, if ACCEPT has brought it."""


class ExitDeclined(msgspec.Struct, frozen=True, gc=False):
    """Reset what an exit opened too late, or for a client that has left."""

    session: Session
    remote: AgentId
    credit: int


class ClientGivenUp(msgspec.Struct, frozen=True, gc=False):
    """Reset the client: nobody serves it; ``why`` is what the last candidate said."""

    why: str
    code: str
    """What that was: of a REJECT, or the ingress's own; empty if nobody has said anything."""
    id: str
    """Of the connection to the last that answered, for people; empty if none has."""
    unanswered: tuple[AgentId, ...] = ()
    """Who might still have been chosen when the time was over: asked in vain, or not asked, for no path led
    there."""
    silent: str = ""
    """The same for people."""


class OpeningEnded(msgspec.Struct, frozen=True, gc=False):
    """Nothing is left to do: end."""


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
