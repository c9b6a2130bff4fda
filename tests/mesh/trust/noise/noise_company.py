"""Both sides of the Noise handshakes that tests run, with keys that never change."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.errors import LocalProtocolError
from mesh.trust.noise import Handshake, KeyPair, PatternName, key_pair
from mesh.trust.noise.handshake import State

INITIATOR_STATIC, INITIATOR_EPHEMERAL, RESPONDER_STATIC, RESPONDER_EPHEMERAL, STRANGER = (
    key_pair(bytes((number,)) * 32) for number in range(1, 6)
)
PAYLOADS = (b"first payload", b"second payload", b"third payload")
MESSAGES = {"XX": 3, "IK": 2, "KK": 2}
PATTERNS = tuple(MESSAGES)


def initiator(pattern: PatternName, *, prologue: bytes = b"prologue", remote: KeyPair = RESPONDER_STATIC):
    return Handshake(
        pattern,
        initiator=True,
        prologue=prologue,
        static=INITIATOR_STATIC,
        ephemeral=INITIATOR_EPHEMERAL,
        remote_static=None if pattern == "XX" else remote.public,
    )


def responder(pattern: PatternName, *, prologue: bytes = b"prologue", remote: KeyPair = INITIATOR_STATIC):
    return Handshake(
        pattern,
        initiator=False,
        prologue=prologue,
        static=RESPONDER_STATIC,
        ephemeral=RESPONDER_EPHEMERAL,
        remote_static=remote.public if pattern == "KK" else None,
    )


def run_until(pattern: PatternName, count: int):
    """Both sides after ``count`` messages: (who writes next, who reads next)."""
    writer, reader = initiator(pattern), responder(pattern)
    for payload in PAYLOADS[:count]:
        assert reader.read_message(writer.write_message(payload)) == payload
        writer, reader = reader, writer
    return writer, reader


POINTS = [(pattern, count) for pattern in PATTERNS for count in range(MESSAGES[pattern])]
at_every_message = pytest.mark.parametrize(("pattern", "count"), POINTS)


class Transport:
    """Messages behind a handshake, as section 5.1 of the specification has them; the mesh has its own."""

    def __init__(self, key: bytes):
        self._cipher, self._count = ChaCha20Poly1305(key), 0

    def _nonce(self):
        self._count += 1
        return bytes(4) + (self._count - 1).to_bytes(8, "little")

    def seal(self, plaintext: bytes):
        return self._cipher.encrypt(self._nonce(), plaintext, b"")

    def open(self, ciphertext: bytes):
        return self._cipher.decrypt(self._nonce(), ciphertext, b"")


def assert_dead(side: Handshake):
    assert side.state is State.FAILED
    with pytest.raises(LocalProtocolError, match="has failed"):
        side.read_message(bytes(100))
    with pytest.raises(LocalProtocolError, match="has failed"):
        side.write_message(b"")
    with pytest.raises(LocalProtocolError, match="not known"):
        _ = side.remote_static
    assert side._own == {}
