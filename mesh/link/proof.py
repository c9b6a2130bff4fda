"""The proof of identity in the handshake of a link.

    proof        MessagePack array: statement (bytes), signature (64 bytes)
    statement    MessagePack array: certificate (wire bytes), instance (16 bytes), version, features, clock

The certificate's subject signs, with ``LINK_PROOF_CONTEXT``: the handshake hash before the proof's message
(32 bytes), its Noise static key (32 bytes), the statement. So a proof holds for one handshake, static key and
instance, and cannot be used again: whoever finishes the handshake holds the static key, and whoever signed
holds the identity, now.
"""

from typing import Annotated, Final

import msgspec

from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.trust.certificates import MAX_CERTIFICATE_BYTES, Certificate, TrustStore
from mesh.trust.identity import (
    INSTANCE_BYTES,
    LINK_PROOF_CONTEXT,
    SIGNATURE_BYTES,
    Identity,
    short_id,
    verify_signature,
)

MAX_FEATURES: Final = 32
MAX_FEATURE_CHARACTERS: Final = 32

MAX_CLOCK_MS: Final = 2**62

REKEY_FEATURE: Final = "rekey"
"""It takes up new keys for a link that is up: :mod:`mesh.link.rekeying`."""

OWN_FEATURES: Final = (REKEY_FEATURE,)
"""What this version can do beyond what its number says. A feature is used where both have it."""

_Feature = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+\Z", max_length=MAX_FEATURE_CHARACTERS)]


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """What a proof says; elements that a later version adds are ignored, but signed like the others."""

    certificate: Annotated[bytes, msgspec.Meta(max_length=MAX_CERTIFICATE_BYTES)]
    instance: Annotated[bytes, msgspec.Meta(min_length=INSTANCE_BYTES, max_length=INSTANCE_BYTES)]
    version: int
    """That the two have agreed upon."""
    features: Annotated[tuple[_Feature, ...], msgspec.Meta(max_length=MAX_FEATURES)]
    clock_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_CLOCK_MS)] = 0
    """Unix milliseconds as the sender's machine has them, for operators; 0 does not tell."""

    def clock_ahead_s(self, now_unix_s: float) -> float | None:
        """How far the sender's clock is ahead of one that shows ``now_unix_s`` at the arrival, about.

        The time that it took to come is part of it. ``None`` if the sender does not tell.
        """
        return self.clock_ms / 1000 - now_unix_s if self.clock_ms else None


class _Proof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    statement: bytes
    signature: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


def make_proof(identity: Identity, statement: Statement, *, binding: bytes, static: bytes) -> bytes:
    """The payload of this agent's message.

    Args:
        identity: the subject of the certificate.
        statement: what it says.
        binding: the handshake hash before the message.
        static: the public Noise static key of this side.
    """
    encoded = msgspec.msgpack.encode(statement)
    signature = identity.sign(LINK_PROOF_CONTEXT, binding + static + encoded)
    return msgspec.msgpack.encode(_Proof(encoded, signature))


def read_proof(
    payload: bytes, *, binding: bytes, static: bytes, version: int, trust: TrustStore, now_unix_s: float
) -> tuple[Certificate, Statement]:
    """Who the other side is, and what it says.

    Args:
        payload: of its message.
        binding: the handshake hash before the message.
        static: the public Noise static key of the other side.
        version: that the two have agreed upon.
        trust: judges the certificate.
        now_unix_s: for the validity of the certificate.

    Raises:
        RemoteProtocolError: it is no proof.
        TrustError: the certificate does not admit. A ``RevokedError`` is raised for its owner only.
        AuthenticationError: the certificate is somebody else's, or the proof is for another handshake.
    """
    try:
        proof = _PROOF_DECODER.decode(payload)
        statement = _STATEMENT_DECODER.decode(proof.statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"malformed proof of identity: {error}") from None
    peer = trust.known(statement.certificate)
    described = f"the certificate of {peer.name!r} ({short_id(peer.agent_id)})"
    try:
        verify_signature(
            peer.subject, LINK_PROOF_CONTEXT, binding + static + proof.statement, proof.signature
        )
    except AuthenticationError:
        raise AuthenticationError(f"the peer shows {described} but does not own it") from None
    if statement.version != version:
        raise AuthenticationError(
            f"the peer with {described} speaks version {statement.version} on a link that has {version}"
        )
    trust.admit(statement.certificate, now_unix_s)  # at last: only the owner is told that it was revoked
    return peer, statement


_PROOF_DECODER: Final = msgspec.msgpack.Decoder(_Proof)
_STATEMENT_DECODER: Final = msgspec.msgpack.Decoder(Statement)
