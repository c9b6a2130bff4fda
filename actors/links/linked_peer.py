"""What the peer directory knows of one peer, and how its certificate is judged while it is linked."""

import logging
from dataclasses import dataclass, field
from typing import Final

import msgspec

from actors.links.reports import LINK
from actors.messages import dialer as dialer_messages
from actors.messages.peer_directory import LinkEstablished, PeerStatus
from actors.messages.peer_link import CloseLink, PeerCertified
from actors.meters import Meters
from actors.runtime.seam import Ref, Timer
from mesh.routing.records import Record
from mesh.sampling import sampled
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import AgentId
from mesh.trust.naming import named

log = logging.getLogger("mesh.links")

RIGHTS_GONE_S: Final = 1.0
"""How long a peer that may not relay any more is not blamed for what it has passed on: that came behind, or
by another link. What is routed by then avoids it."""


@dataclass(slots=True)
class Challenge:
    """A link of another instance that wants the place of the present one."""

    newcomer: LinkEstablished
    timer: Timer


@dataclass(slots=True)
class LinkedPeer:
    """The admitted link of one peer, the dialers that wait for its end, and the link that contests it."""

    link: LinkEstablished
    rtt_s: float
    since_s: float
    """When its first link came up, of those that have replaced each other."""
    waiting_dialers: dict[Ref[dialer_messages.Inbound], None] = field(default_factory=dict)
    challenge: Challenge | None = None
    is_retiring: bool = False
    """Whether the link will be closed, so that any newer one takes its place."""
    is_contested: bool = False
    """Whether it has been reported that the peer knows another instance of this agent."""
    excuses: int = 0
    """How often it has lost the right to relay within the last ``RIGHTS_GONE_S``."""

    @property
    def links(self) -> tuple[LinkEstablished, ...]:
        """The admitted one, and the one that contests it."""
        return (self.link,) if self.challenge is None else (self.link, self.challenge.newcomer)

    def end_challenge(self) -> None:
        """Nobody contests its link any more."""
        if self.challenge is not None:
            self.challenge.timer.cancel()
            self.challenge = None

    def wait_for_end(self, dialer: Ref[dialer_messages.Inbound]) -> None:
        """Have ``dialer`` among those that wait, unless it has ended while its link was under way."""
        if dialer.is_alive():
            self.waiting_dialers[dialer] = None

    def forget_dialers(self) -> None:
        """Forget those that have ended."""
        for dialer in [each for each in self.waiting_dialers if not each.is_alive()]:
            del self.waiting_dialers[dialer]

    def certified(self) -> PeerCertified:
        """What its link is to judge it by."""
        return PeerCertified(self.link.certificate, is_excused=self.excuses > 0)

    def status(self, problem: str | None) -> PeerStatus:
        """What is shown of it, with what is wrong with its path."""
        link = self.link
        return PeerStatus(
            peer_id=link.peer_id,
            name=link.peer_name,
            state="connected",
            address=link.address,
            is_dialer=link.is_dialer,
            rtt_s=self.rtt_s,
            clock_ahead_s=self.link.clock_ahead_s,
            problem=problem,
            since_s=self.since_s,
        )


def replaces(newcomer: LinkEstablished, present: LinkEstablished, own_id: AgentId) -> bool:
    """Which of two links to one instance stays: true for the newer one.

    Both ends dialed: each keeps the link that the lower ID dialed, so both keep the same one. Where one end
    dialed twice it had lost the first, whatever this end still believes.
    """
    if newcomer.is_dialer == present.is_dialer:
        return True
    own_is_lower = own_id < newcomer.peer_id
    return newcomer.is_dialer == own_is_lower


def refused(link: LinkEstablished, trust: TrustStore, meters: Meters) -> CloseLink | None:
    """What to tell the link of a peer that ``trust`` refuses, which is logged and counted."""
    refusal = trust.refusal(link.certificate)
    if not refusal:
        return None
    who = named(link.peer_name, link.peer_id)
    log.warning(
        "closing the link to %(peer)s at %(address)s: %(reason)s",
        {"peer": who, "address": link.address, "reason": refusal},
        extra=sampled(who) | LINK,
    )
    meters.links_refused += 1
    return CloseLink(refusal)


def certified_by(record: Record | None, link: LinkEstablished) -> LinkEstablished:
    """The same link with the certificate that its peer has got since, and tells of in its record."""
    if record is None or record.certificate is link.certificate or record.instance != link.peer_instance:
        return link
    certificate = record.certificate
    if certificate.not_before < link.certificate.not_before:
        return link  # the record with the newer one is on its way still
    return msgspec.structs.replace(link, certificate=certificate, peer_name=certificate.name)
