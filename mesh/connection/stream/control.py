"""Payloads of a connection's control frames and of FIN, before they are sealed; big-endian.

ACK and PROBE have the same layout, 44 bytes. PROBE asks for an ACK at once::

     0  next number      u64  every segment below has arrived
     8  credit           u64  bytes of the stream, counted from its start, that the receiver takes
    16  missing until    u64  segments from the next number up to here are missing; 0 where no gap is reported
    24  marked           u64  segments that have arrived with a congestion mark so far
    32  echo             u32  number of the newest PROBE that arrived, plus 1, modulo 2**32; 0 where none has
    36  silence          u32  milliseconds since the newest ACK or PROBE arrived, at most 2**32 - 1
    40  delay            u32  microseconds since the newest segment arrived, at most 2**32 - 1

RESET, 10 bytes::

     0  code             u8   ResetCode
     1  flags            u8   bit 0: answers a RESET; the others are 0
     2  final number     u64  segments its sender has sent altogether

FIN, 13 bytes and the last ones of the stream. It says what an ACK would have said when it was sent first, for
whoever finishes second owes one::

     0  next number      u64  as in an ACK
     8  delay            u32  as in an ACK
    12  flags            u8   bit 0: its sender waits for no acknowledgement; the others are 0
    13  bytes                 of the stream, if any are left
"""

import enum
import struct
from typing import Final, NamedTuple

from mesh.errors import RemoteProtocolError
from mesh.link.frames import BytesLike

_ACKNOWLEDGEMENT: Final = struct.Struct(">QQQQIII")
_RESET: Final = struct.Struct(">BBQ")
_FIN: Final = struct.Struct(">QIB")

FIN_BYTES: Final = _FIN.size
"""What a FIN says before the last bytes of the stream."""

_ANSWER: Final = 0x01
_LAST: Final = 0x01
_MAX_U32: Final = 2**32 - 1


class ResetCode(enum.IntEnum):
    """Why a connection was broken off."""

    RESET = 1
    """The local socket was reset."""
    CANCELLED = 2
    """The connection is not wanted any more, or another exit was chosen."""
    TIMED_OUT = 3
    """The other end has not answered for too long."""
    GONE = 4
    """The other end's agent does not know the connection."""
    PROTOCOL_ERROR = 5
    """The other end broke the protocol."""
    NO_PROGRESS = 6
    """The other end answers, but what is sent to it does not arrive."""
    CLOSED_BY_OPERATOR = 7
    """Somebody who runs the other end's agent has closed it."""
    FORBIDDEN = 8
    """It is not allowed any more: a certificate or the configuration of the other end's agent has changed."""
    NO_NEW_KEYS = 9
    """The other end does not agree on new keys."""


class Acknowledgement(NamedTuple):
    """Payload of an ACK or PROBE."""

    next_number: int
    credit: int
    missing_until: int
    marked: int
    echo: int
    silence_s: float
    delay_s: float


class Fin(NamedTuple):
    """What a FIN says beside the last bytes of the stream."""

    next_number: int
    delay_s: float
    is_last: bool = False
    """Its sender waits for no acknowledgement: it says this again if the other end repeats its own FIN."""


class Reset(NamedTuple):
    """Payload of a RESET."""

    code: ResetCode
    is_answer: bool
    final_number: int


def encode_acknowledgement(
    *,
    next_number: int,
    credit: int,
    missing_until: int,
    marked: int,
    echo: int,
    silence_s: float,
    delay_s: float,
) -> bytes:
    """The payload of an ACK or PROBE: the fields of :class:`Acknowledgement`."""
    silence_ms = min(max(0.0, silence_s * 1e3), _MAX_U32)
    return _ACKNOWLEDGEMENT.pack(
        next_number, credit, missing_until, marked, echo & _MAX_U32, int(silence_ms), _delay_us(delay_s)
    )


def decode_acknowledgement(payload: bytes) -> Acknowledgement:
    """Read the payload of an ACK or PROBE.

    Raises:
        RemoteProtocolError: it has another length.
    """
    try:
        next_number, credit, missing_until, marked, echo, silence_ms, delay_us = _ACKNOWLEDGEMENT.unpack(
            payload
        )
    except struct.error:
        raise RemoteProtocolError(f"an ACK or PROBE with a payload of {len(payload)} bytes") from None
    return Acknowledgement(next_number, credit, missing_until, marked, echo, silence_ms / 1e3, delay_us / 1e6)


def encode_fin(fin: Fin, last: BytesLike = b"") -> bytes:
    """The payload of a FIN that carries the stream's ``last`` bytes."""
    return _FIN.pack(fin.next_number, _delay_us(fin.delay_s), _LAST if fin.is_last else 0) + last


def decode_fin(payload: bytes) -> tuple[Fin, bytes]:
    """Read the payload of a FIN: what it says, and the stream's last bytes.

    Raises:
        RemoteProtocolError: it is too short, or reserved flags are set.
    """
    if len(payload) < FIN_BYTES:
        raise RemoteProtocolError(f"a FIN with a payload of {len(payload)} bytes")
    next_number, delay_us, flags = _FIN.unpack_from(payload)
    if flags & ~_LAST:
        raise RemoteProtocolError(f"a FIN with reserved flags set: {flags:#04x}")
    return Fin(next_number, delay_us / 1e6, flags == _LAST), payload[FIN_BYTES:]


def _delay_us(delay_s: float) -> int:
    return min(max(0, int(delay_s * 1e6)), _MAX_U32)


def encode_reset(reset: Reset) -> bytes:
    """The payload of a RESET."""
    return _RESET.pack(reset.code, _ANSWER if reset.is_answer else 0, reset.final_number)


def decode_reset(payload: bytes) -> Reset:
    """Read the payload of a RESET; a code from a later version counts as ``ResetCode.RESET``.

    Raises:
        RemoteProtocolError: it has another length, or reserved flags are set.
    """
    try:
        code, flags, final_number = _RESET.unpack(payload)
    except struct.error:
        raise RemoteProtocolError(f"a RESET with a payload of {len(payload)} bytes") from None
    if flags & ~_ANSWER:
        raise RemoteProtocolError(f"a RESET with reserved flags set: {flags:#04x}")
    known = ResetCode(code) if code in ResetCode.__members__.values() else ResetCode.RESET
    return Reset(known, flags == _ANSWER, final_number)
