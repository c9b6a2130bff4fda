"""What two peers say to each other: pings, records, pages, revocations, challenges. One link's share of it.

All but CLOSE, which is the business of the link's life.
"""

from math import inf
from typing import Final, TypeAlias

from mesh.errors import RemoteProtocolError
from mesh.escaping import escaped
from mesh.link import bodies as link_bodies
from mesh.link import effects
from mesh.link.established import RevokedPeer
from mesh.link.frames import Frame, FrameType
from mesh.link.refusing import turning_away
from mesh.link.rekeying import Rekeying
from mesh.link.silence import Pulse
from mesh.remembered import Remembered
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

DIGEST_LEAST: Final = 0.05
"""What a DIGEST costs a peer, beside the part of all IDs that it speaks for: each is answered with every
record that it lacks. A link starts with those of all records, 20 frames of them at the most, which cost 2."""

WANTED_LISTS_COST: Final = 0.5
"""What a WANT_REVOCATIONS costs a peer, likewise. A link starts with one."""

PROOF_COST: Final = 8.0
"""What the list costs by which one that was revoked is turned away: each ID that is in it, those of an issuer
together. It is 48 KiB at the most, for a handshake that takes the revoked 1 KiB."""

DIGEST_RATE: Final = 2.0
"""What those of a peer may cost a second: those of one link, for it is let in as often."""

DIGEST_BURST: Final = 160.0
"""At once: those of 64 links, for one that breaks is dialed again quickly at first, from both ends."""

CHALLENGE_REPORT_S: Final = 10.0
"""How often it is reported that a peer asks if this agent is alive: another with its key dials for ever."""

DigestBudgets: TypeAlias = Remembered[AgentId, TokenBucket]


def digest_budgets() -> DigestBudgets:
    """Those of all peers of an agent, which its links share."""
    return Remembered(lambda: TokenBucket(DIGEST_RATE, DIGEST_BURST))


class OwnFrames:
    """Reads the link's own frames.

    Args:
        pulse: of the link, which knows its pings.
        digests: what more digests of each peer may cost now; a new link begins no new burst.
    """

    __slots__ = (
        "_challenge",
        "_digests",
        "_is_retiring",
        "_pulse",
        "_told_at",
        "peer_id",
        "records",
        "rekeying",
    )

    peer_id: AgentId
    """Set as soon as the peer is proven."""
    rekeying: Rekeying
    """Likewise."""

    def __init__(self, pulse: Pulse, digests: DigestBudgets) -> None:
        self._pulse = pulse
        self._digests = digests
        self.records: list[link_bodies.WireRecord] = []
        """Those of the read at hand."""
        self._challenge = b""
        """The nonce that the peer has to answer; empty for none."""
        self._is_retiring = False
        """Whether one of both ends has said that it will close the link."""
        self._told_at = -inf
        """When it was reported last that the peer asks if this agent is alive."""

    def challenge(self, nonce: bytes) -> effects.LinkEffect:
        """Find out at once whether the peer is still there."""
        self._challenge = nonce
        return effects.SendOwn(FrameType.CHALLENGE, link_bodies.encode_challenge(nonce))

    def turn_away(self, peer: RevokedPeer, now: float) -> tuple[effects.LinkEffect, ...]:
        """End a link that is not let in, with the proof unless the peer has had that often enough."""
        budget = self._digests.of(peer.revoked_id, now)
        return turning_away(peer, shows_proof=budget.take(now, PROOF_COST))

    def retire(self, reason: str, wanted: list[effects.LinkEffect]) -> None:
        """Tell the peer that this end will close the link, unless one of both has said so."""
        if not self._is_retiring:
            self._is_retiring = True
            wanted.append(effects.SendOwn(FrameType.RETIRE, link_bodies.encode_retire(reason)))
            wanted.append(effects.LinkRetires(reason))

    def take(self, frame: Frame, now: float, wanted: list[effects.LinkEffect]) -> None:
        """Handle one frame; what is to be done goes to ``wanted``. A type that may be skipped does nothing.

        Raises:
            RemoteProtocolError: its body cannot be read, or the peer asks too much.
        """
        match frame.type:
            case FrameType.PING:
                pong = link_bodies.encode_pong(link_bodies.decode_ping(frame.body))
                wanted.append(effects.SendOwn(FrameType.PONG, pong))
            case FrameType.PONG:
                rtt_s = self._pulse.round_trip_s(link_bodies.decode_pong(frame.body), now)
                if rtt_s is not None:
                    wanted.append(effects.RoundTripMeasured(rtt_s))
            case FrameType.RECORDS:
                self.records += link_bodies.decode_records(frame.body)
            case FrameType.DIGEST:
                digest = link_bodies.decode_digest(frame.body)
                if not self._digests.of(self.peer_id, now).take(now, DIGEST_LEAST + digest.share):
                    raise RemoteProtocolError("more digests than its links ever need")
                self.hand_over_records(wanted)
                wanted.append(effects.DigestCame(digest))
            case FrameType.WANT_PAGES:
                self.hand_over_records(wanted)
                wanted.append(effects.PagesWanted(link_bodies.decode_want_pages(frame.body)))
            case FrameType.PAGES:
                self.hand_over_records(wanted)
                wanted.append(effects.PagesCame(link_bodies.decode_pages(frame.body)))
            case FrameType.REVOCATIONS:
                self.hand_over_records(wanted)
                wanted.append(effects.RevocationsCame(link_bodies.decode_revocations(frame.body)))
            case FrameType.WANT_REVOCATIONS:
                asked = link_bodies.decode_want_revocations(frame.body)
                if not self._digests.of(self.peer_id, now).take(now, WANTED_LISTS_COST):
                    raise RemoteProtocolError(
                        "it asks for revocation lists more often than its links ever need"
                    )
                wanted.append(effects.RevocationsWanted(asked))
            case FrameType.CHALLENGE:
                nonce = link_bodies.encode_challenge(link_bodies.decode_challenge(frame.body))
                wanted.append(effects.SendOwn(FrameType.CHALLENGE_ANSWER, nonce))
                if now - self._told_at >= CHALLENGE_REPORT_S:
                    self._told_at = now
                    wanted.append(effects.PeerChallenged())
            case FrameType.CHALLENGE_ANSWER:
                if link_bodies.decode_challenge(frame.body) == self._challenge:
                    self._challenge = b""
                    wanted.append(effects.PeerAnswered())
            case FrameType.REKEY | FrameType.NEW_KEY:
                self.rekeying.hand_over(wanted)  # the reader has given it the frame
            case FrameType.RETIRE:
                reason = escaped(link_bodies.decode_retire(frame.body))
                if not self._is_retiring:
                    self._is_retiring = True
                    wanted.append(effects.LinkRetires(f"the peer is about to close it: {reason}"))

    def hand_over_records(self, wanted: list[effects.LinkEffect]) -> None:
        """Let the records that have come so far be judged, before what came behind them."""
        if self.records:
            wanted.append(effects.RecordsCame(tuple(self.records)))
            self.records = []
