import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.errors import AuthenticationError
from mesh.trust.noise import HashName
from mesh.trust.noise.symmetric import HASHES, SymmetricState


def keyed():
    """A state with a key, and a cipher of that key."""
    state = SymmetricState(b"name", "SHA256")
    state.mix_key(b"secret")
    return state, ChaCha20Poly1305(state._key)


def test_the_nonce_is_four_zeros_and_a_little_endian_count():
    state, cipher = keyed()
    for count in range(3):
        nonce, before = bytes(4) + bytes((count,)) + bytes(7), state.handshake_hash
        assert state.encrypt_and_hash(b"text") == cipher.encrypt(nonce, b"text", before)


def test_a_new_key_counts_from_zero():
    state, _ = keyed()
    state.encrypt_and_hash(b"text")
    state.mix_key(b"another")
    before = state.handshake_hash
    assert state.encrypt_and_hash(b"") == ChaCha20Poly1305(state._key).encrypt(bytes(12), b"", before)


def test_a_failure_moves_neither_nonce_nor_hash():
    (sender, _), (receiver, _) = keyed(), keyed()
    sealed, before = sender.encrypt_and_hash(b"text"), receiver.handshake_hash
    for ciphertext in (sealed[:-1], b"", bytes(16), bytes(len(sealed))):
        with pytest.raises(AuthenticationError, match="does not authenticate"):
            receiver.decrypt_and_hash(ciphertext)
        assert receiver.handshake_hash == before
    assert receiver.decrypt_and_hash(sealed) == b"text"
    assert receiver.handshake_hash == sender.handshake_hash
    with pytest.raises(AuthenticationError):
        receiver.decrypt_and_hash(sealed)


def test_a_copied_state_goes_on_from_the_same_nonce():
    state, _ = keyed()
    state.encrypt_and_hash(b"")
    twin = state.copy()
    assert twin.encrypt_and_hash(b"x") == state.encrypt_and_hash(b"x")


@pytest.mark.parametrize("name", HASHES)
def test_a_name_is_padded_to_the_hash_or_hashed(name: HashName):
    byte_count = HASHES[name].byte_count
    assert SymmetricState(b"a" * (byte_count - 1), name).handshake_hash == b"a" * (byte_count - 1) + b"\0"
    assert SymmetricState(b"a" * byte_count, name).handshake_hash == b"a" * byte_count
    long_name = b"a" * (byte_count + 1)
    assert SymmetricState(long_name, name).handshake_hash == hashlib.new(name.lower(), long_name).digest()


@pytest.mark.parametrize("name", HASHES)
def test_keys_come_of_the_specifications_hkdf(name: HashName):
    digest_name = name.lower()
    byte_count = HASHES[name].byte_count
    chaining_key = b"name".ljust(byte_count, b"\0")
    temporary = hmac.new(chaining_key, b"secret", digest_name).digest()
    first = hmac.new(temporary, b"\x01", digest_name).digest()
    second = hmac.new(temporary, first + b"\x02", digest_name).digest()
    state = SymmetricState(b"name", name)
    state.mix_key(b"secret")
    assert state.encrypt_and_hash(b"text") == ChaCha20Poly1305(second[:32]).encrypt(
        bytes(12), b"text", chaining_key
    )
    temporary = hmac.new(first, b"", digest_name).digest()
    third = hmac.new(temporary, b"\x01", digest_name).digest()
    fourth = hmac.new(temporary, third + b"\x02", digest_name).digest()
    assert state.split() == (third[:32], fourth[:32])


def test_without_a_key_bytes_pass_as_they_are_but_are_hashed():
    state = SymmetricState(b"name", "SHA256")
    before = state.handshake_hash
    assert state.encrypt_and_hash(b"text") == b"text"
    assert state.handshake_hash == hashlib.sha256(before + b"text").digest()


def test_a_copied_state_goes_its_own_way():
    state = SymmetricState(b"name", "SHA256")
    early = state.copy()
    state.mix_key(b"secret")
    twin = state.copy()
    sealed = twin.encrypt_and_hash(b"text")
    assert state.handshake_hash == early.handshake_hash != twin.handshake_hash
    assert state.decrypt_and_hash(sealed) == b"text"
    assert state.handshake_hash == twin.handshake_hash
    assert early.encrypt_and_hash(b"text") == b"text"


def test_what_is_forgotten_is_gone():
    state = SymmetricState(b"name", "SHA256")
    state.mix_key(b"secret")
    keys, handshake_hash = state.split(), state.handshake_hash
    state.forget()
    assert state.handshake_hash == handshake_hash
    assert state.split() != keys
    assert state.encrypt_and_hash(b"text") == b"text"


@pytest.mark.parametrize("hash_name", HASHES)
def test_what_is_exported_depends_on_secrets_transcript_and_label(hash_name):
    def exported(label=b"label", secret=b"secret", said=b"said"):
        state = SymmetricState(b"name", hash_name)
        state.mix_key(secret)
        state.mix_hash(said)
        chaining_key, hash_ = state._chaining_key, state.handshake_hash
        expected = hmac.new(chaining_key, label + hash_, HASHES[hash_name].new).digest()
        assert state.export(label) == expected
        return expected

    assert len({exported(), exported(b"other"), exported(secret=b"other"), exported(said=b"other")}) == 4
