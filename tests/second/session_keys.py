"""New keys for a connection, as section 9 of docs/PROTOCOL.md has them: this end answers, and never asks."""

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from noise.backends.default.keypairs import KeyPair25519
from noise.connection import Keypair, NoiseConnection

from tests.second.wire import ProtocolError

SAID: Final = struct.Struct(">BIQ48s")
ASK: Final = 1
ANSWER: Final = 2
SWITCHED: Final = 3


@dataclass(frozen=True)
class Statics:
    """Session keys: the own one, which is private, and the other end's."""

    own: bytes = field(repr=False)
    other: bytes


class Changing:
    """Of one connection: generation, and what is said of it.

    Args:
        named: IDs of ingress and exit, and the connection's number as 8 bytes.
        ephemeral: private key, given by the worked example only.
    """

    def __init__(self, named: bytes, statics: Statics, ephemeral: bytes = b"") -> None:
        self._named, self._statics, self._ephemeral = named, statics, ephemeral
        self._generation = 0
        self._answer = b""
        self._first_segment = 0
        self.settled_at = 0
        """The first segment that the other end has sealed with its newest key."""
        self.next_keys: tuple[bytes, bytes] | None = None
        """To send with and to receive with, from the answer until the switch."""

    def ask(self, to_exit: bytes, to_ingress: bytes, next_segment: int, said: bytes) -> tuple[bytes, bool]:
        """What to answer to one SESSION_KEYS, and whether to seal that and all that follows with the new key.

        Args:
            to_exit: the present key of that direction.
            to_ingress: likewise.
            next_segment: to be sent.
            said: the payload.
        """
        step, generation, first, message = SAID.unpack(said)
        if step == ASK and generation == self._generation + 1 and self.next_keys is None:
            digest = hashlib.sha256(to_exit + to_ingress).digest()
            self._answer = self._keyed(generation, digest, message)
            self._generation = generation
            return self._answer, False
        if step == ASK and generation == self._generation and self.next_keys is not None:
            return self._answer, False
        if step == SWITCHED and generation == self._generation > 0:
            is_first = self.next_keys is not None
            if is_first:
                self._first_segment, self.settled_at = next_segment, first
            return SAID.pack(SWITCHED, generation, self._first_segment, bytes(48)), is_first
        if step not in {ASK, ANSWER, SWITCHED} or generation > self._generation:
            raise ProtocolError("nonsense about new keys")
        return b"", False

    def _keyed(self, generation: int, digest: bytes, message: bytes) -> bytes:
        noise = NoiseConnection.from_name(b"Noise_KK_25519_ChaChaPoly_SHA256")
        noise.set_as_responder()
        noise.set_prologue(b"mesh session keys\x01" + self._named + struct.pack(">I", generation) + digest)
        noise.set_keypair_from_private_bytes(Keypair.STATIC, self._statics.own)
        noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, self._statics.other)
        noise.start_handshake()
        if self._ephemeral:
            noise.noise_protocol.handshake_state.e = KeyPair25519.from_private_bytes(self._ephemeral)
        try:
            noise.read_message(message)
        except (InvalidTag, ValueError):
            raise ProtocolError("new keys that do not authenticate") from None
        answer = bytes(noise.write_message(b""))
        keys = noise.noise_protocol
        self.next_keys = keys.cipher_state_encrypt.k, keys.cipher_state_decrypt.k
        return SAID.pack(ANSWER, generation, 0, answer)
