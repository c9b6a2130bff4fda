"""A connection's session, as sections 8 and 9 of docs/PROTOCOL.md have it: Noise IK, then sealed bodies."""

import contextlib
import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from noise.backends.default.keypairs import KeyPair25519
from noise.connection import Keypair, NoiseConnection
from noise.state import SymmetricState

from tests.second.frames import TAG_BYTES, Frame, Type
from tests.second.session_keys import Changing, Statics
from tests.second.wire import ProtocolError, decode, encode

OPEN_PAYLOAD_BYTES: Final = 1_152
ANSWER_PAYLOAD_BYTES: Final = 1_232
CONTROL: Final = {Type.ACK, Type.RESET, Type.PROBE, Type.SESSION_KEYS}


@dataclass(frozen=True)
class Name:
    """What a connection is named by, and the instances of both ends."""

    ingress: bytes
    exit: bytes
    number: int
    ingress_instance: bytes = b""
    exit_instance: bytes = b""

    def prologue(self) -> bytes:
        """85 bytes."""
        instances = self.ingress_instance + self.exit_instance
        return b"mesh session\x01" + self.ingress + self.exit + instances + struct.pack(">Q", self.number)


class Asked(msgspec.Struct, array_like=True, frozen=True):
    routing_key: str
    credit: int
    tells_client: bool = False
    renews_keys: bool = True
    wants_pair: bool = True
    early: bytes = b""


class Answer(msgspec.Struct, array_like=True, frozen=True):
    is_accepted: bool
    credit: int = 0
    code: str = ""
    reason: str = ""
    socket_tag: bytes = b""
    wants_client: bool = False
    renews_keys: bool = False
    keeps_pair: bool = False
    took_early: bool = False
    early: bytes = b""


def padded(said: Asked | Answer, length: int) -> bytes:
    octets = encode(said)
    return (len(octets).to_bytes(2, "big") + octets).ljust(length, b"\0")


def unpadded(payload: bytes) -> bytes:
    length = int.from_bytes(payload[:2], "big")
    if length > len(payload) - 2:
        raise ProtocolError("a payload that is longer than its message")
    return payload[2 : 2 + length]


def _noise(name: Name, session_key: bytes) -> NoiseConnection:
    noise = NoiseConnection.from_name(b"Noise_IK_25519_ChaChaPoly_SHA256")
    noise.set_prologue(name.prologue())
    noise.set_keypair_from_private_bytes(Keypair.STATIC, session_key)
    return noise


class Session:
    """The keys of a connection at one end: seals its frames' bodies, and opens those of the other end."""

    def __init__(
        self, name: Name, is_ingress: bool, send_key: bytes, receive_key: bytes, statics: Statics
    ) -> None:
        self.name = name
        self._is_ingress = is_ingress
        self._send_key, self._receive_keys = send_key, [receive_key]
        named = name.ingress + name.exit + struct.pack(">Q", name.number)
        self._changing = Changing(named, statics)

    def seal(self, kind: Type, number: int, plaintext: bytes, hop_limit: int) -> Frame:
        """A frame that is ready for a link."""
        ends = (
            (self.name.ingress, self.name.exit) if self._is_ingress else (self.name.exit, self.name.ingress)
        )
        bare = Frame(kind, b"", *ends, self.name.number, number, not self._is_ingress, hop_limit)
        covered = bare.associated_data(len(plaintext) + TAG_BYTES)
        body = ChaCha20Poly1305(self._send_key).encrypt(_nonce(kind, number), plaintext, covered)
        return Frame(kind, body, *ends, self.name.number, number, not self._is_ingress, hop_limit)

    def unseal(self, frame: Frame) -> bytes:
        covered = frame.associated_data(len(frame.body))
        for key in self._receive_keys:
            with contextlib.suppress(InvalidTag):
                cipher = ChaCha20Poly1305(key)
                return cipher.decrypt(_nonce(frame.type, frame.number), frame.body, covered)
        raise ProtocolError("a body that does not authenticate")

    def arrived(self, next_segment: int) -> None:
        """All segments below have arrived: what sealed them may be let go of."""
        if next_segment >= self._changing.settled_at and self._changing.next_keys is None:
            del self._receive_keys[1:]

    def told_of_keys(self, said: bytes, next_segment: int) -> bytes:
        """What to answer, sealed with the key that holds by then; nothing if there is nothing to say."""
        present = self._send_key, self._receive_keys[0]
        to_exit, to_ingress = present if self._is_ingress else present[::-1]
        answer, switches = self._changing.ask(to_exit, to_ingress, next_segment, said)
        if self._changing.next_keys is not None:
            send_key, receive_key = self._changing.next_keys
            if switches:
                self._send_key, self._changing.next_keys = send_key, None
                self._receive_keys = [receive_key, self._receive_keys[0]]
            elif receive_key not in self._receive_keys:
                self._receive_keys = [self._receive_keys[0], receive_key]
        return answer


def _nonce(kind: int, number: int) -> bytes:
    return struct.pack(">IQ", kind in CONTROL, number)


def pair_secret(symmetric: SymmetricState) -> bytes:
    """Of a finished handshake."""
    return hmac.new(symmetric.ck, b"mesh pair session" + symmetric.h, hashlib.sha256).digest()


class Opening:
    """An ingress's OPEN, and the answers to it; ``ephemeral`` is given by the worked example only."""

    secret = b""
    """Of the pair session, once there is an answer."""

    def __init__(
        self, name: Name, own_key: bytes, exit_public: bytes, asked: Asked, ephemeral: bytes = b""
    ) -> None:
        self._name = name
        self._keys = own_key, exit_public, ephemeral or os.urandom(32)
        self._payload = padded(asked, OPEN_PAYLOAD_BYTES)
        self.body = name.ingress_instance + name.exit_instance + bytes(self._begin()[1])

    def _begin(self) -> tuple[NoiseConnection, bytes]:
        own_key, exit_public, ephemeral = self._keys
        noise = _noise(self._name, own_key)
        noise.set_as_initiator()
        noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, exit_public)
        noise.start_handshake()
        noise.noise_protocol.handshake_state.e = KeyPair25519.from_private_bytes(ephemeral)
        return noise, bytes(noise.write_message(self._payload))

    def read_answer(self, body: bytes, is_accept: bool) -> tuple[Answer, Session]:
        """Noise begins anew for each, so that one that is forged leaves no trace."""
        noise, _ = self._begin()
        symmetric = noise.noise_protocol.symmetric_state
        try:
            payload = bytes(noise.read_message(body))
        except InvalidTag:
            raise ProtocolError("an answer that does not authenticate") from None
        self.secret = pair_secret(symmetric)
        answer = decode(unpadded(payload), Answer)
        if answer.is_accepted != is_accept:
            raise ProtocolError("an answer that contradicts its header")
        keys = noise.noise_protocol
        statics = Statics(*self._keys[:2])
        send, receive = keys.cipher_state_encrypt.k, keys.cipher_state_decrypt.k
        return answer, Session(self._name, True, send, receive, statics)


class Arrival:
    """An OPEN that has arrived at an exit, and the answer to it."""

    secret = b""
    """Of the pair session, once it is answered."""

    def __init__(
        self, name: Name, own_key: bytes, ingress_public: bytes, body: bytes, ephemeral: bytes = b""
    ) -> None:
        self._name = name
        self._statics = Statics(own_key, ingress_public)
        self._noise = _noise(name, own_key)
        self._noise.set_as_responder()
        self._noise.start_handshake()
        state = self._noise.noise_protocol.handshake_state
        if ephemeral:
            state.e = KeyPair25519.from_private_bytes(ephemeral)
        try:
            payload = bytes(self._noise.read_message(body[32:]))
        except InvalidTag:
            raise ProtocolError("an OPEN that does not authenticate") from None
        if state.rs.public_bytes != ingress_public:
            raise ProtocolError("an OPEN with another session key than the record's")
        self._payload = payload

    @property
    def asked(self) -> Asked:
        return decode(unpadded(self._payload), Asked)

    def answer(self, said: Answer) -> tuple[bytes, Session]:
        symmetric = self._noise.noise_protocol.symmetric_state
        body = bytes(self._noise.write_message(padded(said, ANSWER_PAYLOAD_BYTES)))
        self.secret = pair_secret(symmetric)
        keys = self._noise.noise_protocol
        send, receive = keys.cipher_state_encrypt.k, keys.cipher_state_decrypt.k
        return body, Session(self._name, False, send, receive, self._statics)
