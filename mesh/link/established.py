"""What comes of a handshake."""

from dataclasses import dataclass, field, replace

from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId, Instance


@dataclass(frozen=True, slots=True, eq=False)
class EstablishedLink:
    """What an opened link starts with; the repr hides its keys."""

    peer: Certificate
    peer_id: AgentId
    peer_instance: Instance
    peer_static: bytes
    """32 bytes: the Noise static key of the peer's links, which an instance has one of."""
    send_key: bytes = field(repr=False)
    """32 bytes: seals what this side sends."""
    receive_key: bytes = field(repr=False)
    """32 bytes: opens what the peer sends."""
    binding: bytes
    """32 bytes that name the handshake, and nothing secret: its hash."""
    surplus: bytes = field(repr=False)
    """Bytes that came behind the handshake: the start of the peer's frames."""
    ticket: bytes = field(repr=False)
    """16 bytes, by which the responder knows the initiator again."""
    version: int
    """Of the link protocol: the highest that both speak."""
    features: frozenset[str]
    """Those that both have."""
    clock_ahead_s: float | None = None
    """How far the peer's clock is ahead of this machine's, about; ``None`` if it does not tell."""
    is_excused: bool = False
    """Whether the peer may speak in the name of others, though its certificate does not let it any more."""

    def certified(self, certificate: Certificate, *, is_excused: bool) -> "EstablishedLink":
        """The same with the certificate that the peer shows now, which has been judged."""
        return replace(self, peer=certificate, is_excused=is_excused)

    def without_keys(self) -> "EstablishedLink":
        """The same, for as long as the link lives: its keys are where they are used, and nowhere else."""
        return replace(self, send_key=b"", receive_key=b"")


@dataclass(frozen=True, slots=True, eq=False)
class RevokedPeer:
    """One that has proven who it is, and is let in no more."""

    why: str
    revoked_id: AgentId
    """Its own, or that of its issuer: whichever was revoked."""
    proof: bytes = field(repr=False)
    """The signed list that says so."""
    send_key: bytes = field(repr=False)
    """32 bytes: seals what this side sends."""


@dataclass(frozen=True, slots=True, eq=False)
class HandshakeProgress:
    """What to do once bytes were received: send ``to_send``, then use the link if it is established."""

    to_send: bytes = field(repr=False)
    established: EstablishedLink | None
    met_itself: bool = False
    """Whether the other side is this very instance: close once ``to_send`` has been sent."""
    refusal: str = ""
    """Why the other side is refused, if it is to hear so by ``to_send``: close once that has been sent."""
    revoked: RevokedPeer | None = None
    """The other side, if it was revoked: it is to hear so, sealed, behind ``to_send``."""
