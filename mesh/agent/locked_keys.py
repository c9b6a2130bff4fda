"""Private keys under a passphrase: Argon2id makes a key of it, which seals the private key.

    operations   4 bytes, big-endian: of Argon2id
    memory       4 bytes, big-endian: KiB, of Argon2id
    salt         16 bytes
    sealed       72 bytes: 24 of nonce, and XSalsa20-Poly1305 of the 32 bytes of the private key

Source: RFC 9106 (Argon2id), libsodium's ``crypto_pwhash`` and ``crypto_secretbox``.
"""

import struct
from collections.abc import Callable
from typing import Final

import nacl.exceptions
from nacl.pwhash import argon2id
from nacl.secret import SecretBox

from mesh.trust.identity import SEED_BYTES

OPERATIONS: Final = argon2id.OPSLIMIT_MODERATE
MEMORY_BYTES: Final = argon2id.MEMLIMIT_MODERATE
"""Half a second and 256 MiB for each guess; the key is used a few times a year."""

MAX_OPERATIONS: Final = 32
MAX_MEMORY_BYTES: Final = 1024**3
"""What a file may ask for: it may not be ours."""

MIN_PASSPHRASE_CHARACTERS: Final = 8
MAX_PASSPHRASE_CHARACTERS: Final = 1024

_HEAD: Final = struct.Struct(f">II{argon2id.SALTBYTES}s")
LOCKED_BYTES: Final = _HEAD.size + SecretBox.NONCE_SIZE + SecretBox.MACBYTES + SEED_BYTES


class LockedKeyError(Exception):
    """It cannot be unlocked; the text completes a sentence that begins with the file."""


def lock(seed: bytes, passphrase: str, random_bytes: Callable[[int], bytes]) -> bytes:
    """What is kept of the private key.

    Args:
        seed: 32 bytes.
        passphrase: see :func:`unfit`.
        random_bytes: fit for keys.
    """
    salt = random_bytes(argon2id.SALTBYTES)
    head = _HEAD.pack(OPERATIONS, MEMORY_BYTES // 1024, salt)
    box = _box(passphrase, salt, OPERATIONS, MEMORY_BYTES)
    return head + bytes(box.encrypt(seed, random_bytes(SecretBox.NONCE_SIZE)))


def unlock(data: bytes, passphrase: str) -> bytes:
    """The private key that :func:`lock` has sealed.

    Raises:
        LockedKeyError: the passphrase is another one, or ``data`` is damaged.
    """
    if len(data) != LOCKED_BYTES:
        raise LockedKeyError(f"the key is damaged; expected {LOCKED_BYTES} bytes in base64")
    operations, memory_kib, salt = _HEAD.unpack_from(data)
    if not 1 <= operations <= MAX_OPERATIONS or memory_kib * 1024 > MAX_MEMORY_BYTES:
        raise LockedKeyError("the key is damaged: it asks for more work than any passphrase needs")
    try:
        return bytes(_box(passphrase, salt, operations, memory_kib * 1024).decrypt(data[_HEAD.size :]))
    except nacl.exceptions.CryptoError:
        raise LockedKeyError("the passphrase is wrong, or the key is damaged") from None


def unfit(passphrase: str) -> str:
    """Why a new key is not locked with ``passphrase``; empty if it may be."""
    if MIN_PASSPHRASE_CHARACTERS <= len(passphrase) <= MAX_PASSPHRASE_CHARACTERS:
        return ""
    return f"a passphrase has {MIN_PASSPHRASE_CHARACTERS} to {MAX_PASSPHRASE_CHARACTERS:,} characters"


def _box(passphrase: str, salt: bytes, operations: int, memory_bytes: int) -> SecretBox:
    password = passphrase.encode("utf-8", "surrogateescape")
    try:
        return SecretBox(argon2id.kdf(SecretBox.KEY_SIZE, password, salt, operations, memory_bytes))
    except (ValueError, nacl.exceptions.CryptoError, MemoryError):
        raise LockedKeyError(
            f"no {memory_bytes // 1024**2} MiB of memory for its passphrase, or the key is damaged"
        ) from None
