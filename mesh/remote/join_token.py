"""The token by which a new agent joins: one line that says whom to dial, whom to trust, and as whom to ask.

    token      ``meshjoin_`` and base64url, without padding, of:
    length     2 bytes, big-endian: of the content
    content    MessagePack array of the fields of :class:`JoinToken`
    checksum   4 bytes: BLAKE2b of the content

The length tells a token that was cut off when it was copied from one that is damaged. It is a secret: whoever
has it can join in the place of the one who was invited.
"""

import base64
import binascii
import hashlib
import struct
from typing import Annotated, Final

import msgspec

from mesh.trust.certificates import MAX_CERTIFICATE_BYTES
from mesh.trust.identity import PUBLIC_KEY_BYTES, SEED_BYTES

TOKEN_PREFIX: Final = "meshjoin_"  # noqa: S105 - what any token begins with

MAX_TOKEN_ADDRESSES: Final = 8
MAX_TOKEN_ADDRESS_CHARACTERS: Final = 262
"""A host name has at most 253 characters."""
MAX_TOKEN_AUTHORITIES: Final = 8
MAX_TOKEN_CHARACTERS: Final = 8192
"""Longer than any: eight of the longest addresses, and the longest certificate."""

CHECKSUM_BYTES: Final = 4
_LENGTH: Final = struct.Struct(">H")

_Address = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOKEN_ADDRESS_CHARACTERS)]
_Key = Annotated[bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]


class JoinToken(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is in a token; the repr shows no more than that it is one."""

    addresses: Annotated[tuple[_Address, ...], msgspec.Meta(min_length=1, max_length=MAX_TOKEN_ADDRESSES)]
    """Agents to dial."""
    authorities: Annotated[tuple[_Key, ...], msgspec.Meta(min_length=1, max_length=MAX_TOKEN_AUTHORITIES)]
    """Ed25519 public keys, for ``trust.authorities``."""
    seed: Annotated[bytes, msgspec.Meta(min_length=SEED_BYTES, max_length=SEED_BYTES)]
    """The private key of the invitation."""
    certificate: Annotated[bytes, msgspec.Meta(max_length=MAX_CERTIFICATE_BYTES)]
    """Of the invitation."""

    def __repr__(self) -> str:
        return "JoinToken()"


def token_to_text(token: JoinToken) -> str:
    """The token as it is copied."""
    content = msgspec.msgpack.encode(token)
    data = _LENGTH.pack(len(content)) + content + _checksum(content)
    return TOKEN_PREFIX + base64.urlsafe_b64encode(data).decode().rstrip("=")


def token_from_text(text: str) -> JoinToken:
    """The token in ``text``, in which spaces and line breaks do not count.

    Raises:
        ValueError: it is none, cut off or damaged; the text says which.
    """
    text = "".join(text.split())
    if not text.startswith(TOKEN_PREFIX):
        raise ValueError(f"expected a token, which begins with {TOKEN_PREFIX}; mesh invite prints one")
    if len(text) > MAX_TOKEN_CHARACTERS:
        raise ValueError(f"the token is damaged: it has more than {MAX_TOKEN_CHARACTERS:,} characters")
    encoded = text.removeprefix(TOKEN_PREFIX)
    whole = encoded[: len(encoded) - (len(encoded) % 4 == 1)]  # one alone says nothing
    try:
        data = binascii.a2b_base64(_standard(whole) + "=" * (-len(whole) % 4), strict_mode=True)
    except ValueError:  # binascii.Error, and text that is not ASCII
        raise ValueError("the token is damaged: copy it again, all of its one line") from None
    length = _LENGTH.unpack(data[: _LENGTH.size])[0] if len(data) >= _LENGTH.size else len(data)
    missing = _LENGTH.size + length + CHECKSUM_BYTES - len(data)
    if missing > 0:
        raise ValueError("the token is cut off: copy it again, all of its one line")
    content, checksum = data[_LENGTH.size : -CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if missing < 0 or whole != encoded or checksum != _checksum(content):
        raise ValueError("the token is damaged: copy it again, all of its one line")
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the token is of another version of mesh: {error}") from None


def _standard(encoded: str) -> str:
    """base64url as base64; what is in neither is left, to be refused."""
    return encoded.translate({ord("-"): "+", ord("_"): "/", ord("+"): "!", ord("/"): "!"})


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=CHECKSUM_BYTES).digest()


_DECODER: Final = msgspec.msgpack.Decoder(JoinToken)
