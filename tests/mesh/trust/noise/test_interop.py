"""Handshakes and transport messages with an independent implementation, PyPI's noiseprotocol."""

import warnings

import pytest

from mesh.trust.noise import Handshake, HashName, PatternName, key_pair
from mesh.trust.noise.handshake import State
from tests.mesh.trust.noise.noise_company import Transport

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its age shows in deprecations that are not ours
    from noise.connection import Keypair, NoiseConnection

OUR_STATIC, OUR_EPHEMERAL, THEIR_STATIC, THEIR_EPHEMERAL = (
    key_pair(bytes((number,)) * 32) for number in range(11, 15)
)
PROLOGUE = b"any bytes that both agree on"
MESSAGES = {"XX": 3, "IK": 2, "KK": 2}


def their_side(pattern: PatternName, hash_name: HashName, *, initiator: bool):
    connection = NoiseConnection.from_name(f"Noise_{pattern}_25519_ChaChaPoly_{hash_name}".encode())
    if initiator:
        connection.set_as_initiator()
    else:
        connection.set_as_responder()
    connection.set_prologue(PROLOGUE)
    connection.set_keypair_from_private_bytes(Keypair.STATIC, THEIR_STATIC.private)
    connection.set_keypair_from_private_bytes(Keypair.EPHEMERAL, THEIR_EPHEMERAL.private)
    if pattern == "KK" or (initiator and pattern == "IK"):
        connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, OUR_STATIC.public)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a chosen ephemeral key is for tests only
        connection.start_handshake()
    return connection


def our_side(pattern: PatternName, hash_name: HashName, *, initiator: bool):
    return Handshake(
        pattern,
        initiator=initiator,
        prologue=PROLOGUE,
        static=OUR_STATIC,
        ephemeral=OUR_EPHEMERAL,
        remote_static=THEIR_STATIC.public if pattern == "KK" or (initiator and pattern == "IK") else None,
        hash_name=hash_name,
    )


@pytest.mark.parametrize("we_initiate", [True, False], ids=["we initiate", "they initiate"])
@pytest.mark.parametrize("pattern", MESSAGES)
@pytest.mark.parametrize("hash_name", ["SHA256", "SHA512", "BLAKE2s", "BLAKE2b"])
def test_we_understand_each_other(pattern: PatternName, hash_name: HashName, we_initiate: bool):
    ours = our_side(pattern, hash_name, initiator=we_initiate)
    theirs = their_side(pattern, hash_name, initiator=not we_initiate)
    we_write = we_initiate
    for number in range(MESSAGES[pattern]):
        payload = b"payload %d" % number
        if we_write:
            assert bytes(theirs.read_message(ours.write_message(payload))) == payload
        else:
            assert ours.read_message(bytes(theirs.write_message(payload))) == payload
        we_write = not we_write
    assert ours.state is State.FINISHED
    assert theirs.handshake_finished
    assert ours.handshake_hash == theirs.get_handshake_hash()
    assert ours.remote_static == THEIR_STATIC.public

    to_responder, to_initiator = ours.split()
    sender = Transport(to_responder if we_initiate else to_initiator)
    receiver = Transport(to_initiator if we_initiate else to_responder)
    for number in range(3):
        text = b"transport %d" % number
        assert bytes(theirs.decrypt(sender.seal(text))) == text
        assert receiver.open(bytes(theirs.encrypt(text))) == text
