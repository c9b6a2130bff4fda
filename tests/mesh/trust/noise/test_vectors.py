"""Published test vectors, in the format of cacophony, from the JSON file that NOISE_VECTORS names."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mesh.trust.noise import Handshake, HashName, PatternName, key_pair
from mesh.trust.noise.handshake import State
from tests.mesh.trust.noise.noise_company import Transport

VARIABLE = "NOISE_VECTORS"
HASH_NAMES = ("SHA256", "SHA512", "BLAKE2s", "BLAKE2b")


def load(pattern: PatternName, hash_name: HashName):
    name = os.environ.get(VARIABLE)
    if not name:
        pytest.skip(f"{VARIABLE} does not name a file of published Noise vectors")
    path = Path(name)
    if not path.is_file():
        pytest.skip(f"{VARIABLE} names {name}, which is not there")
    protocol_name = f"Noise_{pattern}_25519_ChaChaPoly_{hash_name}"
    vectors = [v for v in json.loads(path.read_text())["vectors"] if v["protocol_name"] == protocol_name]
    assert vectors, f"{name} has no vector for {protocol_name}"
    return vectors


def side(vector: dict[str, Any], role: str, *, pattern: PatternName, hash_name: HashName):
    remote = vector.get(f"{role}_remote_static")
    return Handshake(
        pattern,
        initiator=role == "init",
        prologue=bytes.fromhex(vector[f"{role}_prologue"]),
        static=key_pair(bytes.fromhex(vector[f"{role}_static"])),
        ephemeral=key_pair(bytes.fromhex(vector[f"{role}_ephemeral"])),
        remote_static=bytes.fromhex(remote) if remote else None,
        hash_name=hash_name,
    )


@pytest.mark.parametrize("hash_name", HASH_NAMES)
@pytest.mark.parametrize(("pattern", "handshake_messages"), [("XX", 3), ("IK", 2)])
def test_published_vectors(pattern: PatternName, handshake_messages: int, hash_name: HashName):
    for vector in load(pattern, hash_name):
        initiator = side(vector, "init", pattern=pattern, hash_name=hash_name)
        responder = side(vector, "resp", pattern=pattern, hash_name=hash_name)
        messages = [
            (bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"]))
            for message in vector["messages"]
        ]
        assert len(messages) > handshake_messages + 1
        writer, reader = initiator, responder
        for payload, ciphertext in messages[:handshake_messages]:
            assert writer.write_message(payload) == ciphertext
            assert reader.read_message(ciphertext) == payload
            writer, reader = reader, writer
        assert initiator.state is State.FINISHED
        assert responder.state is State.FINISHED
        assert initiator.handshake_hash.hex() == responder.handshake_hash.hex() == vector["handshake_hash"]
        keys = initiator.split()
        assert keys == responder.split()
        # Whoever's turn it is goes on with transport messages, each side with its own key.
        ciphers = [Transport(key) for key in keys]
        for number, (payload, ciphertext) in enumerate(messages[handshake_messages:], handshake_messages):
            assert ciphers[number % 2].seal(payload) == ciphertext
