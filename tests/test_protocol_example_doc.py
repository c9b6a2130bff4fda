"""The example in ``docs/PROTOCOL.md`` is, octet by octet, what the code makes and what the text says."""

import hashlib
import re
import struct

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl.signing import VerifyKey
from noise.connection import Keypair, NoiseConnection

from tests.protocol_text import TEXT
from tests.protocol_vectors import vectors


def example():
    """Name to octets, as the document prints them."""
    block = TEXT[TEXT.index("## 14.") :].split("```")[1]
    found = re.findall(r"^(\S.*)\n((?:    [0-9a-f]+\n)+)", block, flags=re.MULTILINE)
    return {name: bytes.fromhex(byte_count.replace(" ", "").replace("\n", "")) for name, byte_count in found}


def test_the_worked_example_is_what_the_code_makes():
    assert example() == vectors()
    assert list(example()) == list(vectors())


def test_the_worked_example_opens_by_what_the_document_says_alone():
    given = example()

    def opened(key, nonce_class, number, sealed, covered=None):
        nonce = nonce_class.to_bytes(4, "big") + number.to_bytes(8, "big")
        return ChaCha20Poly1305(given[key]).decrypt(nonce, sealed, covered)

    assert opened("link key A to B", 0, 0, given["PING"][:72])[:2] == b"\x01\x01"
    assert opened("link key A to B", 0, 1, given["PING"][72:]) == b"\x91\x01"
    header = opened("link key A to B", 0, 2, given["DATA frame"][:72])
    assert given["DATA frame"][72:] == given["DATA body"]
    covered = header[:2] + header[4:]
    assert covered == given["DATA associated data"]
    assert opened("session key A to B", 0, 0, given["DATA body"], covered) == b"hello"
    covered = b"\x01\x17" + given["A id"] + given["B id"] + bytes(7) + b"\x01" + bytes(11) + b"\x3c"
    assert opened("session key A to B", 1, 0, given["PROBE body"], covered) == given["PROBE payload"]

    covered = b"\x01\x14" + given["A id"] + given["B id"] + struct.pack(">QQI", 1, 3, 32)
    assert opened("session key A to B", 0, 3, given["FIN body"], covered) == given["FIN payload"]
    assert struct.unpack(">QIB3s", given["FIN payload"]) == (0, 0, 0, b"bye")
    covered = b"\x01\x95" + given["B id"] + given["A id"] + struct.pack(">QQI", 1, 0, 60)
    assert opened("session key B to A", 1, 0, given["ACK body"], covered) == given["ACK payload"]
    assert struct.unpack(">QQQQIII", given["ACK payload"]) == (1, 131_072, 3, 1, 1, 0, 1_500)
    covered = b"\x01\x16" + given["A id"] + given["B id"] + struct.pack(">QQI", 1, 1, 26)
    assert opened("session key A to B", 1, 1, given["RESET body"], covered) == given["RESET payload"]
    assert struct.unpack(">BBQ", given["RESET payload"]) == (2, 0, 4)
    covered = b"\x01\x96" + given["B id"] + given["A id"] + struct.pack(">QQI", 1, 1, 26)
    answer = opened("session key B to A", 1, 1, given["RESET answer body"], covered)
    assert answer == given["RESET answer payload"]
    assert struct.unpack(">BBQ", answer) == (2, 1, 0)

    assert header == given["DATA header"]
    assert header[2:4] == bytes([16, 0])
    passed_on = opened("link key A to B", 0, 3, given["DATA frame after a hop"][:72])
    assert passed_on == given["DATA header after a hop"]
    assert passed_on == header[:2] + bytes([15, 1]) + header[4:]
    assert given["DATA frame after a hop"][72:] == given["DATA body"]

    for name, kind, number in (("DIGEST", 4, 4), ("RECORDS", 3, 6)):
        frame, payload = given[f"{name} frame"], given[f"{name} payload"]
        own_header = opened("link key A to B", 0, number, frame[:72])
        assert own_header == bytes([1, kind]) + bytes(50) + (len(payload) + 16).to_bytes(4, "big"), name
        assert opened("link key A to B", 0, number + 1, frame[72:]) == payload
    entries, first, last = msgspec.msgpack.decode(given["DIGEST payload"])
    assert entries == [[given["A id"], 1_750_000_000_000, 0, bytes([8]) * 16]]
    assert (first, last) == (bytes(16), b"\xff" * 16)
    records = msgspec.msgpack.decode(given["RECORDS payload"])
    assert records == [[[given["record signed"], given["record signature"], 7]]]

    assert given["A id"] == hashlib.sha256(b"mesh agent id v1\0" + given["A public key"]).digest()[:16]
    signature, body = given["A certificate"][:64], given["A certificate"][64:]
    authority = VerifyKey(given["authority public key"])
    authority.verify(b"\x13mesh certificate v1" + body, signature)
    agent = VerifyKey(given["A public key"])
    agent.verify(b"\x0emesh record v1" + given["record signed"], given["record signature"])


def test_the_sealed_block_of_the_example_opens_by_what_the_document_says_alone():
    given = example()
    reader = X25519PrivateKey.from_private_bytes(bytes([11]) * 32)
    owner = X25519PrivateKey.from_private_bytes(bytes([10]) * 32)
    shared = reader.exchange(owner.public_key())
    assert shared == given["shared secret"]
    salt, slots, box = msgspec.msgpack.decode(given["sealed block"])
    known = hashlib.blake2b(
        salt + given["A id"], digest_size=20, key=shared, person=b"mesh seal slot"
    ).digest()
    assert slots[:4] == known[:4]
    secret = bytes(one ^ other for one, other in zip(slots[4:], known[4:], strict=True))
    assert hashlib.blake2b(digest_size=16, key=secret, person=b"mesh seal salt").digest() == salt
    key = hashlib.blake2b(digest_size=32, key=secret, person=b"mesh seal box").digest()
    padded = ChaCha20Poly1305(key).decrypt(bytes(12), box, given["A id"])
    length = int.from_bytes(padded[:2], "big")
    assert padded == (padded[:2] + given["sealed content"]).ljust(128, b"\0")
    assert len(given["sealed content"]) == length
    assert msgspec.msgpack.decode(given["sealed content"]) == [[["payroll", None]], []]


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("ACCEPT body", [True, 65_536, "", "", example()["socket tag"], False, True, True, False, b""]),
        ("REJECT body", [False, 0, "at-capacity", "it is full", b"", False, False, True, False, b""]),
    ],
)
@pytest.mark.filterwarnings("ignore:One of ephemeral keypairs is already set")
def test_the_answers_of_the_example_open_with_another_noise(name, payload):
    given = example()
    noise = NoiseConnection.from_name(b"Noise_IK_25519_ChaChaPoly_SHA256")
    noise.set_as_initiator()
    instances = bytes([8]) * 16, bytes([9]) * 16
    noise.set_prologue(
        b"mesh session\x01" + given["A id"] + given["B id"] + b"".join(instances) + bytes(7) + b"\x01"
    )
    noise.set_keypair_from_private_bytes(Keypair.STATIC, bytes([10]) * 32)
    noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, bytes([12]) * 32)
    exit_key = X25519PrivateKey.from_private_bytes(bytes([11]) * 32).public_key().public_bytes_raw()
    noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, exit_key)
    noise.start_handshake()
    request = msgspec.msgpack.encode(["my-api", 65_536, False, True, True, b""])
    message = noise.write_message((len(request).to_bytes(2, "big") + request).ljust(1152, b"\0"))
    assert given["OPEN body"] == b"".join(instances) + message
    answer = bytes(noise.read_message(given[name]))
    said = answer[2 : 2 + int.from_bytes(answer[:2], "big")]
    assert msgspec.msgpack.decode(said) == payload
    assert answer == (len(said).to_bytes(2, "big") + said).ljust(1232, b"\0")
