import nacl.bindings
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError
from mesh.trust.noise import dh, key_pair
from mesh.trust.noise.primitives import SharedSecrets

# RFC 7748, section 6.1.
ALICE = key_pair(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
BOB = key_pair(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))

# The u-coordinates of small order, and other spellings of them: https://cr.yp.to/ecdh.html#validate
SMALL_ORDER = {
    "0": bytes(32),
    "1": b"\x01" + bytes(31),
    "order 8": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "order 8 again": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "p - 1": b"\xec" + b"\xff" * 30 + b"\x7f",
    "p": b"\xed" + b"\xff" * 30 + b"\x7f",
    "p + 1": b"\xee" + b"\xff" * 30 + b"\x7f",
    "0 with the ignored bit": bytes(31) + b"\x80",
}


def test_the_example_of_rfc_7748():
    assert ALICE.public.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert BOB.public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert dh(ALICE, BOB.public).hex() == dh(BOB, ALICE.public).hex() == shared


@pytest.mark.parametrize("public", SMALL_ORDER.values(), ids=SMALL_ORDER)
def test_a_zero_result_is_refused(public: bytes):
    with pytest.raises(AuthenticationError, match="small order"):
        dh(ALICE, public)


@pytest.mark.parametrize("byte_count", [0, 1, 31, 33, 64])
def test_keys_of_a_wrong_length_are_refused(byte_count: int):
    with pytest.raises(AuthenticationError, match=f"found {byte_count}"):
        dh(ALICE, bytes(range(byte_count)))
    with pytest.raises(ValueError, match=f"found {byte_count}"):
        key_pair(bytes(byte_count))


def test_a_repr_hides_the_private_key():
    assert repr(ALICE) == f"KeyPair(public={ALICE.public!r})"
    assert not hasattr(ALICE, "__dict__")


def test_rfc_8439_appendix_a_5():
    key = bytes.fromhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0")
    nonce = bytes.fromhex("000000000102030405060708")
    associated_data = bytes.fromhex("f33388860000000000004e91")
    plaintext = (
        "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, "
        "or obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as "
        "reference material or to cite them other than as /\u201cwork in progress./\u201d"
    ).encode()
    sealed = ChaCha20Poly1305(key).encrypt(nonce, plaintext, associated_data)
    assert sealed[:16].hex() == "64a0861575861af460f062c79be643bd"
    assert sealed[-16:].hex() == "eead9d67890cbb22392336fea1851f38"


@given(
    key=st.binary(min_size=32, max_size=32),
    nonce=st.binary(min_size=12, max_size=12),
    plaintext=st.binary(max_size=500),
    associated_data=st.binary(max_size=100),
)
def test_both_libraries_seal_to_the_same_bytes(
    key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes
):
    ours = ChaCha20Poly1305(key).encrypt(nonce, plaintext, associated_data)
    theirs = nacl.bindings.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, associated_data, nonce, key)
    assert ours == theirs
    assert (
        nacl.bindings.crypto_aead_chacha20poly1305_ietf_decrypt(ours, associated_data, nonce, key)
        == ChaCha20Poly1305(key).decrypt(nonce, theirs, associated_data)
        == plaintext
    )


def test_both_libraries_seal_a_full_segment_to_the_same_bytes():
    segment = bytes(range(256)) * 256
    ours = ChaCha20Poly1305(bytes(32)).encrypt(bytes(12), segment, b"header")
    theirs = nacl.bindings.crypto_aead_chacha20poly1305_ietf_encrypt(segment, b"header", bytes(12), bytes(32))
    assert ours == theirs


def test_what_two_static_keys_share_is_worked_out_once(monkeypatch: pytest.MonkeyPatch):
    shared = SharedSecrets(ALICE)
    secret = shared.with_owner_of(BOB.public)
    monkeypatch.delattr(nacl.bindings, "crypto_scalarmult")
    assert shared.with_owner_of(BOB.public) == secret


def test_remembered_secrets_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nacl.bindings, "crypto_scalarmult", lambda private, public: private + public)
    shared = SharedSecrets(ALICE, max_kept=2)
    keys = [bytes((number,)) * 32 for number in range(5)]
    for public in keys:
        assert shared.with_owner_of(public) == ALICE.private + public
    monkeypatch.delattr(nacl.bindings, "crypto_scalarmult")
    assert [shared.with_owner_of(public)[32:] for public in keys[3:]] == keys[3:]
    with pytest.raises(AttributeError):
        shared.with_owner_of(keys[2])
