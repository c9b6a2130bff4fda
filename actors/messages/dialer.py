"""What the dialer of a configured peer receives."""

from typing import TypeAlias

import msgspec

from actors.messages.reaching import ReachDue
from actors.runtime.seam import Connected, ConnectFailed, NamesResolved
from mesh.black_hole import Evidence
from mesh.trust.identity import AgentId


class DialDue(msgspec.Struct, frozen=True):
    """Timer: dial now."""


class PinPeer(msgspec.Struct, frozen=True):
    """Command: link with this agent only, or with any; a link to another one is closed."""

    peer_id: AgentId | None


class HangUp(msgspec.Struct, frozen=True):
    """Command: have the link that was dialed closed, or replaced by one of the peer's; the stop follows."""


class HandshakeLate(msgspec.Struct, frozen=True):
    """Timer: the dialed address has been connected for a while, and may have said nothing."""


class DialedLinkEnded(msgspec.Struct, frozen=True):
    """Fact: a link that this dialer made is gone, established or not."""

    link_urn: str
    evidence: Evidence = Evidence.NONE
    """What its end says of the path."""


class DialRefused(msgspec.Struct, frozen=True):
    """Fact: the dialed link was refused, by the peer or by this agent; :class:`DialedLinkEnded` follows."""

    peer_name: str | None
    """Who refused this agent; ``None`` if this agent refused."""
    address: str
    """The peer's socket address, for people."""
    why: str
    is_another: bool = False
    """Whether another agent has answered than the one that the configuration names."""


class MetItself(msgspec.Struct, frozen=True):
    """Fact: the dialed link leads to this very agent; :class:`DialedLinkEnded` follows."""


class LinkAdmitted(msgspec.Struct, frozen=True):
    """Fact: the dialed link is the one to its peer now."""

    peer_id: AgentId
    peer_name: str


class TicketLeft(msgspec.Struct, frozen=True):
    """Fact: the peer has admitted a link that this dialer made: it leaves a ticket for the same address."""

    link_urn: str
    ticket: bytes


class PeerAlreadyLinked(msgspec.Struct, frozen=True):
    """Fact: the dialed peer is linked already; there is nothing to dial until :class:`PeerLost`."""

    peer_id: AgentId


class PeerLost(msgspec.Struct, frozen=True):
    """Fact: the link that made dialing needless is gone, or will be."""

    peer_id: AgentId


Inbound: TypeAlias = (
    DialDue
    | PinPeer
    | HangUp
    | HandshakeLate
    | DialedLinkEnded
    | DialRefused
    | MetItself
    | LinkAdmitted
    | TicketLeft
    | PeerAlreadyLinked
    | PeerLost
    | Connected
    | ConnectFailed
    | NamesResolved
    | ReachDue
)
