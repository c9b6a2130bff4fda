"""How frames stand on a link: the header's layout, what each type may have, and the keys that seal them.

:mod:`mesh.link.frames` has the frames themselves, and draws the header.
"""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from mesh.link.frames import (
    FIRST_CONNECTION_TYPE,
    FIRST_END_TO_END_TYPE,
    FIRST_SKIPPED_CONNECTION_TYPE,
    FIRST_SKIPPED_TYPE,
    FROM_EXIT,
    HEADER_BYTES,
    MAX_BODY_BYTES,
    MAX_CONTROL_BODY_BYTES,
    MAX_SKIPPED_BODY_BYTES,
    NONCE_BYTES,
    OPENING_BODY_BYTES,
    SEALED_HEADER_BYTES,
    TAG_BYTES,
    VERSION,
    BytesLike,
    Frame,
    FrameType,
    type_name,
)
from mesh.trust.identity import AGENT_ID_BYTES, AgentId

_HEADER: Final = struct.Struct(">BBBB16s16sQQI")
_pack_header: Final = _HEADER.pack
_unpack_header: Final[Callable[[bytes], tuple[int, int, int, int, AgentId, AgentId, int, int, int]]] = (
    _HEADER.unpack
)
"""Has a type, by which compiled code takes it apart without asking each time what it is."""
_ZEROS_FROM: Final = 2
_ZEROS_TO: Final = 52
"""Hop limit to number: 0 in the header of a frame of the link's own."""
_JOINED_BYTES: Final = 4096
"""Copying a body up to this size costs less than one more buffer in a gathered send (Linux takes 1,024)."""
_MARK: Final = 0x01
_ASTRAY: Final = 0x02
_FLAGS: Final = _MARK | _ASTRAY
_ON_ITS_WAY: Final = b""
_SOMEBODYS: Final = b"?"

_BOUNDS: Final[Mapping[FrameType, tuple[int, int]]] = MappingProxyType(
    {
        FrameType.OPEN: (OPENING_BODY_BYTES + TAG_BYTES, OPENING_BODY_BYTES + TAG_BYTES),
        FrameType.ACCEPT: (OPENING_BODY_BYTES + TAG_BYTES, OPENING_BODY_BYTES + TAG_BYTES),
        FrameType.REJECT: (OPENING_BODY_BYTES + TAG_BYTES, OPENING_BODY_BYTES + TAG_BYTES),
        FrameType.DATA: (0, MAX_BODY_BYTES),
        FrameType.FIN: (13 + TAG_BYTES, MAX_BODY_BYTES),
        FrameType.ACK: (44 + TAG_BYTES, 44 + TAG_BYTES),
        FrameType.RESET: (10 + TAG_BYTES, 10 + TAG_BYTES),
        FrameType.PROBE: (44 + TAG_BYTES, 44 + TAG_BYTES),
        FrameType.UNKNOWN: (0, 0),
    }
)
"""Bytes of a connection's body as it stands on the wire, at the least and at the most."""

FIRST_REKEYING_TYPE: Final = int(FrameType.REKEY)
"""Types from here to the last of the link's own may change the key that opens what stands behind them."""

_Kind: TypeAlias = tuple[int, int, int, bool, bool]
"""Type, by name if it has one; bytes of the body on the wire, the least and the most; whether it is own;
whether the link seals its body."""


def _kinds() -> dict[int, _Kind]:
    own, skipped = (TAG_BYTES, MAX_CONTROL_BODY_BYTES), (TAG_BYTES, MAX_SKIPPED_BODY_BYTES + TAG_BYTES)
    kinds: dict[int, _Kind] = {
        int(kind): (
            kind,
            *_BOUNDS.get(kind, own),
            kind < FIRST_CONNECTION_TYPE,
            kind < FIRST_END_TO_END_TYPE,
        )
        for kind in FrameType
    }
    own_skipped = range(FIRST_SKIPPED_TYPE, FIRST_SKIPPED_CONNECTION_TYPE)
    kinds |= {kind: (kind, *own, True, True) for kind in own_skipped}
    kinds |= {kind: (kind, *skipped, False, True) for kind in range(FIRST_SKIPPED_CONNECTION_TYPE, FROM_EXIT)}
    kinds[FrameType.SESSION_KEYS] = (FrameType.SESSION_KEYS, *skipped, False, True)
    return kinds


_KINDS: Final = _kinds()
"""All types that a frame may have. No proxy around it, for each frame is looked up."""


class FrameWriter:
    """Seals the frames of one direction of a link."""

    def __init__(self, key: bytes) -> None:
        self._encrypt = ChaCha20Poly1305(key).encrypt
        self._sealed = 0

    def seal(self, frame: Frame) -> tuple[bytes, ...]:
        """The buffers to send, in order: the sealed header and the body, in one piece if it is small.

        Nonces count in the order of the calls: seal a frame as it leaves the queue, and send what was sealed.

        Raises:
            LocalProtocolError: the frame cannot be encoded; the writer is as it was.
        """
        kind, source, destination, body = frame.type, frame.source, frame.destination, frame.body
        known = _KINDS.get(kind)
        # "16s" pads and cuts in silence, so the lengths of the IDs are judged here.
        if known is None or not len(source) == len(destination) == AGENT_ID_BYTES:
            raise LocalProtocolError(f"frame type {kind} is unknown, or an agent ID has the wrong length")
        _, least, most, is_own, is_sealed = known
        held_bytes = len(body)
        body_bytes = held_bytes + TAG_BYTES if is_sealed else held_bytes
        if not least <= body_bytes <= most:
            raise LocalProtocolError(f"frame type {kind} with a body of {body_bytes} bytes")
        try:
            header = _pack_header(
                VERSION,
                kind | FROM_EXIT if frame.from_exit else kind,
                frame.hop_limit,
                frame.marked | _ASTRAY if frame.astray else frame.marked,
                source,
                destination,
                frame.connection,
                frame.number,
                body_bytes,
            )
        except struct.error as error:
            raise LocalProtocolError(f"frame type {kind} has a field out of range: {error}") from error
        if is_own and (frame.from_exit or any(header[_ZEROS_FROM:_ZEROS_TO])):
            raise LocalProtocolError(f"frame type {kind} is the link's own, yet is addressed to an agent")
        number, encrypt = self._sealed, self._encrypt
        if is_sealed:
            body = encrypt((number + 1).to_bytes(NONCE_BYTES, "big"), body, None)
            self._sealed = number + 2
        else:
            self._sealed = number + 1
        sealed = encrypt(number.to_bytes(NONCE_BYTES, "big"), header, None)
        return (sealed + body,) if held_bytes <= _JOINED_BYTES else (sealed, body)


_Rekeying: TypeAlias = Callable[[int, bytes], bytes]
"""Of a type and a body."""


def _same_key(_kind: int, _body: bytes) -> bytes:
    """For a reader whose link gets no new keys."""
    return b""


class FrameReader:
    """Opens the frames of one direction of a link, from any chunking of its bytes.

    It holds one unfinished header or body at most, and no more room than its judged length needs.

    Args:
        key: opens the first frame.
        rekeying: is given each REKEY and NEW_KEY as it is met, with its body, and returns the key that opens
            what stands behind it; nothing if that is the same.
    """

    def __init__(self, key: bytes, rekeying: _Rekeying = _same_key) -> None:
        self._rekeying = rekeying
        self._decrypt = ChaCha20Poly1305(key).decrypt
        self._opened = 0
        self._header: _Header | None = None  # opened and judged; its body is still arriving
        self._wanted = SEALED_HEADER_BYTES
        self._held = bytearray()
        self._usable = True

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of a frame that is not complete yet."""
        return len(self._held) + (HEADER_BYTES if self._header else 0)

    def feed(self, data: memoryview) -> list[Frame]:
        """The frames that ``data`` completes, in order; ``data`` may be reused afterwards.

        A body is copied out of ``data`` once; of one that straddles two calls the first part once more. What
        a small frame costs is calls, so there are few.

        Raises:
            AuthenticationError: a tag is wrong, or new keys do not authenticate.
            RemoteProtocolError: an authentic header breaks the protocol.
            LocalProtocolError: the reader failed before; its link ought to be gone.
        """
        if not self._usable:
            raise LocalProtocolError("this link's reader has failed before; nothing more can be read")
        self._usable = False  # unless all goes well
        decrypt, opened, header, wanted = self._decrypt, self._opened, self._header, self._wanted
        frames: list[Frame] = []
        position, end = 0, len(data)
        piece: BytesLike | None = None
        if self._held:
            position = wanted - len(self._held)
            if end >= position:
                piece, self._held = b"".join((self._held, data[:position])), bytearray()
            else:
                self._held += data
        try:
            while True:
                if piece is None:
                    after = position + wanted
                    if after > end:
                        break
                    piece, position = data[position:after], after
                if header is None:
                    plain = decrypt(opened.to_bytes(NONCE_BYTES, "big"), piece, None)
                    opened += 1
                    version, byte, hop_limit, flags, source, destination, connection, number, wanted = (
                        _unpack_header(plain)
                    )
                    kind, least, most, is_own, is_sealed = _BY_BYTE[byte]
                    if (
                        version != VERSION
                        or flags > _FLAGS
                        or not least <= wanted <= most
                        or (is_own and any(plain[_ZEROS_FROM:_ZEROS_TO]))
                    ):
                        raise RemoteProtocolError(_what_is_wrong(plain))
                    after = position + wanted
                    if after > end:  # its body is still arriving
                        header = byte, hop_limit, flags, source, destination, connection, number
                        break
                    piece, position = data[position:after], after
                else:
                    byte, hop_limit, flags, source, destination, connection, number = header
                    header, (kind, _, _, _, is_sealed) = None, _BY_BYTE[byte]
                if is_sealed:
                    body = decrypt(opened.to_bytes(NONCE_BYTES, "big"), piece, None)
                    opened += 1
                    if FIRST_REKEYING_TYPE <= kind < FIRST_CONNECTION_TYPE:
                        opened, decrypt = self._behind(kind, body, opened), self._decrypt
                else:
                    body = bytes(piece)
                piece, wanted = None, SEALED_HEADER_BYTES
                frames.append(
                    Frame(
                        kind,
                        byte >= FROM_EXIT,
                        source,
                        destination,
                        connection,
                        number,
                        body,
                        hop_limit,
                        flags & _MARK == _MARK,
                        _SOMEBODYS if flags & _ASTRAY else _ON_ITS_WAY,
                    )
                )
        except InvalidTag:
            raise AuthenticationError("a frame on this link does not authenticate") from None
        if position < end:
            self._held += data[position:]
        self._header, self._opened, self._wanted, self._usable = header, opened, wanted, True
        return frames

    def _behind(self, kind: int, body: bytes, opened: int) -> int:
        """Have the key that holds behind this REKEY or NEW_KEY; how often it has been used."""
        key = self._rekeying(kind, body)
        if not key:
            return opened
        self._decrypt = ChaCha20Poly1305(key).decrypt
        return 0


_Header: TypeAlias = tuple[int, int, int, AgentId, AgentId, int, int]
"""Type's byte, hop limit, flags, source, destination, connection, number."""

_NO_KIND: Final[_Kind] = (0, 1, 0, False, False)
"""No length is right for it."""


def _kind_of_byte(byte: int) -> _Kind:
    known = _KINDS.get(byte & ~FROM_EXIT, _NO_KIND)
    return _NO_KIND if byte & FROM_EXIT and known[3] else known  # what is the link's own has no direction


_BY_BYTE: Final = tuple(map(_kind_of_byte, range(256)))
"""All types by their byte, which has the direction in it, too."""


def _what_is_wrong(data: bytes) -> str:
    """What is wrong with a header, in words; only for one that is."""
    version, type_byte, _, flags, *_, length = _unpack_header(data)
    if version != VERSION:
        return f"frame of protocol version {version}; this agent speaks {VERSION}"
    known = _KINDS.get(type_byte & ~FROM_EXIT)
    if known is None:
        return f"frame of unknown type {type_byte & ~FROM_EXIT:#04x}"
    kind, least, most, _, _ = known
    if flags & ~_FLAGS:
        return f"frame with reserved flags set: {flags:#04x}"
    if not least <= length <= most:
        return f"{type_name(kind)} announces a body of {length} bytes"
    return f"{type_name(kind)} is the link's own, yet is addressed to an agent"
