"""What the peer directory receives."""

from typing import TypeAlias

import msgspec

from actors.messages import dialer as dialer_messages
from actors.messages import peer_link as link_messages
from actors.messages.route_table import RoutesChanged
from actors.runtime.seam import Ref
from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.identity import AgentId, Instance


class LinkEstablished(msgspec.Struct, frozen=True):
    """Fact: a link finished its handshake and waits for :class:`~actors.messages.peer_link.AdmitLink`."""

    link: Ref[link_messages.Inbound]
    peer_id: AgentId
    peer_instance: Instance
    peer_static: bytes
    """The Noise static key of the peer's links, which an instance has one of."""
    peer_name: str
    certificate: Certificate
    """The peer's, judged when it was shown."""
    address: str
    """The peer's socket address, for people."""
    is_dialer: bool
    """Whether this agent dialed."""
    rtt_s: float
    dialer: Ref[dialer_messages.Inbound] | None
    """The dialer, if this agent dialed: it hears when its link is one too many."""
    clock_ahead_s: float | None = None
    """How far the peer's clock was ahead of this machine's then, about; ``None`` if it does not tell."""


class LinkEnded(msgspec.Struct, frozen=True):
    """Fact: an established link is gone."""

    link_urn: str
    peer_id: AgentId
    why: str = ""
    """For people; escaped."""
    has_left: bool = False
    """Whether the peer has said that its agent leaves."""


class LinkTurnedAway(msgspec.Struct, frozen=True):
    """Fact: the peer closed a link that this agent dialed, before it was anybody's: it may have another."""

    peer_id: AgentId
    peer_name: str
    address: str
    reason: str
    dialer: Ref[dialer_messages.Inbound]


class LinkMeasured(msgspec.Struct, frozen=True):
    """Fact: a ping came back."""

    link_urn: str
    peer_id: AgentId
    rtt_s: float


class PeerAnswered(msgspec.Struct, frozen=True):
    """Fact: the peer of a challenged link is alive."""

    link_urn: str
    peer_id: AgentId


class ChallengeArrived(msgspec.Struct, frozen=True):
    """Fact: the peer asks whether this agent is alive, for another instance of it has dialed."""

    peer_id: AgentId


class TwinMet(msgspec.Struct, frozen=True):
    """Fact: an address that this agent dialed is that of another running agent with its identity."""


class LinkRetires(msgspec.Struct, frozen=True):
    """Fact: one of both ends is about to close a link, and another may take its place."""

    link_urn: str
    peer_id: AgentId
    reason: str


class HangUpDue(msgspec.Struct, frozen=True):
    """Timer: a link that retires has had the time to be replaced."""

    link_urn: str
    peer_id: AgentId
    reason: str


class RetireDue(msgspec.Struct, frozen=True):
    """Timer: a link that frames are not sent by any more has had the time to be given up at both ends."""

    link: Ref[link_messages.Inbound]
    reason: str


class ChallengeExpired(msgspec.Struct, frozen=True):
    """Timer: a challenged link has been silent for long enough."""

    peer_id: AgentId
    newcomer_urn: str


class GetPeers(msgspec.Struct, frozen=True):
    """Question from outside: the peers, linked or not; the answer is ``tuple[PeerStatus, ...]``."""


class GetWarnings(msgspec.Struct, frozen=True):
    """Question from outside: what an operator should look at though the links work, as lines for people."""


class LinksClosed(msgspec.Struct, frozen=True):
    """Fact, told to whoever wanted to know: every link has been closed in order."""


class ChangeRelaying(msgspec.Struct, frozen=True):
    """Command: whether others' traffic may pass through this agent from now on."""

    relays: bool


class TrustChanged(msgspec.Struct, frozen=True):
    """Command: peers are judged by this from now on, those that are linked too."""

    trust: TrustStore


class RightsGone(msgspec.Struct, frozen=True):
    """Timer: what a peer has sent by virtue of rights that it has given up has come by now."""

    link_urn: str
    peer_id: AgentId


class CloseAllLinks(msgspec.Struct, frozen=True):
    """Command: this agent is leaving; close every link in order."""

    reason: str
    reply_to: Ref[LinksClosed]
    """Hears when none is left."""


class DialerReported(msgspec.Struct, frozen=True):
    """Fact: what the dialer of a configured address is about, for people.

    ``None`` if there is nothing to show: its peer is linked, or it has ended.
    """

    address: str
    state: str | None
    problem: str | None = None
    """Why the latest dial came to nothing; escaped."""
    peer_id: AgentId | None = None
    """Whom the latest link led to, if there was one."""


class PathJudged(msgspec.Struct, frozen=True):
    """Fact: what is wrong with the path of the links that a dialer makes; empty if nothing is."""

    dialer_urn: str
    problem: str


class PeerStatus(msgspec.Struct, frozen=True):
    """One peer, connected, being dialed, or lost, as the dashboard shows it."""

    peer_id: AgentId | None
    """``None`` while nobody knows who answers at ``address``."""
    name: str
    state: str
    """``connected``, what the dialer is about, or what became of one that is not dialed from here."""
    address: str
    is_dialer: bool
    rtt_s: float | None
    problem: str | None = None
    """What is wrong with the path to it, or why it is not connected."""
    since_s: float = 0.0
    """When it was connected, or since when it is not; monotonic seconds."""
    clock_ahead_s: float | None = None
    """How far its clock was ahead of this machine's when it was connected; ``None`` if nobody knows."""


Inbound: TypeAlias = (
    LinkEstablished
    | LinkEnded
    | LinkTurnedAway
    | LinkMeasured
    | PeerAnswered
    | ChallengeArrived
    | ChallengeExpired
    | TwinMet
    | LinkRetires
    | HangUpDue
    | RetireDue
    | GetPeers
    | GetWarnings
    | ChangeRelaying
    | TrustChanged
    | RightsGone
    | CloseAllLinks
    | DialerReported
    | PathJudged
    | RoutesChanged
)
