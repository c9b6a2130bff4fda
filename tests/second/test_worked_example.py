"""The second implementation makes, byte for byte, the worked example of docs/PROTOCOL.md."""

import re

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.protocol_text import PROTOCOL
from tests.second.frames import Cipher, Frame, Type, seal_frame
from tests.second.joining import question
from tests.second.link import Handshake, Party
from tests.second.new_keys import Exchange
from tests.second.openings import socket_tag
from tests.second.pairs import Pair, Short
from tests.second.records import Digest, to_body
from tests.second.session import Answer, Arrival, Asked, Name, Opening
from tests.second.session_keys import Statics
from tests.second.wire import (
    Grants,
    Identity,
    Statement,
    decode,
    encode,
    freshness,
    read_record,
    sign_certificate,
)

EXAMPLE = {
    name: bytes.fromhex(re.sub(r"\s", "", octets))
    for name, octets in re.findall(r"^(\S.*)\n((?:    [0-9a-f]+\n)+)", PROTOCOL, flags=re.MULTILINE)
}
AUTHORITY = Identity(b"\x03" * 32)
AUTHORITIES = frozenset({AUTHORITY.public_key})
NOW_S = 1_750_000_000


def party(name, seed, link_key, instance):
    identity = Identity(bytes([seed]) * 32)
    grants = Grants(
        *(identity.public_key, name, 1_700_000_000, 1_800_000_000, ("*",), ("*",), True, False),
        AUTHORITY.public_key,
    )
    certificate = sign_certificate(AUTHORITY, grants)
    return Party(identity, certificate, bytes([instance]) * 16, bytes([link_key]) * 32, AUTHORITIES)


A, B = party("a", 1, 4, 8), party("b", 2, 5, 9)
NAME = Name(A.identity.id, B.identity.id, 1, A.instance, B.instance)


def public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def test_identities_and_certificates():
    assert A.identity.public_key == EXAMPLE["A public key"]
    assert (A.identity.id, B.identity.id) == (EXAMPLE["A id"], EXAMPLE["B id"])
    assert A.certificate == EXAMPLE["A certificate"]


def test_a_link():
    initiator = Handshake(A, is_initiator=True, ephemeral=b"\x06" * 32)
    responder = Handshake(B, is_initiator=False, ephemeral=b"\x07" * 32)
    first = initiator.first(b"\x0e" * 16)
    assert first == EXAMPLE["link bytes 1"]
    responder.read_first(first)
    initiator.answered(b"MESH\x01\x01")
    second = b"MESH\x01\x01" + responder.proving(NOW_S * 1_000)
    assert second == EXAMPLE["link bytes 2"]
    at_a = initiator.read_proof(second[8:], NOW_S)
    third = initiator.proving(NOW_S * 1_000)
    assert third == EXAMPLE["link bytes 3"]
    peer = initiator.peer(*at_a)
    assert responder.peer(*responder.read_proof(third[2:], NOW_S)).ticket == peer.ticket
    assert (peer.id, peer.instance, peer.ticket) == (B.identity.id, B.instance, EXAMPLE["link ticket"])
    assert (peer.send_key, peer.receive_key) == (EXAMPLE["link key A to B"], EXAMPLE["link key B to A"])
    assert seal_frame(Cipher(peer.send_key), Frame(Type.PING, encode((1,)))) == EXAMPLE["PING"]
    assert (peer.binding, peer.rekeys) == (EXAMPLE["link binding"], True)


def test_new_keys_for_the_link():
    asking = Exchange(
        A.link_key, public(B.link_key), EXAMPLE["link binding"], asks=True, ephemeral=b"\x0f" * 32
    )
    answering = Exchange(
        B.link_key, public(A.link_key), EXAMPLE["link binding"], asks=False, ephemeral=b"\x10" * 32
    )
    request = asking.write()
    assert encode((request,)) == EXAMPLE["REKEY body"]
    answering.read(request)
    answer = answering.write()
    assert encode((answer,)) == EXAMPLE["NEW_KEY body"]
    asking.read(answer)
    keys = asking.keys()
    assert keys == (
        *(EXAMPLE[f"next link key {way}"] for way in ("A to B", "B to A")),
        EXAMPLE["next link binding"],
    )
    assert answering.keys() == (keys.receive, keys.send, keys.binding)


@pytest.fixture(scope="module")
def sessions():
    opening = Opening(NAME, b"\x0a" * 32, public(b"\x0b" * 32), Asked("my-api", 65_536), b"\x0c" * 32)
    assert opening.body == EXAMPLE["OPEN body"]

    def answered(said):
        arrival = Arrival(NAME, b"\x0b" * 32, public(b"\x0a" * 32), opening.body, b"\x0d" * 32)
        assert arrival.asked == Asked("my-api", 65_536)
        return arrival.answer(said)

    rejection = Answer(False, 0, "at-capacity", "it is full", keeps_pair=True)
    assert answered(rejection)[0] == EXAMPLE["REJECT body"]
    tag = socket_tag(A.instance, ("127.0.0.1", 40_000), ("127.0.0.1", 3_000))
    assert tag == EXAMPLE["socket tag"]
    body, at_exit = answered(Answer(True, 65_536, "", "", tag, renews_keys=True, keeps_pair=True))
    assert body == EXAMPLE["ACCEPT body"]
    session = opening.read_answer(body, is_accept=True)[1]
    assert opening.secret == EXAMPLE["pair secret"]
    return session, at_exit


def test_a_connection_under_a_pair_session():
    pair = Pair(EXAMPLE["pair secret"], A.instance, B.instance)
    assert pair.name == EXAMPLE["pair name"]
    assert pair.keys(2) == (EXAMPLE["pair key A to B"], EXAMPLE["pair key B to A"])
    name = Name(A.identity.id, B.identity.id, 2, A.instance, B.instance)
    asking = Short(name, pair, Statics(b"\x0a" * 32, public(b"\x0b" * 32)), is_ingress=True)
    answering = Short(name, pair, Statics(b"\x0b" * 32, public(b"\x0a" * 32)), is_ingress=False)
    asked = Asked("my-api", 65_536, wants_pair=False)
    assert asking.open_body(asked) == EXAMPLE["short OPEN body"]
    assert answering.read_open(EXAMPLE["short OPEN body"]) == asked
    for said, body in (
        (Answer(True, 65_536, renews_keys=True), EXAMPLE["short ACCEPT body"]),
        (Answer(False, 0, "at-capacity", "it is full"), EXAMPLE["short REJECT body"]),
    ):
        assert answering.answer(said)[0] == body
        assert asking.read_answer(body, said.is_accepted)[0] == said


@pytest.mark.parametrize(
    ("is_ingress", "kind_and_number", "plaintext", "body"),
    [
        (True, (Type.DATA, 0), b"hello", "DATA body"),
        (True, (Type.PROBE, 0), EXAMPLE["PROBE payload"], "PROBE body"),
        (True, (Type.FIN, 3), EXAMPLE["FIN payload"], "FIN body"),
        (False, (Type.ACK, 0), EXAMPLE["ACK payload"], "ACK body"),
        (True, (Type.RESET, 1), EXAMPLE["RESET payload"], "RESET body"),
        (False, (Type.RESET, 1), EXAMPLE["RESET answer payload"], "RESET answer body"),
    ],
)
def test_a_session(sessions, is_ingress, kind_and_number, plaintext, body):
    at_ingress, at_exit = sessions
    sender, receiver = (at_ingress, at_exit) if is_ingress else (at_exit, at_ingress)
    frame = sender.seal(*kind_and_number, plaintext, 16)
    if body == "DATA body":
        assert frame.header() == EXAMPLE["DATA header"]
        assert frame.associated_data(len(frame.body)) == EXAMPLE["DATA associated data"]
    assert frame.body == EXAMPLE[body]
    assert receiver.unseal(frame) == plaintext


def test_a_record():
    statement = Statement(
        *(A.identity.public_key, 1_750_000_000_000, 0, A.instance, public(b"\x0a" * 32), A.certificate),
        *(True, False, False),
        neighbours=((B.identity.id, 3),),
        endpoints=(("my-api", "localhost:3000"),),
    )
    signed = encode(statement)
    signature = A.identity.sign("mesh record v1", signed)
    assert (signed, signature) == (EXAMPLE["record signed"], EXAMPLE["record signature"])
    assert to_body([(signed, signature, 7)]) == EXAMPLE["RECORDS payload"]
    assert encode(Digest(((A.identity.id, *freshness(statement)),))) == EXAMPLE["DIGEST payload"]
    record = read_record(signed, signature, 0.0, AUTHORITIES, NOW_S)
    assert (record.id, record.statement) == (A.identity.id, statement)


def test_a_record_with_what_is_for_others_only():
    """Whoever does not read sealed blocks passes them on."""
    block = decode(EXAMPLE["sealed block"], tuple[bytes, bytes, bytes])
    statement = Statement(
        *(A.identity.public_key, 1_750_000_000_000, 0, A.instance, public(b"\x0a" * 32), A.certificate),
        *(True, False, False),
        sealed=(block,),
    )
    signed = encode(statement)
    signature = A.identity.sign("mesh record v1", signed)
    record = read_record(signed, signature, 0.0, AUTHORITIES, NOW_S)
    assert (record.signed, record.statement.sealed) == (signed, (block,))
    assert [len(part) for part in block] == [16, 20, 144]


def test_a_question_for_a_certificate():
    """The example is beside the text about it."""
    owner, issuer, invitation = (Identity(bytes([seed]) * 32) for seed in (1, 2, 3))
    found = re.search(r"a question:\n\n((?:    [0-9a-f ]+\n)+)", PROTOCOL)
    assert question(owner, issuer.id, invitation.id) == bytes.fromhex(found[1])
