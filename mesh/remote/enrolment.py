"""How an agent asks an issuer for a certificate by ``mesh:enrol``: one question, one answer.

    wish     MessagePack array: public key (32 bytes), proof (64 bytes)
    grant    MessagePack array: certificate (wire bytes, or none), why not

The owner of the public key signs, with ``ENROLMENT_CONTEXT``, the issuer's ID and that of the agent that
asks. So a proof is of use to nobody else, and the private key stays where it was made. Whoever is invited
asks as the invitation for a certificate of its own key; whoever has one asks as itself for the next.
"""

from typing import Annotated, Final

import msgspec

from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.trust.certificates import MAX_CERTIFICATE_BYTES
from mesh.trust.identity import (
    ENROLMENT_CONTEXT,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    AgentId,
    Identity,
    verify_signature,
)

MAX_WHY_CHARACTERS: Final = 400
"""Of the reason why there is no certificate: a line for people."""


class Wish(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is asked."""

    public_key: Annotated[bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]
    """Of the agent that the certificate is to be for."""
    proof: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
    """That whoever asks has the private key."""


class Grant(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is answered: a certificate, or why there is none."""

    certificate: Annotated[bytes, msgspec.Meta(max_length=MAX_CERTIFICATE_BYTES)] = b""
    why_not: Annotated[str, msgspec.Meta(max_length=MAX_WHY_CHARACTERS)] = ""


def write_wish(owner: Identity, *, issuer: AgentId, asker: AgentId) -> bytes:
    """The question for a certificate of ``owner``.

    Args:
        owner: the key pair that the certificate is to be for.
        issuer: whom it is asked of.
        asker: by whose connection it is asked.
    """
    return msgspec.msgpack.encode(Wish(owner.public_key, owner.sign(ENROLMENT_CONTEXT, issuer + asker)))


def read_wish(data: bytes, *, issuer: AgentId, asker: AgentId) -> bytes:
    """The public key that a certificate is asked for, whose owner asks.

    Raises:
        RemoteProtocolError: it is no question.
        AuthenticationError: the proof is somebody else's, or for another issuer or connection.
    """
    try:
        wish = _WISH.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"malformed question for a certificate: {error}") from None
    try:
        verify_signature(wish.public_key, ENROLMENT_CONTEXT, issuer + asker, wish.proof)
    except AuthenticationError:
        raise AuthenticationError("whoever asks has not shown that the key is theirs") from None
    return wish.public_key


def write_grant(grant: Grant) -> bytes:
    """The answer; a reason that is too long is cut."""
    return msgspec.msgpack.encode(Grant(grant.certificate, grant.why_not[:MAX_WHY_CHARACTERS]))


def read_grant(data: bytes) -> Grant:
    """The answer in ``data``.

    Raises:
        RemoteProtocolError: it is none, or it was cut off.
    """
    try:
        return _GRANT.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"malformed answer of an issuer: {error}") from None


_WISH: Final = msgspec.msgpack.Decoder(Wish)
_GRANT: Final = msgspec.msgpack.Decoder(Grant)
