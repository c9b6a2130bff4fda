"""Key and certificate files: written once, private, and refused when anything about them is wrong."""

import codecs
import os
import stat
from pathlib import Path

import pytest

from mesh.agent.files import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    AgentFileError,
    KeyMode,
    KeyUse,
    create_file,
    make_directory,
    read_certificate_file,
    read_key,
    require_safe_directory,
    write_key,
)
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.certificates import issue_certificate
from mesh.trust.identity import Identity, encode_public_key

SEED = bytes(range(32))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


PUBLIC_KEY = encode_public_key(Identity(SEED).public_key)


def refusal(call, *args):
    with pytest.raises(AgentFileError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("use", KeyUse)
def test_a_key_reads_back_and_is_private(tmp_path, use):
    path = tmp_path / "a.key"
    write_key(path, use, SEED)
    assert mode(path) == 0o600
    assert read_key(path, use).public_key == Identity(SEED).public_key
    assert names(tmp_path) == ["a.key"]


def test_a_key_is_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_key(tmp_path / "a.key", KeyUse.IDENTITY, SEED)
    finally:
        os.umask(before)
    assert mode(tmp_path / "a.key") == 0o600


@pytest.mark.parametrize("wrong", [0o640, 0o604, 0o620, 0o644, 0o601, 0o777])
def test_a_key_that_others_can_reach_is_refused(tmp_path, wrong):
    path = tmp_path / "a.key"
    write_key(path, KeyUse.IDENTITY, SEED)
    path.chmod(wrong)
    text = refusal(read_key, path, KeyUse.IDENTITY)
    assert text.startswith(f"{path}: others can read or change this key file (mode {wrong:04o})")
    assert f"chmod 600 {path}" in text


@pytest.mark.parametrize("mode", [0o440, 0o640, 0o660, 0o400, 0o600])
def test_a_key_may_be_its_groups_too(tmp_path, mode):
    """As Kubernetes' fsGroup has it: 0440 in a volume that is read only, 0660 in another."""
    path = tmp_path / "a.key"
    write_key(path, KeyUse.IDENTITY, SEED)
    path.chmod(mode)
    found = read_key(path, KeyUse.IDENTITY, KeyMode.GROUP, remedy="never said")
    assert found.public_key == Identity(SEED).public_key


@pytest.mark.parametrize("wrong", [0o444, 0o644, 0o604, 0o641, 0o642, 0o650, 0o777])
def test_a_key_of_a_group_is_still_not_everybodys(tmp_path, wrong):
    path = tmp_path / "a b.key"
    write_key(path, KeyUse.IDENTITY, SEED)
    path.chmod(wrong)
    text = refusal(read_key, path, KeyUse.IDENTITY, KeyMode.GROUP)
    assert f"(mode {wrong:04o}); expected mode 0640: chmod 640 '{path}'" in text


def test_a_key_behind_a_link_is_judged_by_its_file(tmp_path):
    path, link = tmp_path / "a.key", tmp_path / "link.key"
    write_key(path, KeyUse.IDENTITY, SEED)
    link.symlink_to(path)
    assert read_key(link, KeyUse.IDENTITY).public_key == Identity(SEED).public_key
    path.chmod(0o644)
    assert "others can read" in refusal(read_key, link, KeyUse.IDENTITY)


@pytest.fixture
def another_user(monkeypatch):
    """Whoever runs this is another user than the one whose files are in ``tmp_path``, and not root."""
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_001)
    own = os.fstat

    def fstat(descriptor):
        found = list(own(descriptor))
        found[stat.ST_UID] = 4_000_002
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", fstat)
    monkeypatch.setattr(Path, "stat", lambda path: fstat(os.open(path, os.O_RDONLY)))


def test_a_key_of_another_user_is_refused(tmp_path, another_user):
    write_key(tmp_path / "a.key", KeyUse.IDENTITY, SEED)
    assert refusal(read_key, tmp_path / "a.key", KeyUse.IDENTITY) == (
        f"{tmp_path}/a.key: belongs to user number 4000002, who can change it, "
        f"and not to user number 4000001, who runs this: chown 4000001 {tmp_path}/a.key"
    )


def test_a_directory_of_another_user_is_refused(tmp_path, another_user):
    text = refusal(require_safe_directory, tmp_path, KeyMode.GROUP)
    assert f"who runs this: chown 4000001 {tmp_path}" in text


def test_what_is_roots_is_as_good_as_ones_own(tmp_path, monkeypatch):
    """As Kubernetes mounts it."""
    write_key(tmp_path / "a.key", KeyUse.IDENTITY, SEED)
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: 4_000_001)
    assert read_key(tmp_path / "a.key", KeyUse.IDENTITY).public_key == Identity(SEED).public_key
    require_safe_directory(tmp_path, KeyMode.OWNER)


@pytest.mark.parametrize(
    ("bits", "mode", "is_safe"),
    [
        (0o700, KeyMode.OWNER, True),
        (0o755, KeyMode.OWNER, True),
        (0o775, KeyMode.OWNER, False),
        (0o777, KeyMode.OWNER, False),
        (0o2775, KeyMode.GROUP, True),
        (0o2777, KeyMode.GROUP, False),
        (0o3777, KeyMode.GROUP, True),
        (0o1777, KeyMode.OWNER, True),
    ],
)
def test_a_directory_in_which_others_can_exchange_the_key_is_refused(tmp_path, bits, mode, is_safe):
    tmp_path.chmod(bits)
    if is_safe:
        require_safe_directory(tmp_path, mode)
    else:
        text = refusal(require_safe_directory, tmp_path, mode)
        assert text.startswith(f"{tmp_path}: others can write in this directory (mode {bits:04o})")
        assert f"chmod go-w {tmp_path}" in text
    tmp_path.chmod(0o700)


def test_an_authority_is_not_taken_for_an_identity(tmp_path):
    write_key(tmp_path / "a.key", KeyUse.AUTHORITY, SEED)
    text = refusal(read_key, tmp_path / "a.key", KeyUse.IDENTITY)
    assert text.endswith("found a mesh authority key; expected a mesh identity key")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found an empty file; expected a mesh identity key"),
        (b"text", "found other text; expected a mesh identity key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "found a key of another program"),
        (f"{PUBLIC_KEY}\n".encode(), "found a public key; expected a mesh identity key"),
        (b"-----BEGIN MESH CERTIFICATE-----\n", "found a mesh certificate; expected a mesh identity key"),
        (b"-----BEGIN MESH IDENTITY KEY-----\nAAAA\n-----END MESH IDENTITY KEY-----\n", "the key is damaged"),
        (b"-----BEGIN MESH IDENTITY KEY-----\n!\n-----END MESH IDENTITY KEY-----\n", "the key is damaged"),
        (b"-----BEGIN MESH IDENTITY KEY-----\n", "the key is cut off"),
        (b"\xff", "is not text"),
        ("-----BEGIN MESH IDENTITY KEY-----".encode("utf-16"), "is text in UTF-16"),
        (b"x" * 20_000, "is longer than"),
    ],
)
def test_a_file_without_a_key_is_refused_without_showing_it(tmp_path, content, reason):
    path = tmp_path / "a.key"
    path.write_bytes(content)
    path.chmod(0o600)
    text = refusal(read_key, path, KeyUse.IDENTITY)
    assert text.startswith(f"{path}: {reason}")
    assert "AAAA" not in text


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    assert "cannot be read: no such file" in refusal(read_key, tmp_path / "missing", KeyUse.IDENTITY)
    assert "cannot be read: is a directory" in refusal(read_key, tmp_path, KeyUse.IDENTITY)
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert "is not a regular file" in refusal(read_key, tmp_path / "fifo", KeyUse.IDENTITY)


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "a"
    path.write_text("mine")
    assert "exists already and is not overwritten" in refusal(create_file, path, "theirs", PUBLIC_MODE)
    assert path.read_text() == "mine"
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "exists already" in refusal(create_file, tmp_path / "dangling", "theirs", PUBLIC_MODE)
    assert names(tmp_path) == ["a", "dangling"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    assert "cannot be written: no such file" in refusal(create_file, tmp_path / "no" / "a", "x", PRIVATE_MODE)
    assert "cannot be written: not a directory" in refusal(
        create_file, _file(tmp_path / "f") / "a", "x", PRIVATE_MODE
    )

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "no space left on device" in refusal(create_file, tmp_path / "a", "x", PRIVATE_MODE)
    assert names(tmp_path) == ["f"]


def test_a_directory_is_private(tmp_path):
    make_directory(tmp_path / "x" / "y")
    assert mode(tmp_path / "x" / "y") == 0o700
    make_directory(tmp_path / "x" / "y")
    assert "cannot be made a directory" in refusal(make_directory, _file(tmp_path / "f") / "y")


def test_a_certificate_reads_back(tmp_path):
    authority = Identity(bytes(32))
    wire = issue_certificate(
        authority, subject=Identity(SEED).public_key, name="a", not_before=1, not_after=2
    )
    path = tmp_path / "a.cert"
    create_file(path, certificate_to_text(wire), PUBLIC_MODE)
    assert read_certificate_file(path) == wire
    path.write_text("nothing")
    assert refusal(read_certificate_file, path) == f"{path}: found other text; expected a mesh certificate"
    path.write_text(PUBLIC_KEY)
    assert "found a public key; expected a mesh certificate" in refusal(read_certificate_file, path)
    assert "is a directory" in refusal(read_certificate_file, tmp_path)
    assert "cannot be read: no such file" in refusal(read_certificate_file, tmp_path / "b.cert")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    authority = Identity(bytes(32))
    wire = issue_certificate(
        authority, subject=Identity(SEED).public_key, name="a", not_before=1, not_after=2
    )
    path = tmp_path / "a.cert"
    path.write_bytes(codecs.BOM_UTF8 + certificate_to_text(wire).replace("\n", "\r\n").encode())
    assert read_certificate_file(path) == wire
    write_key(tmp_path / "a.key", KeyUse.IDENTITY, SEED)
    marked = tmp_path / "b.key"
    marked.write_bytes(codecs.BOM_UTF8 + (tmp_path / "a.key").read_bytes())
    marked.chmod(0o600)
    assert read_key(marked, KeyUse.IDENTITY).public_key == Identity(SEED).public_key


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (f"{PUBLIC_KEY}\n", "a public key"),
        ("-----BEGIN MESH CERTIFICATE-----\n", "a mesh certificate"),
        ("-----BEGIN MESH IDENTITY KEY-----\n", "a mesh identity key"),
    ],
)
def test_what_is_no_private_key_is_not_told_to_be_hidden(tmp_path, content, found):
    path = tmp_path / "authority.pub"
    path.write_text(content)
    path.chmod(0o644)
    assert (
        refusal(read_key, path, KeyUse.AUTHORITY) == f"{path}: found {found}; expected a mesh authority key"
    )


def _file(path):
    path.write_text("")
    return path
