"""What an ingress says of its client before the client's own bytes, if the exit has asked for it in ACCEPT.

    length     u16, big-endian     of the rest, at most ``MAX_PREFACE_BYTES``
    names      msgpack array       ``[client, listener]``: addresses as text, empty for what has none

It goes in the stream, in front of everything else: so it is sealed, arrives once, and costs nothing where
nobody wants it.
"""

import struct
from typing import Annotated, Final

import msgspec

from mesh.errors import RemoteProtocolError

MAX_NAME_CHARACTERS: Final = 64
"""An IPv6 address with its zone and port."""
MAX_PREFACE_BYTES: Final = 256

_LENGTH: Final = struct.Struct(">H")
_Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARACTERS)]


class Preface(msgspec.Struct, frozen=True, array_like=True):
    """Whose bytes follow."""

    client: _Name = ""
    """Address and port of the client, as the ingress saw it; empty if it has none."""
    listener: _Name = ""
    """Where the client has connected to."""


def encode_preface(client: str, listener: str) -> bytes:
    """The bytes in front of the client's; a name that is too long is left out."""
    names = [name if len(name) <= MAX_NAME_CHARACTERS else "" for name in (client, listener)]
    data = msgspec.msgpack.encode(Preface(*names))
    return _LENGTH.pack(len(data)) + data


class PrefaceReader:
    """Gathers a preface out of a stream's first bytes."""

    __slots__ = ("_held", "byte_count")

    def __init__(self) -> None:
        self._held = b""
        self.byte_count = 0
        """Of the preface, once it is whole."""

    def take(self, data: bytes) -> tuple[Preface, bytes] | None:
        """Take more of the stream: the preface and what follows it, as soon as it is whole.

        Raises:
            RemoteProtocolError: that is none.
        """
        self._held += data
        if len(self._held) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._held)
        if length > MAX_PREFACE_BYTES:
            raise RemoteProtocolError(f"a preface of {length} bytes; at most {MAX_PREFACE_BYTES} are allowed")
        end = _LENGTH.size + length
        if len(self._held) < end:
            return None
        try:
            preface = _DECODER.decode(self._held[_LENGTH.size : end])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteProtocolError(f"a preface that cannot be read: {error}") from error
        rest, self._held, self.byte_count = self._held[end:], b"", end
        return preface, rest


_DECODER: Final = msgspec.msgpack.Decoder(Preface)
