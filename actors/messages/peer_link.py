"""What a peer link receives."""

import enum
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from actors.runtime.seam import Ref
from mesh.link.frames import Frame, FrameType
from mesh.routing.routes import RouteSnapshot
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId


class SendFrames(msgspec.Struct, frozen=True, gc=False):
    """Command: send these frames of connections, in this order."""

    frames: tuple[Frame, ...]


class SendControl(msgspec.Struct, frozen=True, gc=False):
    """Command: send one of the link's own frames."""

    frame_type: FrameType
    body: bytes


class AdmitLink(msgspec.Struct, frozen=True):
    """Command: this link is the one to its peer; start carrying frames."""


class Blame(enum.Enum):
    """What a closed link says of its peer."""

    NONE = "none"
    OFFENCE = "offence"
    """It broke the protocol, which is counted and logged."""
    LOGGED_OFFENCE = "logged offence"
    """It broke the protocol, which is counted; whoever judged it has logged it."""


class CloseLink(msgspec.Struct, frozen=True):
    """Command: tell the peer why, then close."""

    reason: str
    blame: Blame = Blame.NONE


class RetireLink(msgspec.Struct, frozen=True):
    """Command: this end does not want the link any more; let the peer have another before it is closed."""

    reason: str


class MakeRoom(msgspec.Struct, frozen=True):
    """Command: another stranger needs the place; close, unless the peer has proven itself."""


class ChallengePeer(msgspec.Struct, frozen=True):
    """Command: find out whether the peer is still there, at once."""

    nonce: bytes


class ForwardingChanged(msgspec.Struct, frozen=True, gc=False):
    """Fact: where frames for each destination go from now on."""

    links: Mapping[AgentId, Ref[SendFrames]]
    routes: RouteSnapshot | None
    """What they follow from, once there are any."""


class PeerCertified(msgspec.Struct, frozen=True):
    """Fact: the peer of this link, which is up, shows another certificate from now on."""

    certificate: Certificate
    is_excused: bool
    """Whether it has lost the right to relay so lately that what it passed on before may still come."""


class PingDue(msgspec.Struct, frozen=True):
    """Timer: measure the round trip, and judge the peer's silence."""


class HandshakeTimedOut(msgspec.Struct, frozen=True):
    """Timer: an unauthenticated connection has lived long enough."""


class LeaveTimedOut(msgspec.Struct, frozen=True):
    """Timer: sending what was queued at the close has taken long enough."""


Inbound: TypeAlias = (
    SendFrames
    | SendControl
    | AdmitLink
    | CloseLink
    | RetireLink
    | MakeRoom
    | ChallengePeer
    | ForwardingChanged
    | PeerCertified
    | PingDue
    | HandshakeTimedOut
    | LeaveTimedOut
)
