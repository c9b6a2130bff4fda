"""What a peer link receives."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from actors.runtime.seam import Ref
from mesh.link.frames import Frame, FrameType
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


class CloseLink(msgspec.Struct, frozen=True):
    """Command: tell the peer why, then close."""

    reason: str
    is_offence: bool = False
    """Whether the peer broke the protocol: it is counted, and logged."""
    is_logged: bool = False
    """Whether who judged it has logged it already."""


class ChallengePeer(msgspec.Struct, frozen=True):
    """Command: find out whether the peer is still there, at once."""

    nonce: bytes


class ForwardingChanged(msgspec.Struct, frozen=True, gc=False):
    """Fact: where frames for each destination go from now on."""

    links: Mapping[AgentId, Ref[SendFrames]]


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
    | ChallengePeer
    | ForwardingChanged
    | PingDue
    | HandshakeTimedOut
    | LeaveTimedOut
)
