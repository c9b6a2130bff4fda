"""Published test vectors, in the format of cacophony: of a file that NOISE_VECTORS names, and one of KK."""

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

KK = {
    "init_prologue": "4a6f686e2047616c74",
    "init_static": "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
    "init_ephemeral": "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    "init_remote_static": "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
    "resp_prologue": "4a6f686e2047616c74",
    "resp_static": "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
    "resp_ephemeral": "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
    "resp_remote_static": "6bc3822a2aa7f4e6981d6538692b3cdf3e6df9eea6ed269eb41d93c22757b75a",
    "handshake_hash": "24c6b51ecb76277140ca018b5985bc9f03de321dae2d34dcae433dafef0131d9",
    "messages": [
        {
            "payload": "4c756477696720766f6e204d69736573",
            "ciphertext": "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
            "0177015efc1fe7a37c629af7120a96274e6ab7afcc9261901d0e09ae32a5bb96",
        },
        {
            "payload": "4d757272617920526f746862617264",
            "ciphertext": "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
            "b274d3429adc47ca093ba63ef90f8da89fda108db471dccfa4894aa7b00003",
        },
        {
            "payload": "462e20412e20486179656b",
            "ciphertext": "966b05bc69ec01b8454d3160a214e6f24a3d884eb31ec2408af63f",
        },
        {
            "payload": "4361726c204d656e676572",
            "ciphertext": "0ad887fba4f611bbb4afe44ba3556b8164332ca7d5934634d63d80",
        },
    ],
}
"""Noise_KK_25519_ChaChaPoly_SHA256 of cacophony's vectors, without its last two messages."""


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
        check(vector, pattern, hash_name, handshake_messages)


def test_a_published_vector_of_kk():
    check(KK, "KK", "SHA256", 2)


def check(vector: dict[str, Any], pattern: PatternName, hash_name: HashName, handshake_messages: int):
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
