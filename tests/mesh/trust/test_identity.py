import nacl.signing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError
from mesh.trust import identity
from mesh.trust.identity import (
    Identity,
    agent_id_of,
    decode_public_key,
    display_id,
    encode_public_key,
    short_id,
    verify_signature,
)

# RFC 8032, section 7.1, test 1.
RFC_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_PUBLIC_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
RFC_ID = "52f6d4c98f47d6f0b81d8d0a4602d5ea"

AGENT = Identity(RFC_SEED)
OTHER = Identity(bytes(range(32)))
CONTEXT = b"test context"
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def test_a_seed_gives_the_public_key_of_rfc_8032():
    assert AGENT.public_key == RFC_PUBLIC_KEY


def test_an_id_is_pinned():
    assert display_id(AGENT.id) == RFC_ID
    assert short_id(AGENT.id) == RFC_ID[:8]
    assert agent_id_of(RFC_PUBLIC_KEY) == AGENT.id
    assert len(AGENT.id) == identity.AGENT_ID_BYTES
    assert len(identity.NO_AGENT) == identity.AGENT_ID_BYTES
    assert not any(identity.NO_AGENT)


def test_two_keys_have_two_ids():
    assert AGENT.id != OTHER.id


@pytest.mark.parametrize("byte_count", [0, 31, 33, 64])
def test_keys_and_seeds_of_a_wrong_length_are_refused(byte_count: int):
    with pytest.raises(ValueError, match=f"expected a seed of 32 bytes, found {byte_count}"):
        Identity(bytes(byte_count))
    with pytest.raises(ValueError, match=f"expected a public key of 32 bytes, found {byte_count}"):
        agent_id_of(bytes(byte_count))
    with pytest.raises(ValueError, match=f"expected a public key of 32 bytes, found {byte_count}"):
        encode_public_key(bytes(byte_count))


def test_a_repr_shows_the_id_and_nothing_secret():
    assert repr(AGENT) == f"Identity({RFC_ID})"
    assert not hasattr(AGENT, "__dict__")


def test_the_signature_input_is_context_length_context_message():
    signature = AGENT.sign(b"abc", b"message")
    assert len(signature) == identity.SIGNATURE_BYTES
    nacl.signing.VerifyKey(RFC_PUBLIC_KEY).verify(b"\x03abcmessage", signature)


@given(message=st.binary(max_size=300), context=st.binary(min_size=1, max_size=255))
def test_what_is_signed_verifies(message: bytes, context: bytes):
    verify_signature(AGENT.public_key, context, message, AGENT.sign(context, message))


@given(
    message=st.binary(min_size=1, max_size=100),
    where=st.sampled_from(["public_key", "context", "message", "signature"]),
    bit=st.integers(min_value=0),
)
def test_any_flipped_bit_is_found(message: bytes, where: str, bit: int):
    parts = {
        "public_key": AGENT.public_key,
        "context": CONTEXT,
        "message": message,
        "signature": AGENT.sign(CONTEXT, message),
    }
    damaged = bytearray(parts[where])
    bit %= len(damaged) * 8
    damaged[bit // 8] ^= 1 << bit % 8
    parts[where] = bytes(damaged)
    with pytest.raises(AuthenticationError):
        verify_signature(**parts)


def test_a_context_does_not_run_over_into_the_message():
    signature = AGENT.sign(b"ab", b"c")
    for context, message in ((b"a", b"bc"), (b"abc", b"")):
        with pytest.raises(AuthenticationError):
            verify_signature(AGENT.public_key, context, message, signature)


def test_the_protocols_contexts_differ():
    contexts = {
        identity.CERTIFICATE_CONTEXT,
        identity.RECORD_CONTEXT,
        identity.LINK_PROOF_CONTEXT,
        identity.ENROLMENT_CONTEXT,
        identity.REVOCATIONS_CONTEXT,
    }
    assert len(contexts) == 5


@pytest.mark.parametrize("context", [b"", bytes(256)])
def test_a_context_has_1_to_255_bytes(context: bytes):
    with pytest.raises(ValueError, match="context of 1 to 255 bytes"):
        AGENT.sign(context, b"")
    with pytest.raises(ValueError, match="context of 1 to 255 bytes"):
        verify_signature(AGENT.public_key, context, b"", bytes(64))


def test_somebody_elses_signature_is_refused():
    with pytest.raises(AuthenticationError, match="does not verify"):
        verify_signature(AGENT.public_key, CONTEXT, b"m", OTHER.sign(CONTEXT, b"m"))


@pytest.mark.parametrize("byte_count", [0, 1, 31, 33, 64])
def test_a_public_key_of_a_wrong_length_does_not_verify(byte_count: int):
    with pytest.raises(AuthenticationError, match="wrong length"):
        verify_signature(bytes(byte_count), CONTEXT, b"m", AGENT.sign(CONTEXT, b"m"))


@pytest.mark.parametrize("byte_count", [0, 1, 63, 65])
def test_a_signature_of_a_wrong_length_does_not_verify(byte_count: int):
    signature = (AGENT.sign(CONTEXT, b"m") + b"m")[:byte_count]
    with pytest.raises(AuthenticationError, match="wrong length"):
        verify_signature(AGENT.public_key, CONTEXT, b"m", signature)


def test_bytes_cannot_move_between_signature_and_message():
    signature = AGENT.sign(CONTEXT, b"m")
    with pytest.raises(AuthenticationError):
        verify_signature(AGENT.public_key, CONTEXT, b"m", signature + b"\x0ctest contextm")


def test_a_signature_has_no_second_form():
    signature = AGENT.sign(CONTEXT, b"m")
    scalar = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    with pytest.raises(AuthenticationError):
        verify_signature(AGENT.public_key, CONTEXT, b"m", signature[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize(
    "public_key",
    [
        bytes(32),
        b"\x01" + bytes(31),
        b"\x01" + bytes(30) + b"\x80",
        b"\xec" + b"\xff" * 30 + b"\x7f",
        b"\xee" + b"\xff" * 30 + b"\x7f",
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ],
    ids=["zero", "neutral", "neutral with sign", "order 2", "not canonical", "order 8", "order 8 again"],
)
def test_a_public_key_of_small_order_verifies_nothing(public_key: bytes):
    # With the neutral point as key and as R, and S = 0, a lax verifier accepts every message.
    for first in (b"\x01" + bytes(31), public_key):
        with pytest.raises(AuthenticationError):
            verify_signature(public_key, CONTEXT, b"any message", first + bytes(32))


@given(public_key=st.binary(min_size=32, max_size=32))
def test_public_keys_survive_their_text_form(public_key: bytes):
    text = encode_public_key(public_key)
    assert len(text) == identity.PUBLIC_KEY_CHARACTERS
    assert decode_public_key(text) == public_key


GOOD_TEXT = encode_public_key(RFC_PUBLIC_KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD_TEXT[:-1],
        GOOD_TEXT + "=",
        GOOD_TEXT + "\n",
        " " + GOOD_TEXT[:-1],
        GOOD_TEXT[:10] + "-" + GOOD_TEXT[11:],
        GOOD_TEXT[:10] + "\n" + GOOD_TEXT[11:],
        GOOD_TEXT[:10] + "é" + GOOD_TEXT[11:],
        GOOD_TEXT[:10] + "=" + GOOD_TEXT[11:],
        "A" * 44,
        "A" * 42 + "==",
        "A" * 42 + "B=",
        "=" * 44,
    ],
)
def test_any_other_text_is_no_public_key(text: str):
    with pytest.raises(ValueError, match="expected a public key: 44 characters of base64"):
        decode_public_key(text)


@given(text=st.text(max_size=50))
def test_garbage_is_a_key_in_its_only_spelling_or_a_value_error(text: str):
    try:
        public_key = decode_public_key(text)
    except ValueError:
        return
    assert encode_public_key(public_key) == text
