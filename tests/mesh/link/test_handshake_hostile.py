"""What the opening of a link must withstand: other protocols, absurd lengths, damage, echoes, replays."""

from hashlib import blake2s

import nacl.bindings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.link.handshake import MAX_MESSAGE_BYTES
from mesh.link.opening import MAX_OPENING_BYTES, Versions, mac_key
from mesh.trust.noise import Handshake
from tests.mesh.link.handshake_company import (
    ALICE,
    AUTHORITY,
    FIRST,
    MALLORY,
    NOW,
    PREAMBLE,
    SECOND,
    START,
    THIRD,
    alice,
    assert_over,
    bob,
    halfway,
    opened_by,
    started,
)


@given(bit=st.integers(min_value=0))
def test_a_flipped_bit_in_the_opening_gets_no_answer(bit: int):
    responder = bob()
    try:
        progress = responder.receive(flip(FIRST, bit), NOW)
    except RemoteProtocolError:
        assert_over(responder)
        return
    assert (progress.to_send, progress.established) == (b"", None)  # a longer length: it waits for the rest
    assert responder.buffered_bytes <= MAX_OPENING_BYTES


@pytest.mark.parametrize(
    "opening",
    [
        opened_by(MALLORY.ephemeral.public, authority=MALLORY.identity),
        opened_by(MALLORY.ephemeral.public, mac=bytes(16)),
        opened_by(bytes(32), mac=FIRST[-16:]),
        opened_by(MALLORY.ephemeral.public, versions=Versions(2, 2), authority=MALLORY.identity),
    ],
    ids=["another authority", "no MAC", "the MAC of another", "another version too"],
)
def test_a_stranger_gets_no_answer_and_costs_no_diffie_hellman(
    opening: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(nacl.bindings, "crypto_scalarmult", None)
    responder = bob()
    with pytest.raises(AuthenticationError, match="shows no authority that this agent trusts"):
        responder.receive(opening, NOW)
    assert_over(responder)


@pytest.mark.parametrize("who", ["initiator", "responder"])
@pytest.mark.parametrize("with_mac", [True, False])
def test_nobody_in_the_middle_talks_two_agents_down(who: str, with_mac: bool):
    """Both speak version 2; a member in the middle, who can make the MAC, makes one side believe in 1."""
    initiator, responder = alice(versions=Versions(1, 2)), bob(versions=Versions(1, 2))
    first = initiator.start()
    if who == "initiator":
        first = opened_by(first[8:40], versions=Versions(1, 1), mac=None if with_mac else first[-16:])
        if not with_mac:
            with pytest.raises(AuthenticationError):
                responder.receive(first, NOW)
            return
    second = responder.receive(first, NOW).to_send
    if who == "responder":
        second = PREAMBLE + second[len(PREAMBLE) :]
    with pytest.raises(AuthenticationError):
        initiator.receive(second, NOW)
    assert_over(initiator)


@given(added=st.binary(max_size=64))
def test_what_a_later_version_adds_to_message_1_is_bound_and_ignored(added: bytes):
    key = mac_key(AUTHORITY.public_key)
    preamble = Versions(1, 2).preamble
    message = ALICE.ephemeral.public + added
    covered = preamble + (len(message) + 16).to_bytes(2, "big") + message
    mac = blake2s(covered, digest_size=16, key=key).digest()
    noise = Handshake(
        "XX", initiator=True, prologue=preamble + PREAMBLE, static=ALICE.static, ephemeral=ALICE.ephemeral
    )
    noise.write_message(added + mac)
    answer = bob().receive(covered + mac, NOW).to_send
    assert noise.read_message(answer[START:])


@given(bit=st.integers(min_value=0), initiator=st.booleans())
def test_a_flipped_bit_in_a_proof_never_opens_a_link(bit: int, initiator: bool):
    handshake, byte_count = (started(), SECOND) if initiator else (halfway(), THIRD)
    try:
        progress = handshake.receive(flip(byte_count, bit), NOW)
    except RemoteProtocolError:
        assert_over(handshake)
        return
    # A longer length leaves it waiting for what never comes; anything else has been found.
    assert (progress.established, progress.to_send) == (None, b"")
    with pytest.raises(RemoteProtocolError, match="middle of the handshake"):
        handshake.end_of_stream()


def flip(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    bit %= len(data) * 8
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "an HTTP client"),
        (b"POST /api HTTP/1.1\r\n", "an HTTP client"),
        (b"OPTIONS * HTTP/1.1\r\n", "an HTTP client"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP client"),
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            "the other side speaks HTTP: is it the address of an agent's acceptor?",
        ),
        (b"<!DOCTYPE HTML>\n<html lang='en'>", "the other side speaks HTTP"),
        (b"<html><head>", "the other side speaks HTTP"),
        (bytes.fromhex("16030100f8010000f40303"), "speaks TLS"),
        (bytes.fromhex("15030300020228"), "speaks TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "speaks SSH"),
        (b"MESH\x02\x01\x00\x30", "offers link protocol versions 2 to 1, which are none"),
        (b"mesh\x01\x01\x00\x30", r"no mesh agent: it starts with b'mesh\\x01\\x01'"),
        (bytes(100), "no mesh agent"),
        (b"\x1b[2J\x07\x00\x00", r"starts with b'\\x1b\[2J\\x07\\x00'"),
    ],
)
@pytest.mark.parametrize("initiator", [True, False])
def test_other_protocols_are_named(data: bytes, says: str, initiator: bool):
    handshake = started() if initiator else bob()
    with pytest.raises(RemoteProtocolError, match=says):
        handshake.receive(data, NOW)
    assert_over(handshake)


@pytest.mark.parametrize("length", [0, 32, 47, 113, MAX_MESSAGE_BYTES, 0xFFFF])
def test_message_1_is_short_and_is_judged_before_it_arrives(length: int):
    responder = bob()
    with pytest.raises(RemoteProtocolError, match=f"message 1 announces {length} bytes, expected 48 to 112"):
        responder.receive(PREAMBLE + length.to_bytes(2, "big"), NOW)
    assert_over(responder)


@pytest.mark.parametrize("length", [MAX_MESSAGE_BYTES + 1, 0xFFFF])
@pytest.mark.parametrize("initiator", [True, False])
def test_an_absurd_length_is_judged_before_the_message_arrives(length: int, initiator: bool):
    handshake = started() if initiator else halfway()
    prefix = PREAMBLE if initiator else b""
    with pytest.raises(RemoteProtocolError, match=f"announces {length} bytes, at most 4096"):
        handshake.receive(prefix + length.to_bytes(2, "big"), NOW)
    assert_over(handshake)


@pytest.mark.parametrize("length", [0, 1, 63, 95, 200, MAX_MESSAGE_BYTES])
@pytest.mark.parametrize("initiator", [True, False])
def test_a_message_of_zeros_is_refused(length: int, initiator: bool):
    handshake = started() if initiator else halfway()
    prefix = PREAMBLE if initiator else b""
    with pytest.raises(AuthenticationError):
        handshake.receive(prefix + length.to_bytes(2, "big") + bytes(length), NOW)
    assert_over(handshake)


def test_a_reflected_opening_is_refused():
    # The echo reads as an answer that stops after the ephemeral key.
    initiator = started()
    with pytest.raises(AuthenticationError):
        initiator.receive(FIRST, NOW)


def test_a_replayed_opening_ends_at_message_3():
    responder = bob(ephemeral=MALLORY.ephemeral)
    assert responder.receive(FIRST, NOW).to_send != SECOND
    with pytest.raises(AuthenticationError):
        responder.receive(THIRD, NOW)
