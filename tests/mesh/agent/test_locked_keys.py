import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.pwhash import argon2id

from mesh.agent import locked_keys
from mesh.agent.files import AgentFileError, KeyUse, read_key, write_key
from mesh.agent.locked_keys import (
    LOCKED_BYTES,
    MAX_MEMORY_BYTES,
    MEMORY_BYTES,
    OPERATIONS,
    LockedKeyError,
    lock,
    unfit,
    unlock,
)
from mesh.trust.identity import Identity

SEED = bytes(range(32))
PASSPHRASE = "correct horse \u2013 battery"


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """The least work that there is: what takes long is not what is tried here."""
    monkeypatch.setattr(locked_keys, "OPERATIONS", argon2id.OPSLIMIT_MIN)
    monkeypatch.setattr(locked_keys, "MEMORY_BYTES", argon2id.MEMLIMIT_MIN)


def test_a_guess_costs_what_libsodium_calls_moderate():
    assert (OPERATIONS, MEMORY_BYTES) == (argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE)


def test_only_the_passphrase_unlocks():
    data = lock(SEED, PASSPHRASE, os.urandom)
    assert len(data) == LOCKED_BYTES
    assert SEED not in data
    assert unlock(data, PASSPHRASE) == SEED
    assert lock(SEED, PASSPHRASE, os.urandom) != data
    for wrong in ("", PASSPHRASE[:-1], PASSPHRASE.upper()):
        with pytest.raises(LockedKeyError, match="the passphrase is wrong, or the key is damaged"):
            unlock(data, wrong)


@given(position=st.integers(8, LOCKED_BYTES - 1), change=st.integers(1, 255))
def test_whatever_is_damaged_does_not_unlock(position, change):
    data = bytearray(locked())
    data[position] ^= change
    with pytest.raises(LockedKeyError):
        unlock(bytes(data), PASSPHRASE)


def locked():
    """With the least work, whatever the module is set to."""
    head = struct.pack(">II16s", argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN // 1024, bytes(16))
    box = locked_keys._box(PASSPHRASE, bytes(16), argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN)
    return head + bytes(box.encrypt(SEED, bytes(24)))


@pytest.mark.parametrize(
    ("operations", "memory_kib"), [(0, 8), (33, 8), (2**32 - 1, 8), (1, MAX_MEMORY_BYTES // 1024 + 1), (1, 0)]
)
def test_a_file_that_asks_for_too_much_work_or_none_is_refused_at_once(operations, memory_kib):
    data = struct.pack(">II", operations, memory_kib) + locked()[8:]
    with pytest.raises(LockedKeyError, match="damaged"):
        unlock(data, PASSPHRASE)


@pytest.mark.parametrize("length", [0, LOCKED_BYTES - 1, LOCKED_BYTES + 1])
def test_another_length_is_damage(length):
    with pytest.raises(LockedKeyError, match="damaged"):
        unlock(bytes(length), PASSPHRASE)


def test_passphrases_that_are_too_short_or_long():
    assert not unfit("x" * 8)
    assert "8 to 1,024 characters" in unfit("x" * 7)
    assert unfit("x" * 1025)


def test_a_locked_key_in_a_file(tmp_path):
    path = tmp_path / "authority.key"
    write_key(path, KeyUse.AUTHORITY, SEED, passphrase=PASSPHRASE)
    assert path.read_text().startswith("-----BEGIN MESH LOCKED AUTHORITY KEY-----\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (
        read_key(path, KeyUse.AUTHORITY, passphrase=lambda: PASSPHRASE).public_key
        == Identity(SEED).public_key
    )
    with pytest.raises(AgentFileError, match=r"authority\.key: the passphrase is wrong"):
        read_key(path, KeyUse.AUTHORITY, passphrase=lambda: "another one")
    with pytest.raises(AgentFileError, match="this key has a passphrase"):
        read_key(path, KeyUse.AUTHORITY)
    with pytest.raises(AgentFileError, match="found a mesh authority key; expected a mesh identity key"):
        read_key(path, KeyUse.IDENTITY, passphrase=lambda: PASSPHRASE)
    path.chmod(0o640)
    with pytest.raises(AgentFileError, match="others can read"):
        read_key(path, KeyUse.AUTHORITY, passphrase=lambda: PASSPHRASE)


def test_a_key_without_a_passphrase_asks_for_none(tmp_path):
    write_key(tmp_path / "a.key", KeyUse.AUTHORITY, SEED)

    def ask():
        raise AssertionError

    assert read_key(tmp_path / "a.key", KeyUse.AUTHORITY, passphrase=ask).public_key
