"""The symmetric half of a Noise handshake: a key that mixes in secrets and a hash that mixes in everything.

Source: Noise revision 34, sections 4.3, 5.1 and 5.2, 12.3 to 12.8. Method names are the specification's.
"""

import functools
import hashlib
import hmac
import struct
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.errors import AuthenticationError
from mesh.trust.noise.primitives import KEY_BYTES

HashName: TypeAlias = Literal["SHA256", "SHA512", "BLAKE2s", "BLAKE2b"]

_nonce: Final = struct.Struct("<4xQ").pack
"""The 12-byte nonce of a count: 32 zero bits and the little-endian count: section 12.3.

The specification reserves the last count; a key of a handshake seals two messages at most.
"""

_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
"""Bytes exclusive-or'ed with RFC 2104's ``ipad`` and ``opad``, for ``translate``."""


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
    inner_rest: bytes
    """What the zeros become that fill a key up to a block, in HMAC's inner hash."""
    outer_rest: bytes
    """The same in its outer hash."""

    def hkdf(self, salt: bytes, input_key_material: bytes) -> tuple[bytes, bytes]:
        """RFC 5869 with no info and two outputs; ``salt`` is as long as a hash, as chaining keys are.

        HMAC (RFC 2104) is written out: half of what three calls of :func:`hmac.digest` take.
        """
        _, new, _, inner_rest, outer_rest = self
        inner = new(salt.translate(_INNER_PAD) + inner_rest + input_key_material).digest()
        key = new(salt.translate(_OUTER_PAD) + outer_rest + inner).digest()
        inner_block, outer_block = (
            key.translate(_INNER_PAD) + inner_rest,
            key.translate(_OUTER_PAD) + outer_rest,
        )
        first = new(outer_block + new(inner_block + b"\x01").digest()).digest()
        second = new(outer_block + new(inner_block + first + b"\x02").digest()).digest()
        return first, second


_HASH_FUNCTIONS: Final[tuple[tuple[HashName, Callable[[bytes], Digest], int], ...]] = (
    ("SHA256", hashlib.sha256, 32),
    ("SHA512", hashlib.sha512, 64),
    ("BLAKE2s", hashlib.blake2s, 32),
    ("BLAKE2b", hashlib.blake2b, 64),
)
"""Each with the bytes of a hash; a block is twice as long."""

HASHES: Final = MappingProxyType(
    {
        name: Hash(name, new, byte_count, bytes((0x36,)) * byte_count, bytes((0x5C,)) * byte_count)
        for name, new, byte_count in _HASH_FUNCTIONS
    }
)


class SymmetricState:
    """Chaining key, handshake hash and current cipher: a ChaCha20-Poly1305 key and its count."""

    __slots__ = ("_chaining_key", "_count", "_hash", "_key", "handshake_hash")

    handshake_hash: bytes
    """What has been sent and received so far, in one value; not secret."""

    def __init__(self, protocol_name: bytes, hash_name: HashName) -> None:
        self._hash = HASHES[hash_name]
        self._chaining_key = self.handshake_hash = _first_hash(protocol_name, hash_name)
        self._key = b""  # until one is mixed, bytes pass as they are
        self._count = 0

    def copy(self) -> "SymmetricState":
        """A second state that goes its own way from here; only one of the two may ever seal the next."""
        twin = SymmetricState(b"", self._hash.name)
        twin.handshake_hash = self.handshake_hash
        twin._chaining_key = self._chaining_key
        twin._key = self._key
        twin._count = self._count
        return twin

    def mix_key(self, input_key_material: bytes) -> None:
        """Mix a secret into the chaining key, and take a new key from it."""
        self._chaining_key, key = self._hash.hkdf(self._chaining_key, input_key_material)
        self._key = key[:KEY_BYTES]
        self._count = 0

    def mix_hash(self, data: bytes) -> None:
        """Mix bytes that both sides know into the handshake hash."""
        self.handshake_hash = self._hash.new(self.handshake_hash + data).digest()

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Seal ``plaintext`` with the handshake hash as associated data, then mix in the result.

        Without a key it passes as it is; else it becomes 16 bytes longer.
        """
        ciphertext = plaintext
        if self._key:
            sealer = ChaCha20Poly1305(self._key)
            ciphertext = sealer.encrypt(_nonce(self._count), plaintext, self.handshake_hash)
            self._count += 1
        self.handshake_hash = self._hash.new(self.handshake_hash + ciphertext).digest()
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """Open ``ciphertext``, then mix it in.

        Raises:
            AuthenticationError: it does not authenticate; neither hash nor count have moved.
        """
        plaintext = ciphertext
        if self._key:
            opener = ChaCha20Poly1305(self._key)
            try:
                plaintext = opener.decrypt(_nonce(self._count), ciphertext, self.handshake_hash)
            except InvalidTag:
                raise AuthenticationError("the handshake message does not authenticate") from None
            self._count += 1
        self.handshake_hash = self._hash.new(self.handshake_hash + ciphertext).digest()
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """The two 32-byte transport keys: initiator to responder, responder to initiator."""
        first, second = self._hash.hkdf(self._chaining_key, b"")
        return first[:KEY_BYTES], second[:KEY_BYTES]

    def export(self, label: bytes) -> bytes:
        """One more secret, of a hash's length, for the purpose that ``label`` names.

        HMAC with the chaining key, of the label and the handshake hash. The keys of :meth:`split` come of the
        HMAC of nothing, so neither tells anything of the other; and the hash binds the secret to the
        prologue, which the chaining key does not contain.
        """
        return hmac.digest(self._chaining_key, label + self.handshake_hash, self._hash.name.lower())

    def forget(self) -> None:
        """Drop the secrets; the handshake hash stays."""
        self._chaining_key = bytes(self._hash.byte_count)
        self._key = b""


@functools.cache  # there are as many as protocols that this program speaks
def _first_hash(protocol_name: bytes, hash_name: HashName) -> bytes:
    hash_ = HASHES[hash_name]
    if len(protocol_name) <= hash_.byte_count:
        return protocol_name.ljust(hash_.byte_count, b"\0")
    return hash_.new(protocol_name).digest()
