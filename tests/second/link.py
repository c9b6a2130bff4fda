"""A link, as sections 3 and 4 of docs/PROTOCOL.md have it: Noise XX, then sealed frames."""

import asyncio
import contextlib
import hashlib
import os
import struct
import time
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from noise.backends.default.keypairs import KeyPair25519
from noise.connection import Keypair, NoiseConnection

from tests.second.wire import (
    NOBODY,
    Grants,
    Identity,
    ProtocolError,
    admitted,
    agent_id,
    certificate_body,
    decode,
    encode,
    verify,
)

PREAMBLE: Final = b"MESH\x01\x01"
VERSION: Final = 1
MAC_BYTES: Final = 16
TICKET_BYTES: Final = 16
MIN_FIRST_MESSAGE_BYTES: Final = 48
MAX_FIRST_MESSAGE_BYTES: Final = 112
MAX_MESSAGE_BYTES: Final = 4_096

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
    OPEN = 0x10
    ACCEPT = 0x11
    REJECT = 0x12
    DATA = 0x13
    FIN = 0x14
    ACK = 0x15
    RESET = 0x16
    PROBE = 0x17
    UNKNOWN = 0x18


OWN: Final = {each for each in Type if each < Type.OPEN}
OPENINGS: Final = {Type.OPEN, Type.ACCEPT, Type.REJECT}
BODY_BYTES: Final[dict[int, range]] = {
    **dict.fromkeys(OPENINGS, range(OPENING_BODY_BYTES, OPENING_BODY_BYTES + 1)),
    Type.DATA: range(MAX_SEGMENT_BYTES + TAG_BYTES + 1),
    Type.FIN: range(28, 29),
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


# -- the handshake -------------------------------------------------------------------------------------------


class Proof(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    statement: bytes
    signature: bytes


class ProofStatement(msgspec.Struct, array_like=True, frozen=True):
    certificate: bytes
    instance: bytes
    version: int
    features: tuple[str, ...]
    clock_ms: int = 0


@dataclass(frozen=True)
class Party:
    """Who an agent is for its links."""

    identity: Identity
    certificate: bytes
    instance: bytes
    link_key: bytes
    authorities: frozenset[bytes]


@dataclass(frozen=True)
class Peer:
    """Who the other end has proven to be, and what the handshake left."""

    grants: Grants
    instance: bytes
    send_key: bytes
    receive_key: bytes
    ticket: bytes

    @property
    def id(self) -> bytes:
        return agent_id(self.grants.subject)


def mac(authority: bytes, octets: bytes) -> bytes:
    """What shows a responder that the authority is known."""
    key = hashlib.blake2s(b"mesh link mac v1" + authority).digest()
    return hashlib.blake2s(octets, key=key, digest_size=MAC_BYTES).digest()


class Handshake:
    """Noise XX with proofs, of either role.

    The initiator's first message is in the clear, and goes out before the responder's preamble, which the
    prologue takes in, has come; so Noise itself begins once both preambles are known.

    Args:
        ephemeral: private key, given by the worked example only.
    """

    def __init__(self, own: Party, is_initiator: bool, ephemeral: bytes = b"") -> None:
        self._own = own
        self._is_initiator = is_initiator
        self._ephemeral = KeyPair25519.from_private_bytes(ephemeral or os.urandom(32))

    def _begin(self, other_preamble: bytes) -> None:
        noise = NoiseConnection.from_name(b"Noise_XX_25519_ChaChaPoly_SHA256")
        preambles = (PREAMBLE, other_preamble) if self._is_initiator else (other_preamble, PREAMBLE)
        (noise.set_as_initiator if self._is_initiator else noise.set_as_responder)()
        noise.set_prologue(b"".join(preambles))
        noise.set_keypair_from_private_bytes(Keypair.STATIC, self._own.link_key)
        noise.start_handshake()
        self._noise, self._state = noise, noise.noise_protocol.handshake_state
        self._state.e = self._ephemeral

    def first(self, ticket: bytes) -> bytes:
        """All that the initiator sends first; the MAC in it is over the ephemeral key, too."""
        length = 32 + len(ticket) + MAC_BYTES
        start = PREAMBLE + length.to_bytes(2, "big") + self._ephemeral.public_bytes + ticket
        authority = decode(certificate_body(self._own.certificate), Grants).authority
        self._payload = ticket + mac(authority, start)
        message: bytes = start + self._payload[len(ticket) :]
        return message

    def answered(self, preamble: bytes) -> None:
        """The responder's preamble has come."""
        self._begin(preamble)
        self._noise.write_message(self._payload)

    def read_first(self, octets: bytes) -> None:
        """All that the initiator has sent first, as responder."""
        found = octets[-MAC_BYTES:]
        if found not in {mac(authority, octets[:-MAC_BYTES]) for authority in self._own.authorities}:
            raise ProtocolError("a stranger")
        self._begin(octets[: len(PREAMBLE)])
        self._noise.read_message(octets[len(PREAMBLE) + 2 :])

    def proving(self, clock_ms: int) -> bytes:
        """A message with the own proof, and its length."""
        own = self._own
        statement = encode(ProofStatement(own.certificate, own.instance, VERSION, (), clock_ms))
        signed = self._state.symmetric_state.h + bytes(self._state.s.public_bytes) + statement
        proof = encode(Proof(statement, own.identity.sign("mesh link proof v1", signed)))
        message = bytes(self._noise.write_message(proof))
        return len(message).to_bytes(2, "big") + message

    def read_proof(self, message: bytes, now_s: float) -> tuple[Grants, ProofStatement]:
        """Judge a message with the peer's proof."""
        before = self._state.symmetric_state.h
        try:
            proof = decode(bytes(self._noise.read_message(message)), Proof)
        except InvalidTag:
            raise ProtocolError("a handshake that does not authenticate") from None
        stated = decode(proof.statement, ProofStatement)
        grants = admitted(stated.certificate, self._own.authorities, now_s)
        signed = before + bytes(self._state.rs.public_bytes) + proof.statement
        verify(grants.subject, "mesh link proof v1", signed, proof.signature)
        if stated.version != VERSION:
            raise ProtocolError("a proof of another version")
        if agent_id(grants.subject) == self._own.identity.id:
            raise ProtocolError("a peer with this agent's identity")
        return grants, stated

    def peer(self, grants: Grants, stated: ProofStatement) -> Peer:
        """The end of it."""
        sending = self._noise.noise_protocol.cipher_state_encrypt.k
        receiving = self._noise.noise_protocol.cipher_state_decrypt.k
        both = sending + receiving if self._is_initiator else receiving + sending
        ticket = hashlib.blake2s(b"mesh link ticket v1" + both, digest_size=TICKET_BYTES).digest()
        return Peer(grants, stated.instance, sending, receiving, ticket)


class Link:
    """Frames over a TCP connection whose handshake is over; ``is_dialed`` if this end has dialed."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer, *, is_dialed: bool
    ) -> None:
        self._reader, self._writer = reader, writer
        self.is_dialed = is_dialed
        self.peer = peer
        self._sealing, self._opening = Cipher(peer.send_key), Cipher(peer.receive_key)

    def send(self, frame: Frame) -> None:
        self._writer.write(seal_frame(self._sealing, frame))

    async def receive(self) -> Frame:
        """The next frame; ``asyncio.IncompleteReadError`` at the end."""
        header = await self._reader.readexactly(SEALED_HEADER_BYTES)
        frame, length = read_header(self._opening.unseal(header))
        body = await self._reader.readexactly(length)
        if frame.is_sealed_by_link:
            body = self._opening.unseal(body)
        return replace(frame, body=body)

    async def close(self) -> None:
        """When all is sent."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def _read_preamble(reader: asyncio.StreamReader) -> bytes:
    preamble = await reader.readexactly(len(PREAMBLE))
    if preamble[:4] != PREAMBLE[:4] or not preamble[4] <= VERSION <= preamble[5]:
        raise ProtocolError("no version in common")
    return preamble


async def _read_length(reader: asyncio.StreamReader, lengths: range) -> int:
    length = int.from_bytes(await reader.readexactly(2), "big")
    if length not in lengths:
        raise ProtocolError(f"a message of {length} bytes")
    return length


async def dial(own: Party, host: str, port: int) -> Link:
    """A link to whoever accepts at an address."""
    reader, writer = await asyncio.open_connection(host, port)
    handshake = Handshake(own, is_initiator=True)
    writer.write(handshake.first(os.urandom(TICKET_BYTES)))
    handshake.answered(await _read_preamble(reader))
    length = await _read_length(reader, range(MAX_MESSAGE_BYTES + 1))
    grants, stated = handshake.read_proof(await reader.readexactly(length), time.time())
    writer.write(handshake.proving(int(time.time() * 1_000)))
    return Link(reader, writer, handshake.peer(grants, stated), is_dialed=True)


async def accept(own: Party, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Link:
    """A link from whoever has dialed."""
    preamble = await _read_preamble(reader)
    length = await _read_length(reader, range(MIN_FIRST_MESSAGE_BYTES, MAX_FIRST_MESSAGE_BYTES + 1))
    message = await reader.readexactly(length)
    handshake = Handshake(own, is_initiator=False)
    handshake.read_first(preamble + length.to_bytes(2, "big") + message)
    writer.write(PREAMBLE + handshake.proving(int(time.time() * 1_000)))
    length = await _read_length(reader, range(MAX_MESSAGE_BYTES + 1))
    grants, stated = handshake.read_proof(await reader.readexactly(length), time.time())
    return Link(reader, writer, handshake.peer(grants, stated), is_dialed=False)
