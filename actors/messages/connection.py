"""What both ends of a tunneled connection receive."""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from actors.messages.client_count import ClientCount
from actors.messages.listener import CandidatesFound, FromIngress
from actors.messages.peer_link import SendFrames
from actors.runtime.seam import Connected, ConnectFailed, Handover, NamesResolved, Ref, StreamSocket
from mesh.addresses import SocketAddress
from mesh.connection.endings import ConnectionView
from mesh.connection.offer import Offer
from mesh.connection.reject_codes import RejectCode
from mesh.link.frames import Frame
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId
from mesh.trust.policy import Policy


class SegmentsArrived(msgspec.Struct, frozen=True, gc=False):
    """Fact: sealed frames of this connection, in link order."""

    frames: tuple[Frame, ...]
    via: AgentId
    """The peer that they came from."""


ENDED: Final = "has ended"
REFUSED: Final = "is not accepted any more"


class PathChanged(msgspec.Struct, frozen=True):
    """Fact: the link towards the other end at ``remote`` is another one now, or there is none."""

    remote: AgentId
    link: Ref[SendFrames] | None


class PeerRestarted(msgspec.Struct, frozen=True):
    """Fact: the agent ``remote`` runs as a new instance; the old one's connections are gone."""

    remote: AgentId


class PeerExpired(msgspec.Struct, frozen=True):
    """Fact: the certificate of the agent ``remote`` is good no more."""

    remote: AgentId
    why: str = ENDED
    """What is with it, for people: goes on where the sentence says whose."""


class RightsChanged(msgspec.Struct, frozen=True):
    """Fact: the agent ``remote`` has another certificate, or this agent another configuration."""

    remote: AgentId
    certificate: Certificate
    policy: Policy


class ServeClient(Handover, frozen=True):
    """Command: open a connection for this client, who has been counted in."""

    socket: StreamSocket
    """The receiver owns it now."""
    clients: "Clients"
    """Where the client counts until its socket is gone."""
    candidates: tuple[Offer, ...]
    """In the order to try them."""
    speaks_socks: bool = False
    """Whether it waits for a reply of SOCKS5."""

    def let_go(self) -> None:
        """Reset the client: an end of stream must not be invented."""
        self.socket.abort()
        self.clients.leave(self.socket)


class IngressRegistered(msgspec.Struct, frozen=True):
    """Fact: the connection hears from ``exit_id``; ``link`` leads there, or there is no path now."""

    exit_id: AgentId
    connection: int
    link: Ref[SendFrames] | None
    rights: RightsChanged | None = None
    """What may have changed since the connection has heard of this exit; absent if the exit is not known."""


class CameBack(msgspec.Struct, frozen=True):
    """Fact: the exit ``exit_id`` has said that this client is its socket towards a target."""

    exit_id: AgentId


class TargetGranted(msgspec.Struct, frozen=True):
    """Fact: the endpoint lets this connection in; connect to ``target``."""

    target: SocketAddress
    is_counted: bool
    """Whether the endpoint has a limit, and wants to hear when this connection begins to close."""


class TargetDenied(msgspec.Struct, frozen=True):
    """Fact: the endpoint does not let this connection in."""

    code: RejectCode
    reason: str


class DeadlineReached(msgspec.Struct, frozen=True):
    """Timer: the earliest of what this end waits for may be due; it looks, and sets the timer anew."""


class CloseConnection(msgspec.Struct, frozen=True):
    """Command: reset both sides and end."""

    reason: str
    """For the log."""


class CloseForOperator(msgspec.Struct, frozen=True):
    """Command: reset both sides and end, for an operator wants it so."""


class CloseWithListener(msgspec.Struct, frozen=True):
    """Command: reset both sides and end, for the listener was taken out with all that came by it."""


class DescribeConnection(msgspec.Struct, frozen=True):
    """Question: how is this connection?"""

    reply_to: Ref[ConnectionView]


EndInbound: TypeAlias = (
    SegmentsArrived
    | PathChanged
    | PeerRestarted
    | PeerExpired
    | RightsChanged
    | DeadlineReached
    | CloseConnection
    | CloseForOperator
    | DescribeConnection
)
IngressInbound: TypeAlias = (
    EndInbound | ServeClient | IngressRegistered | CandidatesFound | CameBack | CloseWithListener
)
Clients: TypeAlias = ClientCount[Ref[IngressInbound]]
"""Those of one listener."""

ExitInbound: TypeAlias = EndInbound | TargetGranted | TargetDenied | Connected | ConnectFailed | NamesResolved

StartIngress: TypeAlias = Callable[[Offer | None, Ref[FromIngress]], Ref[IngressInbound]]
"""Starts an ingress connection: the candidate that it is to prepare for, if any, and whom it reports to."""
