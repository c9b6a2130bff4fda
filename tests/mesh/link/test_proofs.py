"""What a link's proofs of identity must withstand: peers that finish the Noise handshake and then lie."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, RemoteProtocolError, TrustError
from mesh.link.opening import Versions, with_length
from mesh.trust.certificates import MAX_CERTIFICATE_BYTES, issue_certificate
from mesh.trust.identity import LINK_PROOF_CONTEXT, RECORD_CONTEXT, short_id
from mesh.trust.noise import Handshake, KeyPair
from tests.mesh.link.handshake_company import (
    ALICE,
    BOB,
    MALLORY,
    NOW,
    PREAMBLE,
    START,
    Party,
    alice,
    assert_over,
    bob,
    certificate,
    established,
    opened_by,
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
        prologue: bytes = PREAMBLE + PREAMBLE,
        context: bytes = LINK_PROOF_CONTEXT,
        version: int = 1,
        features: Any = (),
        more: Any = (),
    ) -> None:
        self._static = party.static if static is None else static
        self._party, self._shown = party, shown
        self._signature, self._payload = signature, payload
        self._context, self._version, self._features, self._more = context, version, features, more
        self._noise = Handshake(
            "XX",
            initiator=True,
            prologue=prologue,
            static=self._static,
            ephemeral=party.ephemeral,
        )
        self.first = opened_by(party.ephemeral.public)
        assert self._noise.write_message(self.first[-16:]) == self.first[START:]

    def answer(self, received: bytes) -> bytes:
        self._noise.read_message(received[START:])
        payload = self._proof() if self._payload is None else self._payload
        return with_length(self._noise.write_message(payload))

    @property
    def proof(self) -> bytes:
        """The latest that was made."""
        return self._made

    def _proof(self) -> bytes:
        statement = msgspec.msgpack.encode(
            [self._shown, self._party.instance, self._version, self._features, *self._more]
        )
        signature = self._signature
        if signature is None:
            signed = self._noise.handshake_hash + self._static.public + statement
            signature = self._party.identity.sign(self._context, signed)
        self._made = msgspec.msgpack.encode([statement, signature])
        return self._made


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


def test_the_proof_of_another_handshake_does_not_help():
    # Whoever Alice has dialed knows her proof, and that of no other handshake than theirs.
    seen = NoisePeer(ALICE, ALICE.certificate)
    seen.answer(bob(ephemeral=MALLORY.ephemeral).receive(seen.first, NOW).to_send)
    error = refuse(NoisePeer(ALICE, ALICE.certificate, payload=seen.proof))
    assert isinstance(error, AuthenticationError)


def test_a_proof_is_for_one_static_key():
    honest = NoisePeer(ALICE, ALICE.certificate)
    honest.answer(bob().receive(honest.first, NOW).to_send)
    thief = NoisePeer(ALICE, ALICE.certificate, static=MALLORY.static, payload=honest.proof)
    assert isinstance(refuse(thief), AuthenticationError)


def test_a_signature_for_another_purpose_does_not_help():
    peer = NoisePeer(MALLORY, MALLORY.certificate, context=RECORD_CONTEXT)
    assert "does not own it" in str(refuse(peer))


def test_the_proof_says_the_version_that_was_agreed_upon():
    error = refuse(NoisePeer(MALLORY, MALLORY.certificate, version=2))
    assert isinstance(error, AuthenticationError)
    assert "speaks version 2 on a link that has 1" in str(error)


def test_what_a_later_version_adds_to_its_proof_is_ignored():
    responder = bob()
    peer = NoisePeer(MALLORY, MALLORY.certificate, features=["later", "x-1"], more=[0, {"a": 1}, b"more"])
    last = peer.answer(responder.receive(peer.first, NOW).to_send)
    assert established(responder.receive(last, NOW)).features == frozenset()


def test_another_prologue_does_not_authenticate():
    responder = bob()
    peer = NoisePeer(MALLORY, MALLORY.certificate, prologue=PREAMBLE + Versions(1, 2).preamble)
    with pytest.raises(AuthenticationError):
        peer.answer(responder.receive(peer.first, NOW).to_send)


def test_an_ephemeral_key_of_small_order_is_refused():
    responder = bob()
    with pytest.raises(AuthenticationError, match="small order"):
        responder.receive(opened_by(bytes(32)), NOW)
    assert_over(responder)


@pytest.mark.parametrize("fault", ["another static key", "another instance"])
def test_the_responder_too_tells_a_copy_of_its_identity(fault):
    copy = certificate(BOB.identity, "another name")
    if fault == "another static key":  # a thief of the key who has read the instance in Bob's record
        peer = NoisePeer(BOB, copy, static=MALLORY.static)
    else:
        other = Party(20, "bob")
        other.instance = MALLORY.instance
        peer = NoisePeer(other, copy)
    assert str(refuse(peer)).startswith("that is this agent's own identity")


def proof_of(*statement: Any, signature: Any = bytes(64)) -> bytes:
    return msgspec.msgpack.encode([msgspec.msgpack.encode(statement), signature])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x93",
        b"\xdd\xff\xff\xff\xff",
        msgspec.msgpack.encode([]),
        msgspec.msgpack.encode({}),
        msgspec.msgpack.encode([b"", bytes(64), b"more"]),
        msgspec.msgpack.encode([b"", bytes(64)]),
        proof_of(MALLORY.certificate, MALLORY.instance, 1),
        proof_of(MALLORY.certificate, MALLORY.instance, 1, []) + b"\0",
        proof_of(MALLORY.certificate, bytes(15), 1, []),
        proof_of(MALLORY.certificate, bytes(17), 1, []),
        proof_of(MALLORY.certificate, MALLORY.instance, 1, [], signature=bytes(63)),
        proof_of(MALLORY.certificate, MALLORY.instance, 1, [], signature=7),
        proof_of(MALLORY.certificate, MALLORY.instance, "1", []),
        proof_of(MALLORY.certificate, MALLORY.instance, 1, ["x" * 33]),
        proof_of(MALLORY.certificate, MALLORY.instance, 1, ["X Y"]),
        proof_of(MALLORY.certificate, MALLORY.instance, 1, ["x\n"]),
        proof_of(MALLORY.certificate, MALLORY.instance, 1, [""]),
        proof_of(MALLORY.certificate, MALLORY.instance, 1, ["x"] * 33),
        proof_of(bytes(MAX_CERTIFICATE_BYTES + 1), MALLORY.instance, 1, []),
        b"\x91" * 3000,
    ],
    ids=range(22),
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
