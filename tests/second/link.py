"""A link, as sections 3 to 5 of docs/PROTOCOL.md have it: Noise XX, then sealed frames."""

import asyncio
import contextlib
import hashlib
import os
import time
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from noise.backends.default.keypairs import KeyPair25519
from noise.connection import Keypair, NoiseConnection

from tests.second.frames import SEALED_HEADER_BYTES, VERSION, Cipher, Frame, Type, read_header, seal_frame
from tests.second.new_keys import FEATURE, Rekeying
from tests.second.wire import (
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
MAC_BYTES: Final = 16
TICKET_BYTES: Final = 16
MIN_FIRST_MESSAGE_BYTES: Final = 48
MAX_FIRST_MESSAGE_BYTES: Final = 112
MAX_MESSAGE_BYTES: Final = 4_096

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
    static: bytes
    binding: bytes
    rekeys: bool
    """Whether both ends have the feature."""

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
        statement = encode(ProofStatement(own.certificate, own.instance, VERSION, (FEATURE,), clock_ms))
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
        static, binding = bytes(self._state.rs.public_bytes), bytes(self._noise.get_handshake_hash())
        rekeys = FEATURE in stated.features
        return Peer(grants, stated.instance, sending, receiving, ticket, static, binding, rekeys)


class Link:
    """Frames over a TCP connection whose handshake is over; ``is_dialed`` if this end has dialed."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        own: Party,
        peer: Peer,
        *,
        is_dialed: bool,
    ) -> None:
        self._reader, self._writer = reader, writer
        self.is_dialed = is_dialed
        self.peer = peer
        self._sealing, self._opening = Cipher(peer.send_key), Cipher(peer.receive_key)
        self._rekeying = Rekeying(own.link_key, peer.static, peer.binding, is_dialed=is_dialed)
        self.rekeyed = 0
        """How often it has got new keys."""

    def send(self, frame: Frame) -> None:
        self._writer.write(seal_frame(self._sealing, frame))

    async def receive(self) -> Frame:
        """The next frame; ``asyncio.IncompleteReadError`` at the end."""
        header = await self._reader.readexactly(SEALED_HEADER_BYTES)
        frame, length = read_header(self._opening.unseal(header))
        body = await self._reader.readexactly(length)
        if frame.is_sealed_by_link:
            body = self._opening.unseal(body)
        if frame.type in {Type.REKEY, Type.NEW_KEY}:
            self._rekey(frame.type, body)
        return replace(frame, body=body)

    def ask_for_new_keys(self) -> None:
        self.send(Frame(Type.REKEY, encode((self._rekeying.ask(),))))

    def _rekey(self, kind: int, body: bytes) -> None:
        """At once, for what comes behind NEW_KEY is sealed with another key."""
        if not self.peer.rekeys:
            raise ProtocolError("new keys that were not agreed upon")
        (message,) = decode(body, tuple[bytes])
        if kind == Type.REKEY:
            for answer, key in self._rekeying.take_request(message):
                self._switch(answer, key)
            return
        receive_key, send_keys = self._rekeying.take_switch(message)
        self._opening = Cipher(receive_key)
        for key in send_keys:
            self._switch(b"", key)
        self.rekeyed += 1

    def _switch(self, message: bytes, key: bytes) -> None:
        self.send(Frame(Type.NEW_KEY, encode((message,))))
        self._sealing = Cipher(key)

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
    return Link(reader, writer, own, handshake.peer(grants, stated), is_dialed=True)


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
    return Link(reader, writer, own, handshake.peer(grants, stated), is_dialed=False)
