"""The symmetric half of a Noise handshake: a key that mixes in secrets and a hash that mixes in everything.

Source: Noise revision 34, sections 4.3, 5.1 and 5.2, 12.3 to 12.8. Method names are the specification's.
"""

import hashlib
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Protocol, Self, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.errors import AuthenticationError, LocalProtocolError
from mesh.trust.noise.primitives import KEY_BYTES

HashName: TypeAlias = Literal["SHA256", "SHA512", "BLAKE2s", "BLAKE2b"]

MAX_NONCE: Final = 2**64 - 1
"""Reserved by the specification, so never used to encrypt."""

_NONCE_PREFIX: Final = bytes(4)
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


class Digest(Protocol):
    """A hash of all its input, as :mod:`hashlib` makes it."""

    def digest(self) -> bytes:
        """Its bytes."""
        ...


class Hash(NamedTuple):
    """A hash function of the specification."""

    name: HashName
    new: Callable[[bytes], Digest]
    byte_count: int
    block_bytes: int

    def hkdf(self, salt: bytes, input_key_material: bytes) -> tuple[bytes, bytes]:
        """RFC 5869 with no info and two outputs; ``salt`` fits in a block.

        HMAC (RFC 2104) is written out: a third of what three calls of :func:`hmac.digest` take.
        """
        new, block_bytes = self.new, self.block_bytes
        key = salt.ljust(block_bytes, b"\0")
        inner = new(key.translate(_INNER_PAD) + input_key_material).digest()
        key = new(key.translate(_OUTER_PAD) + inner).digest().ljust(block_bytes, b"\0")
        inner_block, outer_block = key.translate(_INNER_PAD), key.translate(_OUTER_PAD)
        first = new(outer_block + new(inner_block + b"\x01").digest()).digest()
        second = new(outer_block + new(inner_block + first + b"\x02").digest()).digest()
        return first, second


HASHES: Final = MappingProxyType(
    {
        hash_.name: hash_
        for hash_ in (
            Hash("SHA256", hashlib.sha256, 32, 64),
            Hash("SHA512", hashlib.sha512, 64, 128),
            Hash("BLAKE2s", hashlib.blake2s, 32, 64),
            Hash("BLAKE2b", hashlib.blake2b, 64, 128),
        )
    }
)


class CipherState:
    """A ChaCha20-Poly1305 key of 32 bytes and its counting nonce."""

    __slots__ = ("_aead", "_key", "_nonce")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._aead: ChaCha20Poly1305 | None = None
        self._nonce = 0

    def copy(self) -> Self:
        """A second state with the same key and nonce; only one of the two may ever encrypt."""
        twin = type(self)(self._key)
        twin._aead = self._aead
        twin._nonce = self._nonce
        return twin

    def encrypt_with_ad(self, associated_data: bytes, plaintext: bytes) -> bytes:
        """Seal ``plaintext``: 16 bytes longer.

        Raises:
            LocalProtocolError: the nonces are used up.
        """
        cipher, nonce = self._next()
        sealed = cipher.encrypt(nonce, plaintext, associated_data)
        self._nonce += 1
        return sealed

    def decrypt_with_ad(self, associated_data: bytes, ciphertext: bytes) -> bytes:
        """Open what the other side sealed; the nonce counts on only if it authenticates.

        Raises:
            AuthenticationError: it does not authenticate.
            LocalProtocolError: the nonces are used up.
        """
        cipher, nonce = self._next()
        try:
            plaintext = cipher.decrypt(nonce, ciphertext, associated_data)
        except InvalidTag:
            raise AuthenticationError("the handshake message does not authenticate") from None
        self._nonce += 1
        return plaintext

    def _next(self) -> tuple[ChaCha20Poly1305, bytes]:
        """The cipher and its next nonce, 32 zero bits and the little-endian count: section 12.3."""
        if self._nonce >= MAX_NONCE:
            raise LocalProtocolError("the nonces of this key are used up")
        # Made on first use: of the keys that a handshake mixes, every other one seals nothing.
        if self._aead is None:
            self._aead = ChaCha20Poly1305(self._key)
        return self._aead, _NONCE_PREFIX + self._nonce.to_bytes(8, "little")


class SymmetricState:
    """Chaining key, handshake hash and current cipher."""

    __slots__ = ("_chaining_key", "_cipher", "_hash", "handshake_hash")

    handshake_hash: bytes
    """What has been sent and received so far, in one value; not secret."""

    def __init__(self, protocol_name: bytes, hash_name: HashName) -> None:
        self._hash = HASHES[hash_name]
        if len(protocol_name) <= self._hash.byte_count:
            self.handshake_hash = protocol_name.ljust(self._hash.byte_count, b"\0")
        else:
            self.handshake_hash = self._hash.new(protocol_name).digest()
        self._chaining_key = self.handshake_hash
        self._cipher: CipherState | None = None  # until a key is mixed, bytes pass as they are

    def copy(self) -> Self:
        """A second state that goes its own way from here."""
        twin = object.__new__(type(self))
        twin._hash = self._hash
        twin.handshake_hash = self.handshake_hash
        twin._chaining_key = self._chaining_key
        twin._cipher = None if self._cipher is None else self._cipher.copy()
        return twin

    def mix_key(self, input_key_material: bytes) -> None:
        """Mix a secret into the chaining key, and take a new key from it."""
        self._chaining_key, key = self._hash.hkdf(self._chaining_key, input_key_material)
        self._cipher = CipherState(key[:KEY_BYTES])

    def mix_hash(self, data: bytes) -> None:
        """Mix bytes that both sides know into the handshake hash."""
        self.handshake_hash = self._hash.new(self.handshake_hash + data).digest()

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Seal ``plaintext`` with the handshake hash as associated data, then mix in the result."""
        cipher = self._cipher
        ciphertext = plaintext if cipher is None else cipher.encrypt_with_ad(self.handshake_hash, plaintext)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """Open ``ciphertext``, then mix it in.

        Raises:
            AuthenticationError: it does not authenticate; the hash has not moved.
        """
        cipher = self._cipher
        plaintext = ciphertext if cipher is None else cipher.decrypt_with_ad(self.handshake_hash, ciphertext)
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """The two 32-byte transport keys: initiator to responder, responder to initiator."""
        first, second = self._hash.hkdf(self._chaining_key, b"")
        return first[:KEY_BYTES], second[:KEY_BYTES]

    def forget(self) -> None:
        """Drop the secrets; the handshake hash stays."""
        self._chaining_key = b""
        self._cipher = None
