"""Who an agent is: its Ed25519 key, the ID that follows from it, and signatures with a context.

The ID is a hash of the public key, so it cannot be claimed without the key. What is signed always starts with
the context it is signed for, so a signature made for one purpose proves nothing for another.

Source: RFC 8032 (Ed25519); its contexts inspired the signature input.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Final, NewType, TypeAlias

import nacl.bindings
import nacl.exceptions

from mesh.errors import AuthenticationError

AgentId = NewType("AgentId", bytes)
"""16 bytes: the start of SHA-256 over a prefix and the agent's Ed25519 public key."""

Instance = NewType("Instance", bytes)
"""16 random bytes for each start of an agent's process."""

SignatureCheck: TypeAlias = Callable[[bytes, bytes, bytes, bytes], None]
"""Shape of :func:`verify_signature`, for whoever wants it injected."""

AGENT_ID_BYTES: Final = 16
"""128 bits: a second key with the same ID costs 2**128 attempts, and two of them are named in every frame."""

INSTANCE_BYTES: Final = 16
PUBLIC_KEY_BYTES: Final = 32
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PUBLIC_KEY_CHARACTERS: Final = 44
"""32 bytes in base64 with padding."""

NO_AGENT: Final = AgentId(bytes(AGENT_ID_BYTES))
"""Stands for no agent, in the frames of a link's own."""

CERTIFICATE_CONTEXT: Final = b"mesh certificate v1"
"""What an authority signs: an agent's certificate."""
RECORD_CONTEXT: Final = b"mesh record v1"
"""What an agent signs: its advertisement."""
REVOCATIONS_CONTEXT: Final = b"mesh revocations v1"
"""What an authority signs: whom it has revoked."""
LINK_PROOF_CONTEXT: Final = b"mesh link proof v1"
"""What an agent signs: who it is on one link."""
ENROLMENT_CONTEXT: Final = b"mesh enrolment v1"
"""What an agent signs: that it asks an issuer for a certificate of this key."""

_ID_PREFIX: Final = b"mesh agent id v1\0"
_MAX_CONTEXT_BYTES: Final = 255


class Identity:
    """An Ed25519 key pair and the ID that follows from it; the repr shows the ID only.

    Args:
        seed: the 32 bytes of the RFC 8032 private key.

    Raises:
        ValueError: the seed is not 32 bytes.
    """

    __slots__ = ("_secret", "id", "public_key")

    id: AgentId
    public_key: bytes

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"expected a seed of {SEED_BYTES} bytes, found {len(seed)}")
        self.public_key, self._secret = nacl.bindings.crypto_sign_seed_keypair(bytes(seed))
        self.id = agent_id_of(self.public_key)

    def __repr__(self) -> str:
        return f"Identity({display_id(self.id)})"

    def sign(self, context: bytes, message: bytes) -> bytes:
        """The 64 bytes of this identity's signature over ``message`` for ``context``.

        Raises:
            ValueError: the context is empty or longer than 255 bytes.
        """
        signed = nacl.bindings.crypto_sign(_signature_input(context, message), self._secret)
        return signed[:SIGNATURE_BYTES]

    def secret_for(self, purpose: bytes) -> bytes:
        """32 bytes that only this identity can tell, always the same for a purpose."""
        return hashlib.blake2b(purpose, digest_size=32, key=self._secret[:SEED_BYTES]).digest()


def agent_id_of(public_key: bytes) -> AgentId:
    """The ID of the agent that owns a 32-byte Ed25519 public key.

    Raises:
        ValueError: the key is not 32 bytes.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"expected a public key of {PUBLIC_KEY_BYTES} bytes, found {len(public_key)}")
    return AgentId(hashlib.sha256(_ID_PREFIX + public_key).digest()[:AGENT_ID_BYTES])


def display_id(agent_id: AgentId) -> str:
    """An ID for people and APIs: 32 lower-case hexadecimal digits."""
    return agent_id.hex()


def short_id(agent_id: AgentId) -> str:
    """The first 8 hexadecimal digits, for logs: enough to tell agents apart, never to decide by."""
    return agent_id[:4].hex()


def verify_signature(public_key: bytes, context: bytes, message: bytes, signature: bytes) -> None:
    """Check that ``public_key``'s owner signed ``message`` for ``context``.

    Public keys of small order and non-canonical encodings of keys and signatures are refused (libsodium does
    so): a signature has one form and an agent has one ID.

    Raises:
        AuthenticationError: it did not, or key or signature have a wrong length.
        ValueError: the context is empty or longer than 255 bytes.
    """
    signed = signature + _signature_input(context, message)
    # The binding reads 32 bytes whatever it is given, so lengths are judged here.
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise AuthenticationError("the signature or its public key has a wrong length")
    try:
        nacl.bindings.crypto_sign_open(signed, public_key)
    except nacl.exceptions.BadSignatureError:
        raise AuthenticationError("the signature does not verify") from None


def encode_public_key(public_key: bytes) -> str:
    """A 32-byte key as people write it: standard base64, 44 characters.

    Raises:
        ValueError: the key is not 32 bytes.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"expected a public key of {PUBLIC_KEY_BYTES} bytes, found {len(public_key)}")
    return base64.b64encode(public_key).decode()


def decode_public_key(text: str) -> bytes:
    """The 32 bytes of a key that :func:`encode_public_key` wrote.

    Raises:
        ValueError: the text is anything else; a second spelling of the same key is refused too.
    """
    expected = f"expected a public key: {PUBLIC_KEY_CHARACTERS} characters of base64 that end in '='"
    if len(text) != PUBLIC_KEY_CHARACTERS:
        raise ValueError(f"{expected}, found {len(text)} characters")
    try:
        public_key = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error, and text that is not ASCII
        raise ValueError(expected) from None
    if len(public_key) != PUBLIC_KEY_BYTES or encode_public_key(public_key) != text:
        raise ValueError(expected)
    return public_key


def _signature_input(context: bytes, message: bytes) -> bytes:
    """Context length (1 byte), context, message: no context can be taken for the start of another."""
    if not 0 < len(context) <= _MAX_CONTEXT_BYTES:
        raise ValueError(f"expected a context of 1 to {_MAX_CONTEXT_BYTES} bytes, found {len(context)}")
    return bytes((len(context),)) + context + message
