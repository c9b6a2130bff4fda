"""New keys for a link that is up, as section 5 of docs/PROTOCOL.md has them: Noise KK inside the link."""

from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from noise.backends.default.keypairs import KeyPair25519
from noise.connection import Keypair, NoiseConnection

from tests.second.wire import ProtocolError

FEATURE = "rekey"


class Keys(NamedTuple):
    """Of a link, as one end has them."""

    send: bytes
    receive: bytes
    binding: bytes


class Exchange:
    """One side of it.

    Args:
        ephemeral: private key, given by the worked example only.
    """

    def __init__(
        self, static: bytes, peer_static: bytes, binding: bytes, *, asks: bool, ephemeral: bytes = b""
    ) -> None:
        noise = NoiseConnection.from_name(b"Noise_KK_25519_ChaChaPoly_SHA256")
        (noise.set_as_initiator if asks else noise.set_as_responder)()
        noise.set_prologue(b"mesh link rekey v1" + binding)
        noise.set_keypair_from_private_bytes(Keypair.STATIC, static)
        noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, peer_static)
        noise.start_handshake()
        self._noise = noise
        if ephemeral:
            noise.noise_protocol.handshake_state.e = KeyPair25519.from_private_bytes(ephemeral)

    def write(self) -> bytes:
        """The next message."""
        return bytes(self._noise.write_message(b""))

    def read(self, message: bytes) -> None:
        """Judge the peer's next message."""
        try:
            self._noise.read_message(message)
        except (InvalidTag, ValueError):
            raise ProtocolError("new keys that do not authenticate") from None

    def keys(self) -> Keys:
        """What comes of it, once it is over."""
        protocol = self._noise.noise_protocol
        return Keys(
            protocol.cipher_state_encrypt.k,
            protocol.cipher_state_decrypt.k,
            bytes(self._noise.get_handshake_hash()),
        )


class Rekeying:
    """The new keys of one link: what this end says when the peer says REKEY or NEW_KEY."""

    def __init__(self, static: bytes, peer_static: bytes, binding: bytes, *, is_dialed: bool) -> None:
        self._static, self._peer_static, self._binding = static, peer_static, binding
        self._is_dialed = is_dialed
        self._asked: list[Exchange] = []
        self._answered: list[Keys] = []

    def ask(self) -> bytes:
        """The message of a REKEY."""
        self._asked = [self._exchange(asks=True)]
        return self._asked[0].write()

    def take_request(self, message: bytes) -> list[tuple[bytes, bytes]]:
        """The message of the NEW_KEY to send and the key behind it; nothing if the own request stands."""
        if self._answered:
            raise ProtocolError("REKEY before the switch")
        if self._asked and self._is_dialed:
            return []
        self._asked = []
        exchange = self._exchange(asks=False)
        exchange.read(message)
        answer = exchange.write()
        self._answered = [exchange.keys()]
        return [(answer, self._answered[0].send)]

    def take_switch(self, message: bytes) -> tuple[bytes, list[bytes]]:
        """The key that the peer seals with now, and that of this end if it is to switch too."""
        if self._answered and not message:
            keys, own = self._answered.pop(), []
        elif self._asked:
            exchange = self._asked.pop()
            exchange.read(message)
            keys = exchange.keys()
            own = [keys.send]
        else:
            raise ProtocolError("NEW_KEY that nobody awaits")
        self._binding = keys.binding
        return keys.receive, own

    def _exchange(self, *, asks: bool) -> Exchange:
        return Exchange(self._static, self._peer_static, self._binding, asks=asks)
