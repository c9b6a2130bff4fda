"""What a link's proofs of identity must withstand: peers that finish the Noise handshake and then lie."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, RemoteProtocolError, TrustError
from mesh.link.handshake import PREAMBLE
from mesh.trust.certificates import MAX_CERTIFICATE_BYTES, issue_certificate
from mesh.trust.identity import LINK_PROOF_CONTEXT, RECORD_CONTEXT, short_id
from mesh.trust.noise import Handshake, KeyPair
from tests.mesh.link.handshake_company import (
    ALICE,
    BOB,
    MALLORY,
    NOW,
    Party,
    alice,
    assert_over,
    bob,
    certificate,
    established,
)


class NoisePeer:
    """An initiator that finishes the Noise handshake with whatever payloads it likes."""

    def __init__(
        self,
        party: Party,
        shown: bytes,
        *,
        static: KeyPair | None = None,
        signature: bytes | None = None,
        payload: bytes | None = None,
        prologue: bytes = PREAMBLE,
        first_payload: bytes = b"",
    ) -> None:
        static = party.static if static is None else static
        if signature is None:
            signature = party.identity.sign(LINK_PROOF_CONTEXT, static.public)
        if payload is None:
            payload = msgspec.msgpack.encode([shown, party.instance, signature])
        self._payload = payload
        self._noise = Handshake(
            "XX", initiator=True, prologue=prologue, static=static, ephemeral=party.ephemeral
        )
        message = self._noise.write_message(first_payload)
        self.first = PREAMBLE + len(message).to_bytes(2, "big") + message

    def answer(self, received: bytes) -> bytes:
        self._noise.read_message(received[7:])
        message = self._noise.write_message(self._payload)
        return len(message).to_bytes(2, "big") + message


def refuse(peer: NoisePeer) -> RemoteProtocolError:
    """What Bob says to ``peer``."""
    responder = bob()
    last = peer.answer(responder.receive(peer.first, NOW).to_send)
    with pytest.raises(RemoteProtocolError) as caught:
        responder.receive(last, NOW)
    assert_over(responder)
    return caught.value


def test_the_hand_made_peer_is_let_in_when_it_is_honest():
    responder = bob()
    peer = NoisePeer(MALLORY, MALLORY.certificate)
    last = peer.answer(responder.receive(peer.first, NOW).to_send)
    assert established(responder.receive(last, NOW)).peer.name == "mallory"


def test_somebody_elses_certificate_does_not_help():
    error = refuse(NoisePeer(MALLORY, ALICE.certificate))
    assert isinstance(error, AuthenticationError)
    assert str(error) == (
        f"the peer shows the certificate of 'alice' ({short_id(ALICE.identity.id)}) but does not own it"
    )


def test_somebody_elses_certificate_and_signature_do_not_help():
    # Whoever has met Alice knows both, but not the static key that they belong to.
    signature = ALICE.identity.sign(LINK_PROOF_CONTEXT, ALICE.static.public)
    error = refuse(NoisePeer(MALLORY, ALICE.certificate, signature=signature))
    assert isinstance(error, AuthenticationError)


def test_a_signature_for_another_purpose_does_not_help():
    signature = MALLORY.identity.sign(RECORD_CONTEXT, MALLORY.static.public)
    assert "does not own it" in str(refuse(NoisePeer(MALLORY, MALLORY.certificate, signature=signature)))


def test_another_prologue_does_not_authenticate():
    responder = bob()
    peer = NoisePeer(MALLORY, MALLORY.certificate, prologue=b"MESH\x02")
    with pytest.raises(AuthenticationError):
        peer.answer(responder.receive(peer.first, NOW).to_send)


def test_message_1_carries_nothing():
    responder = bob()
    with pytest.raises(RemoteProtocolError, match="announces 33 bytes, expected 32"):
        responder.receive(NoisePeer(MALLORY, MALLORY.certificate, first_payload=b"x").first, NOW)


def test_an_ephemeral_key_of_small_order_is_refused():
    responder = bob()
    with pytest.raises(AuthenticationError, match="small order"):
        responder.receive(PREAMBLE + b"\x00\x20" + bytes(32), NOW)
    assert_over(responder)


@pytest.mark.parametrize("fault", ["another static key", "another instance"])
def test_the_responder_too_tells_a_copy_of_its_identity(fault):
    copy = certificate(BOB.identity, "another name")
    if fault == "another static key":  # a thief of the key who has read the instance in Bob's record
        peer = NoisePeer(BOB, copy, static=MALLORY.static)
    else:
        signature = BOB.identity.sign(LINK_PROOF_CONTEXT, BOB.static.public)
        payload = msgspec.msgpack.encode([copy, MALLORY.instance, signature])
        peer = NoisePeer(BOB, copy, payload=payload)
    assert str(refuse(peer)).startswith("that is this agent's own identity")


GOOD_SIGNATURE = MALLORY.identity.sign(LINK_PROOF_CONTEXT, MALLORY.static.public)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x93",
        b"\xdd\xff\xff\xff\xff",
        msgspec.msgpack.encode([]),
        msgspec.msgpack.encode({}),
        msgspec.msgpack.encode([MALLORY.certificate, MALLORY.instance]),
        msgspec.msgpack.encode([MALLORY.certificate, MALLORY.instance, GOOD_SIGNATURE, b"more"]),
        msgspec.msgpack.encode([MALLORY.certificate, MALLORY.instance, GOOD_SIGNATURE]) + b"\0",
        msgspec.msgpack.encode([MALLORY.certificate, bytes(15), GOOD_SIGNATURE]),
        msgspec.msgpack.encode([MALLORY.certificate, bytes(17), GOOD_SIGNATURE]),
        msgspec.msgpack.encode([MALLORY.certificate, MALLORY.instance, GOOD_SIGNATURE[:63]]),
        msgspec.msgpack.encode([MALLORY.certificate, MALLORY.instance, 7]),
        msgspec.msgpack.encode([bytes(MAX_CERTIFICATE_BYTES + 1), MALLORY.instance, GOOD_SIGNATURE]),
        b"\x91" * 3000,
    ],
    ids=range(15),
)
def test_a_malformed_proof_is_refused(payload: bytes):
    assert str(refuse(NoisePeer(MALLORY, b"", payload=payload))).startswith("malformed proof of identity")


@given(payload=st.binary(max_size=400))
def test_a_proof_of_garbage_is_refused(payload: bytes):
    assert type(refuse(NoisePeer(MALLORY, b"", payload=payload))) in (RemoteProtocolError, TrustError)


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        (certificate(MALLORY.identity, "mallory", not_after=NOW), "'mallory' .* expired since"),
        (certificate(MALLORY.identity, "mallory", not_before=NOW + 900), "'mallory' .* not valid until"),
        (
            MALLORY.certificate[:63] + bytes([MALLORY.certificate[63] ^ 1]) + MALLORY.certificate[64:],
            "bad signature",
        ),
        (b"", "malformed certificate"),
        (
            issue_certificate(
                MALLORY.identity,
                subject=MALLORY.identity.public_key,
                name="mallory",
                not_before=0,
                not_after=NOW + 1,
            ),
            "does not trust",
        ),
    ],
    ids=["expired", "future", "bad signature", "empty", "foreign authority"],
)
def test_a_certificate_that_admits_nobody_is_refused_on_both_sides(shown: bytes, says: str):
    with pytest.raises(TrustError, match=says):
        raise refuse(NoisePeer(MALLORY, shown))
    initiator = alice()
    first = initiator.start()
    responder = bob(identity=MALLORY.identity, certificate=shown)
    with pytest.raises(TrustError, match=says):
        initiator.receive(responder.receive(first, NOW).to_send, NOW)
    assert_over(initiator)
