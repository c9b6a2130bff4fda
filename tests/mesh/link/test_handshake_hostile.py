"""What the opening of a link must withstand: other protocols, absurd lengths, damage, echoes, replays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.link.handshake import MAX_MESSAGE_BYTES, PREAMBLE
from tests.mesh.link.handshake_company import (
    FIRST,
    MALLORY,
    NOW,
    SECOND,
    THIRD,
    assert_over,
    bob,
    halfway,
    started,
)


@given(bit=st.integers(min_value=0))
def test_a_flipped_bit_in_message_1_never_opens_a_link(bit: int):
    responder = bob()
    try:
        answer = responder.receive(flip(FIRST, bit), NOW).to_send
    except RemoteProtocolError:
        assert_over(responder)
        return
    initiator = started()
    with pytest.raises(AuthenticationError):
        initiator.receive(answer, NOW)
    assert_over(initiator)
    with pytest.raises(AuthenticationError):
        responder.receive(THIRD, NOW)
    assert_over(responder)


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
        (b"MESH\x02\x00\x20", "speaks link protocol version 2, this agent version 1"),
        (b"MESH\x00\x00\x20", "speaks link protocol version 0"),
        (b"mesh\x01\x00\x20", r"no mesh agent: it starts with b'mesh\\x01'"),
        (bytes(100), "no mesh agent"),
        (b"\x1b[2J\x07\x00\x00", r"starts with b'\\x1b\[2J\\x07'"),
    ],
)
@pytest.mark.parametrize("initiator", [True, False])
def test_other_protocols_are_named(data: bytes, says: str, initiator: bool):
    handshake = started() if initiator else bob()
    with pytest.raises(RemoteProtocolError, match=says):
        handshake.receive(data, NOW)
    assert_over(handshake)


@pytest.mark.parametrize("length", [0, 31, 33, MAX_MESSAGE_BYTES, 0xFFFF])
def test_message_1_has_one_length_and_is_judged_before_it_arrives(length: int):
    responder = bob()
    with pytest.raises(RemoteProtocolError, match=f"message 1 announces {length} bytes, expected 32"):
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
