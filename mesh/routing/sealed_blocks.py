"""Blocks of a record that only some agents can read: those that may use what is in them.

    block     MessagePack array: salt (16 bytes), slots (20 bytes for each reader, in ascending order), box
    slot      mark (4), secret (16) XOR pad
    box       ChaCha20-Poly1305 of: length (u16), content, zeros

Each block has a secret of its own, and a slot gives it to one reader. Mark and pad are a keyed hash of the
salt, under what the session keys of the two agents share by Diffie-Hellman: so none but these two can tell
whose slot it is or what is in it, and there is nothing against which anybody else could try a guess. A reader
finds its slot by the mark, for one hash a block, and needs one Diffie-Hellman for each agent.

The secret is a hash of the content and of all readers under a key that only the block's agent has: the same
content for the same readers makes the same block, and anything else has another secret.
"""

from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.trust.identity import AgentId

MAX_BLOCKS: Final = 32
"""Of one agent: as many sets of readers, and more if some are large."""

MAX_READERS: Final = 1_024
"""Of one block; more readers take another one."""

MAX_CONTENT_BYTES: Final = 8_190
"""Of one block; more content takes another one."""

SALT_BYTES: Final = 16
SECRET_BYTES: Final = 16
"""128 bits, for each block by itself."""

MARK_BYTES: Final = 4
"""Readers that have the same one by chance try both slots."""

SLOT_BYTES: Final = MARK_BYTES + SECRET_BYTES

PADDED_BYTES: Final = 128
"""A box is a multiple of this long, and its tag: it does not tell how long a key is."""

_TAG_BYTES: Final = 16
_LENGTH_BYTES: Final = 2
_NONCE: Final = bytes(12)
"""Each key seals one box."""

MAX_BOX_BYTES: Final = MAX_CONTENT_BYTES + _LENGTH_BYTES + _TAG_BYTES

_Salt = Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
_Slots = Annotated[bytes, msgspec.Meta(max_length=MAX_READERS * SLOT_BYTES)]
_Box = Annotated[bytes, msgspec.Meta(max_length=MAX_BOX_BYTES)]


class SealedBlock(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """As it travels, in a record or a page."""

    salt: _Salt
    slots: _Slots
    box: _Box

    @property
    def readers(self) -> int:
        """How many agents can read it."""
        return len(self.slots) // SLOT_BYTES

    @property
    def byte_count(self) -> int:
        """About what it takes in a record or page."""
        return len(self.salt) + len(self.slots) + len(self.box) + 12


def seal(content: bytes, owner: AgentId, own_secret: bytes, shared: Iterable[bytes]) -> SealedBlock:
    """``content`` of the agent ``owner``, for some readers.

    Args:
        content: what they are to read.
        owner: whose record it is for.
        own_secret: 32 bytes that nobody but ``owner`` has.
        shared: what the session keys of ``owner`` and of each reader share, 32 bytes each.

    Raises:
        LocalProtocolError: it is too much, or there are too many.
    """
    readers = sorted(shared)
    if len(content) > MAX_CONTENT_BYTES or len(readers) > MAX_READERS:
        raise LocalProtocolError(f"a block of {len(content)} bytes for {len(readers)} readers")
    length = len(content).to_bytes(_LENGTH_BYTES, "big")
    padded = length + content
    padded += bytes(-len(padded) % PADDED_BYTES)
    secret = _hash(b"mesh seal secret", own_secret, b"".join((owner, padded, *readers)), SECRET_BYTES)
    salt = _salt_of(secret)
    slots = sorted(_slot(secret, salt, owner, each) for each in readers)
    box = ChaCha20Poly1305(_box_key(secret)).encrypt(_NONCE, padded, owner)
    return SealedBlock(salt, b"".join(slots), box)


def open_block(block: SealedBlock, owner: AgentId, shared: bytes) -> bytes | None:
    """What ``owner`` says in ``block``; ``None`` if it is not for the reader.

    Args:
        block: of the record or of a page of ``owner``.
        owner: whose it is.
        shared: what the session keys of ``owner`` and of the reader share.

    Raises:
        RemoteProtocolError: it is for the reader and cannot be read.
    """
    known, slots = _known(block.salt, owner, shared), block.slots
    mark, pad = known[:MARK_BYTES], known[MARK_BYTES:]
    places = range(0, len(slots) - SLOT_BYTES + 1, SLOT_BYTES)
    first = bisect_left(places, mark, key=lambda place: slots[place : place + MARK_BYTES])
    for place in places[first : first + 2]:
        secret = _xor(slots[place + MARK_BYTES : place + SLOT_BYTES], pad)
        if slots[place : place + MARK_BYTES] == mark and _salt_of(secret) == block.salt:
            break
    else:
        return None
    try:
        padded = ChaCha20Poly1305(_box_key(secret)).decrypt(_NONCE, block.box, owner)
    except InvalidTag:
        raise RemoteProtocolError("a sealed block whose box does not open") from None
    end = _LENGTH_BYTES + int.from_bytes(padded[:_LENGTH_BYTES], "big")
    if end > len(padded):
        raise RemoteProtocolError("a sealed block that is shorter than it says")
    return padded[_LENGTH_BYTES:end]


def _slot(secret: bytes, salt: bytes, owner: AgentId, shared: bytes) -> bytes:
    known = _known(salt, owner, shared)
    return known[:MARK_BYTES] + _xor(secret, known[MARK_BYTES:])


def _known(salt: bytes, owner: AgentId, shared: bytes) -> bytes:
    """Mark and pad of a reader's slot, as it and the owner know them."""
    return _hash(b"mesh seal slot", shared, salt + owner, SLOT_BYTES)


def _salt_of(secret: bytes) -> bytes:
    return _hash(b"mesh seal salt", secret, b"", SALT_BYTES)


def _box_key(secret: bytes) -> bytes:
    return _hash(b"mesh seal box", secret, b"", 32)


def _hash(purpose: bytes, key: bytes, data: bytes, byte_count: int) -> bytes:
    """BLAKE2b (RFC 7693), keyed, and personalised with what it is for."""
    return blake2b(data, digest_size=byte_count, key=key, person=purpose).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(SECRET_BYTES, "big")
