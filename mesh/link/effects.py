"""What a link asks of its owner."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from mesh.errors import OwnIdentityError, RemoteProtocolError, TrustError, UnexpectedPeerError
from mesh.link.bodies import HAS_LEFT, Digest, WantedList, WantedPages, WirePage, WireRecord
from mesh.link.carried import Deliver, PassOn
from mesh.link.established import EstablishedLink
from mesh.link.frames import FrameType


class SendHandshake(msgspec.Struct, frozen=True, gc=False):
    """Send these bytes as they are, now."""

    data: bytes


class StartSealing(msgspec.Struct, frozen=True, gc=False):
    """Seal every frame from now on with this key."""

    key: bytes


class SwitchSealing(msgspec.Struct, frozen=True, gc=False):
    """Send NEW_KEY with this body, sealed as all before it; seal every frame behind it with this key."""

    body: bytes
    key: bytes


class LinkRekeyed(msgspec.Struct, frozen=True, gc=False):
    """The peer seals with its new key, too: nothing that comes or goes needs the old ones."""


class SendOwn(msgspec.Struct, frozen=True, gc=False):
    """Send one of the link's own frames."""

    frame_type: FrameType
    body: bytes


class AskForAdmission(msgspec.Struct, frozen=True, gc=False):
    """The peer is proven: read nothing more until it is known whether the link is kept."""

    peer: EstablishedLink
    rtt_s: float


class ReadOn(msgspec.Struct, frozen=True, gc=False):
    """Read the socket again."""


class RecordsCame(msgspec.Struct, frozen=True, gc=False):
    """Records for the route table."""

    records: tuple[WireRecord, ...]


class DigestCame(msgspec.Struct, frozen=True, gc=False):
    """What the peer holds, for the route table."""

    digest: Digest


class PagesWanted(msgspec.Struct, frozen=True, gc=False):
    """The peer asks for pages, of the route table."""

    wanted: tuple[WantedPages, ...]


class PagesCame(msgspec.Struct, frozen=True, gc=False):
    """Pages for the route table; nothing of them has been judged."""

    pages: tuple[WirePage, ...]


class RevocationsCame(msgspec.Struct, frozen=True, gc=False):
    """Revocation lists for the route table; nothing of them has been judged."""

    lists: tuple[bytes, ...]


class RevocationsWanted(msgspec.Struct, frozen=True, gc=False):
    """The peer asks for revocation lists, of the route table."""

    wanted: tuple[WantedList, ...]


class FramesReturned(msgspec.Struct, frozen=True, gc=False):
    """So many frames that name this agent as their source came by this link, and are dropped."""

    count: int


class RoundTripMeasured(msgspec.Struct, frozen=True, gc=False):
    """A ping came back."""

    rtt_s: float


class PeerChallenged(msgspec.Struct, frozen=True, gc=False):
    """The peer asked, for the first time on this link, whether this agent is alive."""


class PeerAnswered(msgspec.Struct, frozen=True, gc=False):
    """The peer answered a challenge: it is alive."""


class LinkRetires(msgspec.Struct, frozen=True, gc=False):
    """This end or the peer will close the link: another is to take its place, if either end wants one."""

    reason: str


class PingLater(msgspec.Struct, frozen=True, gc=False):
    """Call :meth:`mesh.link.link.Link.ping` in so many seconds."""

    delay_s: float


class LeaveInTime(msgspec.Struct, frozen=True, gc=False):
    """End the link in so many seconds, whatever has been sent by then."""

    delay_s: float


class FinishSending(msgspec.Struct, frozen=True, gc=False):
    """Send the end of the stream, and read until the peer's."""


class LinkRefused(msgspec.Struct, frozen=True, gc=False):
    """It never became a link; close it, once what is queued has been sent."""

    why: str
    is_another: bool = False
    """Whether another agent than the one that was dialed has answered."""
    is_copy: bool = False
    """Whether the other end has this agent's own identity, and is another process."""
    is_told: bool = False
    """Whether the other end is told why."""


class LinkOverdue(msgspec.Struct, frozen=True, gc=False):
    """Its handshake has taken too long; close it."""

    why: str


class LinkUnwanted(msgspec.Struct, frozen=True, gc=False):
    """This agent closes it before it has become a link."""


class LinkTurnedAway(msgspec.Struct, frozen=True, gc=False):
    """The peer did not admit it, perhaps because it has another link to this agent. Close it."""

    peer: EstablishedLink
    reason: str
    lists: tuple[bytes, ...] = ()
    """Revocation lists that it has given with the reason; nothing of them has been judged."""


class LinkMetItself(msgspec.Struct, frozen=True, gc=False):
    """The other end is this very process; close it once what is queued has been sent."""


class LinkBroken(msgspec.Struct, frozen=True, gc=False):
    """The peer broke the protocol; close it."""

    why: str
    is_forgery: bool = False
    """Whether the peer, which is proven, spoke in the name of another."""


class LinkLost(msgspec.Struct, frozen=True, gc=False):
    """It has ended; close it."""

    why: str
    has_left: bool = False
    """Whether the peer has said that its agent leaves: it is not to be waited for."""


def closed_by_peer(reason: str) -> LinkLost:
    """The peer has said CLOSE, with this reason, escaped."""
    return LinkLost(f"the peer closed it: {reason}", has_left=reason == HAS_LEFT)


class LinkOver(msgspec.Struct, frozen=True, gc=False):
    """There is nothing left to say; close it."""


class CertificateExpired(msgspec.Struct, frozen=True, gc=False):
    """The peer's certificate has come to its end; the link is being closed."""


def refused_for(error: RemoteProtocolError) -> LinkRefused:
    """The handshake has failed for this."""
    if isinstance(error, TrustError):
        return LinkRefused(f"peer not trusted: {error}")
    return LinkRefused(
        str(error), isinstance(error, UnexpectedPeerError), isinstance(error, OwnIdentityError)
    )


LinkVerdict: TypeAlias = (
    LinkRefused
    | LinkOverdue
    | LinkUnwanted
    | LinkTurnedAway
    | LinkMetItself
    | LinkBroken
    | LinkLost
    | LinkOver
)
"""How a link has ended: close its socket."""

PeerNews: TypeAlias = RecordsCame | DigestCame | PagesWanted | PagesCame | RevocationsCame | RevocationsWanted
"""What the peer says to the route table."""

LinkAffair: TypeAlias = (
    SendHandshake
    | StartSealing
    | SwitchSealing
    | LinkRekeyed
    | SendOwn
    | AskForAdmission
    | ReadOn
    | PeerNews
    | FramesReturned
    | RoundTripMeasured
    | PeerChallenged
    | PeerAnswered
    | LinkRetires
    | PingLater
    | LeaveInTime
    | FinishSending
    | CertificateExpired
    | LinkVerdict
)

LinkEffect: TypeAlias = Deliver | PassOn | LinkAffair
"""What others said, which is nearly all of it, or an affair of the link's own."""

LinkEffects: TypeAlias = Sequence[LinkEffect]
"""To be done in this order."""
