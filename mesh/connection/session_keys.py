"""What the ends of a connection say to each other to agree on new keys, before it is sealed; big-endian.

SESSION_KEYS, 61 bytes, of one size whatever it says::

     0  step             u8   Step
     1  generation       u32  of the keys that it speaks of; those of the opening are generation 0
     5  first segment    u64  SWITCHED: the first that its sender seals with them; else 0
    13  message          48   ASK, ANSWER: Noise KK message 1 or 2 without a payload; else zeros

The prologue of Noise is ``b"mesh session keys"``, protocol version (u8), ingress ID, exit ID, connection
(u64), generation (u32) and the SHA-256 of the present keys, that of the ingress's direction first. So an
exchange belongs to one connection and to the keys that it replaces, whoever asks. The instances are not in
it: the static keys are an instance's own.

Source: Noise revision 34, section 7.5.
"""

import enum
import struct
from typing import Final, NamedTuple

from mesh.errors import RemoteProtocolError
from mesh.link.frames import VERSION
from mesh.trust.identity import AgentId
from mesh.trust.noise.primitives import KEY_BYTES, TAG_BYTES

MESSAGE_BYTES: Final = KEY_BYTES + TAG_BYTES
"""Of each of the two messages of Noise KK: an ephemeral key, and the tag of an empty payload."""

MAX_GENERATION: Final = 2**32 - 1

_PAYLOAD: Final = struct.Struct(f">BIQ{MESSAGE_BYTES}s")
_PROLOGUE: Final = struct.Struct(">17sB16s16sQI32s")


class Step(enum.IntEnum):
    """What is said."""

    ASK = 1
    """Noise message 1: let us have new keys."""
    ANSWER = 2
    """Noise message 2: here they are."""
    SWITCHED = 3
    """Sealed with the new keys: so is all that follows, from this segment on."""


class KeysMessage(NamedTuple):
    """Payload of a SESSION_KEYS."""

    step: Step
    generation: int
    first_segment: int = 0
    message: bytes = bytes(MESSAGE_BYTES)


def encode_keys_message(said: KeysMessage) -> bytes:
    """The payload of a SESSION_KEYS."""
    return _PAYLOAD.pack(*said)


def decode_keys_message(payload: bytes) -> KeysMessage:
    """Read the payload of a SESSION_KEYS.

    Raises:
        RemoteProtocolError: it has another length, or says nothing that is known.
    """
    try:
        step, generation, first_segment, message = _PAYLOAD.unpack(payload)
        return KeysMessage(Step(step), generation, first_segment, message)
    except (struct.error, ValueError):
        raise RemoteProtocolError(f"a SESSION_KEYS of {len(payload)} bytes that says nothing known") from None


def prologue(ingress: AgentId, exit_: AgentId, connection: int, generation: int, digest: bytes) -> bytes:
    """What both ends must agree on; ``digest`` is that of the present keys, 32 bytes."""
    return _PROLOGUE.pack(b"mesh session keys", VERSION, ingress, exit_, connection, generation, digest)
