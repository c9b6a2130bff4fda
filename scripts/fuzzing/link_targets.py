"""Targets of a link: its handshake, its frames and their bodies."""

import contextlib
import struct
from typing import Final

from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.escaping import escaped
from mesh.link import bodies
from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import (
    FIRST_CONNECTION_TYPE,
    FIRST_END_TO_END_TYPE,
    FIRST_SKIPPED_CONNECTION_TYPE,
    FIRST_SKIPPED_TYPE,
    FROM_EXIT,
    HEADER_BYTES,
    MAX_BODY_BYTES,
    SEALED_HEADER_BYTES,
    TAG_BYTES,
    VERSION,
    nonce,
)
from mesh.link.handshake import MAX_MESSAGE_BYTES, LinkHandshake
from mesh.link.opening import with_length
from mesh.trust.identity import Instance
from mesh.trust.noise.primitives import key_pair
from scripts.fuzzing.choices import Choices
from scripts.fuzzing.people import ME, MY_CERTIFICATE, STRICT, UNIX_NOW, YOU, YOUR_CERTIFICATE

_KEY: Final = bytes(32)
_MOST_PIECES: Final = 256
"""In which bytes arrive: a few frames come byte by byte, many do not."""
_PAIRS: Final = {number: key_pair(bytes([number]) * 32) for number in (1, 2, 3, 4)}


def handshake(data: bytes) -> None:
    """One side of a link's opening, honest up to some message, and the fuzzer's bytes from there on."""
    choices = Choices(data)
    initiator = choices.yes()
    mine, other = _side(initiator, is_me=True), _side(not initiator, is_me=False)
    honest, step = choices.below(3), 1 + choices.below(256)
    try:
        said, answer = mine.start(), other.start()
        for _ in range(honest):
            if said:
                answer += other.receive(said, UNIX_NOW).to_send
            said = mine.receive(answer, UNIX_NOW).to_send if answer else b""
            answer = b""
        rest = choices.rest()
        for start in range(0, len(rest), step):
            mine.receive(rest[start : start + step], UNIX_NOW)
            assert mine.buffered_bytes <= MAX_MESSAGE_BYTES + 2  # noqa: S101
    except (RemoteProtocolError, LocalProtocolError):
        pass


def proof(data: bytes) -> None:
    """What an authentic handshake brings as the proof of an identity."""
    other, mine = _side(initiator=True, is_me=False), _side(initiator=False, is_me=True)
    other._buffer += mine.receive(other.start(), UNIX_NOW).to_send
    other._read_answer()
    answer = other._next_message()
    assert answer is not None  # noqa: S101
    other._noise.read_message(answer)
    message = other._noise.write_message(data[: MAX_MESSAGE_BYTES - 200])
    with contextlib.suppress(RemoteProtocolError):
        mine.receive(with_length(message), UNIX_NOW)


def _side(initiator: bool, *, is_me: bool) -> LinkHandshake:
    first = 1 if is_me else 3
    return LinkHandshake(
        initiator=initiator,
        identity=ME if is_me else YOU,
        certificate=MY_CERTIFICATE if is_me else YOUR_CERTIFICATE,
        instance=Instance(bytes([first]) * 16),
        static=_PAIRS[first],
        ephemeral=_PAIRS[first + 1],
        trust=STRICT,
        expected=None,
    )


def frames(data: bytes) -> None:
    """Headers and bodies of the fuzzer's, sealed as they should be, in pieces of any size."""
    choices = Choices(data)
    writer, reader = FrameWriter(_KEY), FrameReader(_KEY)
    wanted_step = 1 + choices.below(1000)
    sealed = bytearray()
    count = 0
    while choices.left and len(sealed) < 200_000:
        header = bytearray(choices.take(HEADER_BYTES).ljust(HEADER_BYTES, b"\0"))
        shape = choices.below(8)
        kind = header[1] & ~FROM_EXIT
        own = kind < FIRST_CONNECTION_TYPE or FIRST_SKIPPED_TYPE <= kind < FIRST_SKIPPED_CONNECTION_TYPE
        if shape:
            header[0] = VERSION
            header[3] &= 1
            if shape > 1:
                if own:
                    header[1] &= 0x7F
                    header[2:52] = bytes(50)
                byte_count = choices.one_of((0, 1, 10, 12, 44, 100, 1296)) + TAG_BYTES
                header[52:56] = struct.pack(">I", byte_count)
        wanted = int.from_bytes(header[52:56], "big")
        sealed += writer._encrypt(nonce(0, count), bytes(header), None)
        count += 1
        body = choices.blob(300)[: max(0, wanted - TAG_BYTES)].ljust(
            min(max(0, wanted - TAG_BYTES), 1400), b"\0"
        )
        if not FIRST_END_TO_END_TYPE <= kind < FIRST_SKIPPED_TYPE:
            sealed += writer._encrypt(nonce(0, count), body, None)
            count += 1
        else:
            sealed += body + bytes(TAG_BYTES)
    step = max(wanted_step, -(-len(sealed) // _MOST_PIECES))
    try:
        for start in range(0, len(sealed), step):
            for frame in reader.feed(memoryview(sealed)[start : start + step]):
                frame.after_a_hop(16)
            assert reader.buffered_bytes <= MAX_BODY_BYTES + SEALED_HEADER_BYTES  # noqa: S101
    except RemoteProtocolError:
        pass


_BODIES: Final = (
    bodies.decode_ping,
    bodies.decode_pong,
    bodies.decode_records,
    bodies.decode_digest,
    bodies.decode_close,
    bodies.decode_challenge,
    bodies.decode_want_pages,
    bodies.decode_pages,
    bodies.decode_retire,
    bodies.decode_revocations,
    bodies.decode_want_revocations,
    bodies.decode_rekey,
)


def link_bodies(data: bytes) -> None:
    """Bodies of a link's own frames, and what is done with them at once."""
    if not data:
        return
    try:
        found = _BODIES[data[0] % len(_BODIES)](data[1:])
    except RemoteProtocolError:
        return
    if isinstance(found, str):
        assert escaped(found).isprintable()  # noqa: S101
