"""Frames and how a link seals them, as section 4 of docs/PROTOCOL.md has it."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.second.wire import NOBODY, ProtocolError

VERSION: Final = 1
HEADER: Final = struct.Struct(">BBBB16s16sQQI")
TAG_BYTES: Final = 16
SEALED_HEADER_BYTES: Final = HEADER.size + TAG_BYTES
MAX_CONTROL_BODY_BYTES: Final = 65_552
MAX_SEGMENT_BYTES: Final = 65_536
OPENING_BODY_BYTES: Final = 1_280
MAX_SKIPPED_BODY_BYTES: Final = 2_048
SKIPPED: Final = range(0x40, 0x80)
"""Types that a later version may send; the first half are links' own."""
FROM_EXIT: Final = 0x80


class Type(IntEnum):
    PING = 0x01
    PONG = 0x02
    RECORDS = 0x03
    DIGEST = 0x04
    CLOSE = 0x05
    CHALLENGE = 0x06
    CHALLENGE_ANSWER = 0x07
    WANT_PAGES = 0x08
    PAGES = 0x09
    RETIRE = 0x0A
    REVOCATIONS = 0x0B
    WANT_REVOCATIONS = 0x0C
    REKEY = 0x0D
    NEW_KEY = 0x0E
    OPEN = 0x10
    ACCEPT = 0x11
    REJECT = 0x12
    DATA = 0x13
    FIN = 0x14
    ACK = 0x15
    RESET = 0x16
    PROBE = 0x17
    UNKNOWN = 0x18
    SESSION_KEYS = 0x70


OWN: Final = {each for each in Type if each < Type.OPEN}
OPENINGS: Final = {Type.OPEN, Type.ACCEPT, Type.REJECT}
BODY_BYTES: Final[dict[int, range]] = {
    **dict.fromkeys(OPENINGS, range(OPENING_BODY_BYTES, OPENING_BODY_BYTES + 1)),
    Type.DATA: range(MAX_SEGMENT_BYTES + TAG_BYTES + 1),
    Type.FIN: range(29, MAX_SEGMENT_BYTES + TAG_BYTES + 1),
    Type.ACK: range(60, 61),
    Type.RESET: range(26, 27),
    Type.PROBE: range(60, 61),
    Type.UNKNOWN: range(1),
}
"""What the bodies of connections' frames may have, before the link seals them."""


@dataclass(frozen=True)
class Frame:
    """A frame with its body as it is before the link seals it."""

    type: int
    body: bytes = b""
    source: bytes = NOBODY
    destination: bytes = NOBODY
    connection: int = 0
    number: int = 0
    from_exit: bool = False
    hop_limit: int = 0
    flags: int = 0

    @property
    def is_links_own(self) -> bool:
        return self.type < 0x10 or 0x40 <= self.type <= 0x5F

    @property
    def is_sealed_by_link(self) -> bool:
        return self.is_links_own or self.type in OPENINGS or self.type >= 0x60

    def associated_data(self, body_bytes: int) -> bytes:
        """54 bytes: the header without what transit changes."""
        header = HEADER.pack(*self._fields(body_bytes))
        return header[:2] + header[4:]

    def header(self) -> bytes:
        return HEADER.pack(*self._fields(len(self.body) + TAG_BYTES * self.is_sealed_by_link))

    def _fields(self, length: int) -> tuple[int | bytes, ...]:
        kind = self.type | FROM_EXIT * self.from_exit
        ends = (self.source, self.destination, self.connection, self.number)
        return (VERSION, kind, self.hop_limit, self.flags, *ends, length)


class Cipher:
    """One direction of a link: a key, and a counter that is the nonce."""

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._counter = 0

    def _nonce(self) -> bytes:
        nonce = struct.pack(">IQ", 0, self._counter)
        self._counter += 1
        return nonce

    def seal(self, octets: bytes) -> bytes:
        return self._aead.encrypt(self._nonce(), octets, None)

    def unseal(self, octets: bytes) -> bytes:
        try:
            return self._aead.decrypt(self._nonce(), octets, None)
        except InvalidTag:
            raise ProtocolError("a frame that does not authenticate") from None


def seal_frame(cipher: Cipher, frame: Frame) -> bytes:
    header = cipher.seal(frame.header())
    return header + (cipher.seal(frame.body) if frame.is_sealed_by_link else frame.body)


def read_header(octets: bytes) -> tuple[Frame, int]:
    """A frame that has no body yet, and how long the body is on the wire; judged."""
    version, kind, hop_limit, flags, source, destination, connection, number, length = HEADER.unpack(octets)
    frame = Frame(
        kind & ~FROM_EXIT, b"", source, destination, connection, number, kind >= FROM_EXIT, hop_limit, flags
    )
    if version != VERSION or flags & ~3:
        raise ProtocolError("a header of another version")
    if frame.is_links_own:
        is_blank = octets[2:52] == bytes(50) and not frame.from_exit
        is_right = (
            (frame.type in OWN or frame.type in SKIPPED)
            and is_blank
            and TAG_BYTES <= length <= MAX_CONTROL_BODY_BYTES
        )
    elif frame.type >= 0x60:
        is_right = TAG_BYTES <= length <= MAX_SKIPPED_BODY_BYTES + TAG_BYTES
    else:
        known = BODY_BYTES.get(frame.type, range(0))
        is_right = length - TAG_BYTES * frame.is_sealed_by_link in known
    if not is_right:
        raise ProtocolError(f"a header of type {kind:#x} with {length} bytes of body")
    return frame, length
