"""What both ends of a tunneled connection receive."""

from typing import Any, TypeAlias

import msgspec

from actors.runtime.seam import Connected, ConnectFailed, NamesResolved, Ref
from mesh.addresses import SocketAddress
from mesh.frames import Frame
from mesh.identity import AgentId


class SegmentsArrived(msgspec.Struct, frozen=True, gc=False):
    """Fact: sealed frames of this connection, in link order."""

    frames: tuple[Frame, ...]


class PathChanged(msgspec.Struct, frozen=True):
    """Fact: the link towards the other end at ``remote`` is another one now, or there is none."""

    remote: AgentId
    link: Ref[Any] | None


class PeerRestarted(msgspec.Struct, frozen=True):
    """Fact: the agent ``remote`` runs as a new instance; the old one's connections are gone."""

    remote: AgentId


class IngressRegistered(msgspec.Struct, frozen=True):
    """Fact: the connection has its number with ``exit_id``; ``link`` leads there, or there is no path now."""

    exit_id: AgentId
    connection: int
    link: Ref[Any] | None


class TargetGranted(msgspec.Struct, frozen=True):
    """Fact: the endpoint lets this connection in; connect to ``target``."""

    target: SocketAddress


class TargetDenied(msgspec.Struct, frozen=True):
    """Fact: the endpoint does not let this connection in."""

    code: str
    reason: str


class NextAddressDue(msgspec.Struct, frozen=True):
    """Timer: the connect attempt ``token`` has been silent; try the next address beside it."""

    token: int


class StreamTimerFired(msgspec.Struct, frozen=True):
    """Timer: the stream's deadline may have passed."""


class RepeatDue(msgspec.Struct, frozen=True):
    """Timer: repeat the OPEN or ACCEPT numbered ``connection`` if it is still unanswered."""

    connection: int
    repeats: int
    """How often it has been repeated before."""


class HedgeDue(msgspec.Struct, frozen=True):
    """Timer: the candidate of attempt ``attempt`` has been silent; try another beside it."""

    attempt: int


class OpenTimedOut(msgspec.Struct, frozen=True):
    """Timer: the time to open the connection, or to confirm it, is over."""


class HangUpPollDue(msgspec.Struct, frozen=True):
    """Timer: look whether the local socket, unread, has hung up."""


class PathTimedOut(msgspec.Struct, frozen=True):
    """Timer: there has been no path for long enough; stale where ``generation`` is not the current one."""

    generation: int


class DrainTimedOut(msgspec.Struct, frozen=True):
    """Timer: octets for the local socket have waited long enough after the other end's reset."""


class RejectLingered(msgspec.Struct, frozen=True):
    """Timer: a rejection has been kept for long enough."""


class CloseConnection(msgspec.Struct, frozen=True):
    """Command: reset both sides and end."""


EndInbound: TypeAlias = (
    SegmentsArrived
    | PathChanged
    | PeerRestarted
    | StreamTimerFired
    | RepeatDue
    | OpenTimedOut
    | HangUpPollDue
    | PathTimedOut
    | DrainTimedOut
    | CloseConnection
)
IngressInbound: TypeAlias = EndInbound | IngressRegistered | HedgeDue
ExitInbound: TypeAlias = (
    EndInbound
    | TargetGranted
    | TargetDenied
    | RejectLingered
    | NextAddressDue
    | Connected
    | ConnectFailed
    | NamesResolved
)
