"""Frames: the unit on a link. A header that the link seals, then a body.

Header, 56 bytes, big-endian, on the wire as 72 (sealed, with a 16-byte tag)::

     0  version      u8     VERSION
     1  type         u8     FrameType; bit 7 set: sent by the exit's end of the connection
     2  hop limit    u8     links it may still cross
     3  flags        u8     bit 0: congestion mark; bit 1: astray; the others are 0
     4  source       16     agent ID
    20  destination  16     agent ID
    36  connection   u64    chosen by the ingress
    44  number       u64    segment or control number
    52  length       u32    bytes of the body as it stands on the wire

Each direction of a link has one key and one nonce, which counts up: one for every header and one for every
body that the link seals, whose 16 bytes of tag are part of its length. Counting ties them to their place, so
neither needs associated data. The link seals bodies of its own, and those that open a connection. Others are
sealed end to end (``mesh/connection/session.py``) and pass untouched. In a frame of the link's own every
header field but version, type and length is 0.

How long a body may be depends on the type, and is judged before there is room for it.
"""

import enum
import struct
from typing import Final, TypeAlias

from mesh.hops import DEFAULT_MAX_HOPS
from mesh.trust.identity import NO_AGENT, AgentId

BytesLike: TypeAlias = bytes | bytearray | memoryview

VERSION: Final = 1
TAG_BYTES: Final = 16
"""Poly1305's tag: RFC 8439 section 2.8."""
HEADER_BYTES: Final = 56
SEALED_HEADER_BYTES: Final = HEADER_BYTES + TAG_BYTES
MAX_SEGMENT_BYTES: Final = 65_536
"""Plaintext of one segment: large enough to make the cost of a frame small beside that of its bytes."""
MAX_BODY_BYTES: Final = MAX_SEGMENT_BYTES + TAG_BYTES
"""Body of a connection's frame, as it stands on the wire."""
MAX_CONTROL_BODY_BYTES: Final = 65_536 + TAG_BYTES
"""Body of a frame of the link's own, as it stands on the wire."""
OPENING_BODY_BYTES: Final = 1280
"""Body of each OPEN, ACCEPT and REJECT, before the link seals it: the longest routing key and reason fit, and
with the header the frame fits into one packet. Of one size, none tells what is in it."""
MAX_SKIPPED_BODY_BYTES: Final = 2048
"""Body of a connection's frame whose type this version does not know, before the link seals it."""

FROM_EXIT: Final = 0x80
"""Bit of the type's byte: sent by the exit's end of the connection."""
_ON_ITS_WAY: Final = b""


class FrameType(enum.IntEnum):
    """What a frame is; below 0x10 it is the link's own."""

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
    """Of those that agents of older builds may skip."""


FIRST_CONNECTION_TYPE: Final = 0x10
"""Types below are the link's own; from here on they belong to a connection."""
FIRST_END_TO_END_TYPE: Final = 0x13
"""From here on the link does not seal bodies, which are sealed end to end."""
FIRST_SKIPPED_TYPE: Final = 0x40
"""From here on types may be skipped by those who do not know them: first such of the link's own."""
FIRST_SKIPPED_CONNECTION_TYPE: Final = 0x60
"""And from here on such of connections, which transit passes on. The link seals the bodies of both."""

_NAMES: Final = {int(kind): kind.name for kind in FrameType}


def type_name(kind: int) -> str:
    """A frame's type, for people."""
    name = _NAMES.get(kind)
    return f"frame type {kind:#04x}" if name is None else name


class Frame:
    """A frame in the clear; ``body`` of a connection's frame is sealed end to end all the same.

    Nothing changes one but :meth:`after_a_hop`. Make those of the link's own with :func:`link_frame`.
    """

    # No Struct: compiled code reads what a class of its own has at once, and asks a Struct by name.
    __slots__ = (
        "astray",
        "body",
        "connection",
        "destination",
        "from_exit",
        "hop_limit",
        "marked",
        "number",
        "source",
        "type",
    )

    def __init__(  # noqa: PLR0917 -- as in the header
        self,
        type: int,  # noqa: A002
        from_exit: bool,
        source: AgentId,
        destination: AgentId,
        connection: int,
        number: int,
        body: bytes,
        hop_limit: int = DEFAULT_MAX_HOPS,
        marked: bool = False,
        astray: bytes = _ON_ITS_WAY,
    ) -> None:
        self.type = type
        self.from_exit = from_exit
        self.source = source
        self.destination = destination
        self.connection = connection
        self.number = number
        self.body = body
        self.hop_limit = hop_limit
        self.marked = marked
        self.astray = astray
        """Of a frame that has come by another way than its source's (``mesh/routing/straying.py``): whose
        turn it takes where it waits, by :func:`turn_of_strays`. Else empty, and it takes its source's."""

    def after_a_hop(self, max_hops: int, astray: bytes = _ON_ITS_WAY) -> "Frame":
        """This frame itself as a transit agent passes it on: a hop less to go, and at most ``max_hops``.

        Only for whoever has read it from a link, before anybody else has it.
        """
        hop_limit = self.hop_limit
        self.hop_limit = hop_limit - 1 if hop_limit < max_hops else max_hops - 1
        self.astray = astray
        return self

    def with_mark(self) -> "Frame":
        """This frame with the congestion mark."""
        return Frame(
            self.type,
            self.from_exit,
            self.source,
            self.destination,
            self.connection,
            self.number,
            self.body,
            self.hop_limit,
            True,
            self.astray,
        )

    def _fields(self) -> tuple[int, bool, AgentId, AgentId, int, int, bytes, int, bool, bytes]:
        return (
            self.type,
            self.from_exit,
            self.source,
            self.destination,
            self.connection,
            self.number,
            self.body,
            self.hop_limit,
            self.marked,
            self.astray,
        )

    def __eq__(self, other: object) -> bool:
        """Whether all fields are the same."""
        return isinstance(other, Frame) and self._fields() == other._fields()

    def __hash__(self) -> int:
        """As equality has it."""
        return hash(self._fields())

    def __repr__(self) -> str:
        """All fields, for tests that fail."""
        return f"Frame{self._fields()!r}"


def turn_of_strays(peer_id: AgentId) -> bytes:
    """Whose turn all frames take that a peer has brought astray: no agent's, its own neither."""
    return b"~" + peer_id


def link_frame(frame_type: int, body: bytes) -> Frame:
    """A frame of the link's own: it goes to the peer and no further."""
    return Frame(frame_type, False, NO_AGENT, NO_AGENT, 0, 0, body, 0)


nonce: Final = struct.Struct(">IQ").pack
"""The 12-byte AEAD nonce: class (u32) and number (u64). Links use class 0 and count, so that theirs is a
number of ``NONCE_BYTES``; sessions tell segments from control by the class."""

NONCE_BYTES: Final = 12

associated_data: Final = struct.Struct(">BB16s16sQQI").pack
"""What the end-to-end tag of a connection's body covers beside the body: 54 bytes.

Version, type (with the direction bit), source, destination, connection, number and the body's length on the
wire, laid out as in the header; never hop limit or flags, which transit changes.
"""
