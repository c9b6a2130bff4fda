"""What a Noise handshake must withstand: damage, garbage, echoes, and messages of another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError
from mesh.trust.noise import Handshake, PatternName
from tests.mesh.trust.noise.noise_company import (
    INITIATOR_EPHEMERAL,
    INITIATOR_STATIC,
    MESSAGES,
    PATTERNS,
    PAYLOADS,
    POINTS,
    RESPONDER_EPHEMERAL,
    STRANGER,
    assert_dead,
    at_every_message,
    initiator,
    responder,
    run_until,
)


@given(point=st.sampled_from(POINTS), bit=st.integers(min_value=0))
def test_a_flipped_bit_ends_it_at_the_next_check(point: tuple[PatternName, int], bit: int):
    pattern, count = point
    writer, reader = run_until(pattern, count)
    damaged = bytearray(writer.write_message(PAYLOADS[count]))
    bit %= len(damaged) * 8
    damaged[bit // 8] ^= 1 << bit % 8
    if point != ("XX", 0):
        with pytest.raises(AuthenticationError):
            reader.read_message(bytes(damaged))
        assert_dead(reader)
        return
    # The first message of XX is in the clear: what was changed there is found in the second.
    reader.read_message(bytes(damaged))
    with pytest.raises(AuthenticationError):
        writer.read_message(reader.write_message(b""))
    assert_dead(writer)


@at_every_message
def test_every_truncation_fails(pattern: PatternName, count: int):
    writer, reader = run_until(pattern, count)
    message = writer.write_message(PAYLOADS[count])
    shortest_good = 32 if (pattern, count) == ("XX", 0) else len(message)
    for byte_count in range(shortest_good):
        attempt = reader.copy()
        with pytest.raises(AuthenticationError):
            attempt.read_message(message[:byte_count])
        assert_dead(attempt)


@at_every_message
def test_surplus_bytes_fail(pattern: PatternName, count: int):
    writer, reader = run_until(pattern, count)
    message = writer.write_message(b"")
    if (pattern, count) == ("XX", 0):
        assert reader.read_message(message + b"x") == b"x"
        return
    with pytest.raises(AuthenticationError):
        reader.read_message(message + b"x")


@given(point=st.sampled_from(POINTS), garbage=st.binary(max_size=300))
def test_garbage_fails_cleanly(point: tuple[PatternName, int], garbage: bytes):
    pattern, count = point
    _, reader = run_until(pattern, count)
    if point == ("XX", 0) and len(garbage) >= 32:
        assert reader.read_message(garbage) == garbage[32:]
        return
    with pytest.raises(AuthenticationError):
        reader.read_message(garbage)
    assert_dead(reader)


@pytest.mark.parametrize(
    ("pattern", "count"), [point for point in POINTS if point[1] + 1 < MESSAGES[point[0]]]
)
def test_a_reflected_message_fails(pattern: PatternName, count: int):
    writer, _ = run_until(pattern, count)
    message = writer.write_message(b"payload")
    with pytest.raises(AuthenticationError):
        writer.read_message(message)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_message_of_another_handshake_fails(pattern: PatternName):
    for count in range(1, MESSAGES[pattern]):
        _, reader = run_until(pattern, count)
        one, two = initiator(pattern, prologue=b"another"), responder(pattern, prologue=b"another")
        for _ in range(count):
            two.read_message(one.write_message(b""))
            one, two = two, one
        with pytest.raises(AuthenticationError):
            reader.read_message(one.write_message(b""))


def test_another_prologue_fails():
    with pytest.raises(AuthenticationError):
        responder("IK", prologue=b"other").read_message(initiator("IK").write_message(b""))
    one, two = initiator("XX"), responder("XX", prologue=b"other")
    two.read_message(one.write_message(b""))
    with pytest.raises(AuthenticationError):
        one.read_message(two.write_message(b""))


@pytest.mark.parametrize("pattern", ["IK", "KK"])
def test_what_is_for_another_responder_fails(pattern: PatternName):
    message = initiator(pattern, remote=STRANGER).write_message(b"")
    with pytest.raises(AuthenticationError):
        responder(pattern).read_message(message)


def test_kk_from_another_initiator_fails():
    with pytest.raises(AuthenticationError):
        responder("KK", remote=STRANGER).read_message(initiator("KK").write_message(b""))


def test_ik_is_answered_by_nobody_but_the_responder():
    one = initiator("IK")
    message = one.write_message(b"")
    with pytest.raises(AuthenticationError):
        Handshake(
            "IK", initiator=False, prologue=b"prologue", static=STRANGER, ephemeral=RESPONDER_EPHEMERAL
        ).read_message(message)
    # Nor by one whose answer belongs to a message that the initiator sent to somebody else.
    impostor = Handshake(
        "IK", initiator=False, prologue=b"prologue", static=STRANGER, ephemeral=RESPONDER_EPHEMERAL
    )
    impostor.read_message(initiator("IK", remote=STRANGER).write_message(b""))
    with pytest.raises(AuthenticationError):
        one.read_message(impostor.write_message(b""))


SMALL_ORDER = (bytes(32), b"\x01" + bytes(31))


@pytest.mark.parametrize("public", SMALL_ORDER)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_ephemeral_key_of_small_order_is_refused(pattern: PatternName, public: bytes):
    message = initiator(pattern).write_message(b"")
    side = responder(pattern)
    if pattern != "XX":
        with pytest.raises(AuthenticationError, match="small order"):
            side.read_message(public + message[32:])
    else:
        side.read_message(public)
        with pytest.raises(AuthenticationError, match="small order"):
            side.write_message(b"")
    assert_dead(side)


def test_a_remote_static_key_of_small_order_is_refused():
    side = Handshake(
        "IK",
        initiator=True,
        prologue=b"",
        static=INITIATOR_STATIC,
        ephemeral=INITIATOR_EPHEMERAL,
        remote_static=bytes(32),
    )
    with pytest.raises(AuthenticationError, match="small order"):
        side.write_message(b"")
    assert_dead(side)
