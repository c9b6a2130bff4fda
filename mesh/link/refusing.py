"""What a peer that was revoked is told, and what an agent hears that is not let in.

Right behind the handshake, sealed like all frames: REVOCATIONS with the list that names the agent, and CLOSE
with the reason. Words prove nothing: an agent believes the list, if it finds that it was signed by who may.
"""

import enum
from collections.abc import Sequence

from mesh.errors import RemoteProtocolError
from mesh.link import bodies, effects
from mesh.link.established import EstablishedLink, RevokedPeer
from mesh.link.frames import Frame, FrameType


class Said(enum.Enum):
    """What the first frames of a peer that was dialed say."""

    NOTHING = "nothing yet"
    ACCEPTED = "that it has accepted this agent"
    REFUSED = "that it has not"


def turning_away(peer: RevokedPeer, *, shows_proof: bool) -> tuple[effects.LinkEffect, ...]:
    """Tell a peer that it was revoked, and end the link.

    Args:
        peer: that has proven who it is.
        shows_proof: whether it gets the list: one that dials without pause has had it by now.
    """
    proof = (effects.SendOwn(FrameType.REVOCATIONS, bodies.encode_revocations((peer.proof,))),)
    return (
        effects.StartSealing(peer.send_key),
        *(proof if shows_proof else ()),
        effects.SendOwn(FrameType.CLOSE, bodies.encode_close(peer.why)),
    )


def said_by(frames: Sequence[Frame]) -> Said:
    """What a peer has said by its first frames."""
    head = _after_lists(frames)
    if not head:
        return Said.NOTHING
    return Said.REFUSED if head[0].type == FrameType.CLOSE else Said.ACCEPTED


def turned_away(peer: EstablishedLink, frames: Sequence[Frame]) -> effects.LinkVerdict:
    """What becomes of a link whose first frames are a refusal."""
    close, *_ = _after_lists(frames)
    try:
        lists = bodies.decode_revocations(frames[0].body) if frames[0] is not close else ()
        return effects.LinkTurnedAway(peer, bodies.decode_close(close.body), lists)
    except RemoteProtocolError as error:
        return effects.LinkRefused(str(error))


def _after_lists(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Without the lists at the start, of which a refusal needs one frame."""
    return frames[1:] if frames and frames[0].type == FrameType.REVOCATIONS else frames
