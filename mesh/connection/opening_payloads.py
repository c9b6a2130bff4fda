"""What an OPEN asks and an ACCEPT or REJECT answers: the payloads of both forms of opening.

They are msgpack arrays, behind their length (u16, big-endian) and in front of zeros, so that all bodies have
one size: it does not tell how long a routing key is, nor why an exit rejects.
"""

import struct
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec

from mesh.connection.loops import TAG_BYTES
from mesh.connection.reserved import MAX_RESERVED_CHARACTERS
from mesh.errors import LocalProtocolError, RemoteProtocolError

MAX_ROUTING_KEY_CHARACTERS: Final = MAX_RESERVED_CHARACTERS
"""Of a key about as long as a host name may be (RFC 1035 section 2.3.4), and what may stand before it."""
MAX_CODE_CHARACTERS: Final = 32
MAX_REASON_CHARACTERS: Final = 1024
"""One log line, with the longest host name in it."""
REASON_BYTES: Final = 1024
"""Of a reason, in UTF-8; what is longer is cut."""
MAX_EARLY_BYTES: Final = 1024
"""What an OPEN or an ACCEPT carries of the stream."""

_LENGTH: Final = struct.Struct(">H")
_LONGER_HEADER_BYTES: Final = 1
"""In front of more than 255 bytes msgpack has one byte more than in front of none."""

Unsigned: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
"""A u64; msgpack has no larger integer."""


class OpenRequest(msgspec.Struct, frozen=True, array_like=True):
    """What the ingress asks for, inside the sealed part of an OPEN."""

    routing_key: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ROUTING_KEY_CHARACTERS)]
    credit: Unsigned
    """Bytes that the ingress will take before it says more."""
    tells_client: bool = False
    """Whether it begins its stream with a preface (``preface.py``) if the exit wants that."""
    renews_keys: bool = False
    """Whether it can be asked for new keys (``session_keys.py``)."""
    wants_pair: bool = False
    """Whether a pair session is to come of this handshake (``pair_session.py``); only in a full OPEN."""
    early: Annotated[bytes, msgspec.Meta(max_length=MAX_EARLY_BYTES)] = b""
    """What the client has said already; only in a short OPEN."""


class OpenReply(msgspec.Struct, frozen=True, array_like=True):
    """What the exit answers; ``code`` and ``reason`` say why it rejects."""

    accepted: bool
    credit: Unsigned = 0
    """Bytes that the exit will take before it says more."""
    code: Annotated[str, msgspec.Meta(max_length=MAX_CODE_CHARACTERS)] = ""
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARACTERS)] = ""
    socket_tag: Annotated[bytes, msgspec.Meta(max_length=TAG_BYTES)] = b""
    """Of the exit's socket towards the target; empty if that has no addresses."""
    wants_client: bool = False
    """Whether the ingress, which can, is to begin its stream with a preface."""
    renews_keys: bool = False
    """As in the request."""
    keeps_pair: bool = False
    """Whether the pair session that the ingress wanted is there."""
    took_early: bool = False
    """Whether what the client had said was handed to the target; in a REJECT it never was."""
    early: Annotated[bytes, msgspec.Meta(max_length=MAX_EARLY_BYTES)] = b""
    """What the target has said already; only in an ACCEPT that took what the client had said."""


class MalformedRequestError(RemoteProtocolError):
    """An authentic OPEN whose request cannot be read: it cannot be served, but it can be rejected."""


_REQUEST: Final = msgspec.msgpack.Decoder(OpenRequest)
_REPLY: Final = msgspec.msgpack.Decoder(OpenReply)

_Payload = TypeVar("_Payload", OpenRequest, OpenReply)


def encode_request(request: OpenRequest, byte_count: int) -> bytes:
    """The payload of an OPEN, ``byte_count`` bytes with its zeros.

    Raises:
        LocalProtocolError: a field is out of range, or all are longer than that.
    """
    return _encode(request, _REQUEST, byte_count)


def room_for_early(request: OpenRequest, byte_count: int) -> int:
    """How many bytes of the client's fit beside ``request``, which has none, into such a payload."""
    rest = byte_count - _LENGTH.size - len(msgspec.msgpack.encode(request)) - _LONGER_HEADER_BYTES
    return max(0, min(rest, MAX_EARLY_BYTES))


def decode_request(payload: bytes) -> OpenRequest:
    """What an OPEN asks.

    Raises:
        MalformedRequestError: it cannot be read.
    """
    try:
        return _decode(payload, _REQUEST)
    except RemoteProtocolError as error:
        raise MalformedRequestError(str(error)) from error


def encode_reply(reply: OpenReply, byte_count: int) -> bytes:
    """The payload of an ACCEPT or REJECT, ``byte_count`` bytes with its zeros.

    Raises:
        LocalProtocolError: a field is out of range, or all are longer than that.
    """
    return _encode(reply, _REPLY, byte_count)


def decode_reply(payload: bytes) -> OpenReply:
    """What an ACCEPT or REJECT answers.

    Raises:
        RemoteProtocolError: it cannot be read.
    """
    return _decode(payload, _REPLY)


def rejection(code: str, reason: str) -> OpenReply:
    """What a REJECT says; a reason that is too long is cut."""
    return OpenReply(accepted=False, code=code, reason=reason.encode()[:REASON_BYTES].decode(errors="ignore"))


def _encode(payload: _Payload, decoder: msgspec.msgpack.Decoder[_Payload], byte_count: int) -> bytes:
    data = msgspec.msgpack.encode(payload)
    try:
        decoder.decode(data)  # encoding judges nothing
    except msgspec.ValidationError as error:
        raise LocalProtocolError(f"{type(payload).__name__} out of range: {error}") from error
    padded = (_LENGTH.pack(len(data)) + data).ljust(byte_count, b"\0")
    if len(padded) > byte_count:
        raise LocalProtocolError(f"{type(payload).__name__} of {len(data)} bytes")
    return padded


def _decode(padded: bytes, decoder: msgspec.msgpack.Decoder[_Payload]) -> _Payload:
    end = int.from_bytes(padded[: _LENGTH.size], "big") + _LENGTH.size
    try:
        return decoder.decode(padded[_LENGTH.size : end])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"the session's handshake cannot be read: {error}") from error
