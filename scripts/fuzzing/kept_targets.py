"""Targets of files: keys, and what an agent keeps in its data directory."""

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from mesh.agent import locked_keys
from mesh.agent.enrolment import invitations, newest
from mesh.agent.enrolment.invitations import Invitation, Invitations, TooManyInvitations
from mesh.agent.enrolment.newest import NewestCertificates
from mesh.agent.files import AgentFileError, KeyUse, read_certificate_file, read_key, write_key
from mesh.agent.locked_keys import LockedKeyError, lock, unlock
from mesh.agent.revocation_file import REVOCATIONS_FILE, kept_revocations, write_lists
from mesh.agent.saved_services import NAME as SERVICES
from mesh.agent.saved_services import read_saved, write_saved
from mesh.config.problems import ConfigError
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.certificates import read_certificate
from mesh.trust.issuing import Passing
from scripts.fuzzing.choices import Choices
from scripts.fuzzing.folder import emptied
from scripts.fuzzing.people import MY_CERTIFICATE, STRICT, UNIX_NOW, gullible

PASSPHRASE: Final = "a passphrase"  # noqa: S105 - of keys that a target makes
_SHOWN: Final = read_certificate(MY_CERTIFICATE)
_USES: Final = (KeyUse.IDENTITY, KeyUse.AUTHORITY)


def cheap_kdf(size: int, password: bytes, salt: bytes, operations: int, memory: int) -> bytes:
    """Stands for Argon2id, which takes half a second by design: its costs are not what is looked for."""
    if memory < 8192:
        raise ValueError("too little")
    work = operations.to_bytes(8, "big") + memory.to_bytes(8, "big")
    return hashlib.blake2b(password, key=salt, salt=work, digest_size=size).digest()


class _Cheap:
    """For :mod:`nacl.pwhash.argon2id` in what locks keys."""

    SALTBYTES: Final = locked_keys.argon2id.SALTBYTES
    kdf = staticmethod(cheap_kdf)


def key_file(data: bytes) -> None:
    """A key in a file, perhaps under a passphrase: one key or none, and an error that tells nothing of it."""
    choices = Choices(data)
    use, passphrase = choices.one_of(_USES), choices.one_of(("", PASSPHRASE))
    path = emptied("key") / "a.key"
    with _cheaply():
        if choices.yes():
            seed = choices.take(32).ljust(32, b"\0")
            _write(path, choices.rest())
        else:
            seed = b"\7" * 32
            write_key(path, use, seed, passphrase=passphrase)
            assert read_key(path, use, passphrase=lambda: passphrase).public_key  # noqa: S101
            text = bytearray(path.read_bytes())
            for _ in range(choices.below(4)):
                text[choices.below(256) % len(text)] = choices.below(256)
            _write(path, bytes(text))
        told = ""
        try:
            found = read_key(path, use, passphrase=(lambda: passphrase) if passphrase else None)
            assert len(found.public_key) == 32  # noqa: S101
        except AgentFileError as error:
            told = _fit(str(error), path)
        assert base64.b64encode(seed).decode() not in told  # noqa: S101
        try:
            read_certificate_file(path)
        except AgentFileError as error:
            _fit(str(error), path)
        locked = lock(seed, PASSPHRASE, bytes)
        assert unlock(locked, PASSPHRASE) == seed  # noqa: S101
        with contextlib.suppress(LockedKeyError):
            changed = bytes(a ^ b for a, b in zip(locked, data[:96].ljust(96, b"\0"), strict=True))
            assert unlock(changed, PASSPHRASE) == seed  # noqa: S101
            assert changed == locked  # noqa: S101


@contextlib.contextmanager
def _cheaply() -> Iterator[None]:
    kept, locked_keys.argon2id = locked_keys.argon2id, _Cheap  # type: ignore[assignment]
    try:
        yield
    finally:
        locked_keys.argon2id = kept


def kept_invitations(data: bytes) -> None:
    """``invitations.json``: what is read can be added to and used, and is there again."""
    folder = emptied("invitations")
    path = folder / invitations.NAME
    path.write_bytes(data)
    try:
        found = Invitations(folder, UNIX_NOW)
    except AgentFileError as error:
        _fit(str(error), path)
        return
    granted = Passing(register=(), use=("svc",), relay=False, manage=False, groups=())
    one = Invitation(id="ab" * 16, name="laptop", granted=granted, valid_s=60, expires=UNIX_NOW + 60)
    with contextlib.suppress(TooManyInvitations):
        found.add(one, UNIX_NOW)
        found.use(one, "cd" * 16)
        again = Invitations(folder, UNIX_NOW)
        kept = again.find(one.id)
        assert kept == msgspec.structs.replace(one, used_by="cd" * 16)  # noqa: S101
        assert Invitations(folder, one.expires).find(one.id) is None  # noqa: S101


def kept_newest(data: bytes) -> None:
    """``newest-certificates.json``: what was shown is remembered, whatever else is in the file."""
    folder = emptied("newest")
    path = folder / newest.NAME
    path.write_bytes(data)
    try:
        found = NewestCertificates(folder)
    except AgentFileError as error:
        _fit(str(error), path)
        return
    before = found.newer_than(_SHOWN)
    found.note((_SHOWN,))
    assert found.newer_than(_SHOWN) == before  # noqa: S101
    older = msgspec.structs.replace(_SHOWN, not_before=_SHOWN.not_before - 1)
    assert NewestCertificates(folder).newer_than(older) == (before or _SHOWN.not_before)  # noqa: S101


def kept_lists(data: bytes) -> None:
    """``revocations``: what is read of it can be written, and is the same then."""
    folder = emptied("lists")
    path = folder / REVOCATIONS_FILE
    path.write_bytes(data)
    for trust in (STRICT, gullible()):
        try:
            found = kept_revocations(folder, trust)
        except AgentFileError as error:
            _fit(str(error), path)
            continue
        wires = [each.wire for each in found.lists.values()]
        write_lists(path, wires)
        assert set(kept_revocations(folder, trust)) == set(found)  # noqa: S101
        path.write_bytes(data)


def kept_services(data: bytes) -> None:
    """``services.yaml``: services that were saved are the same when they are read again."""
    folder = emptied("services")
    path = folder / SERVICES
    path.write_bytes(data)
    try:
        found = read_saved(folder)
    except ConfigError as error:
        str(error)
        return
    except AgentFileError as error:
        _fit(str(error), path)
        return
    write_saved(folder, found)
    assert read_saved(folder) == found  # noqa: S101


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)


def _fit(told: str, path: Path) -> str:
    """An error is one line for people that begins with the file."""
    assert told.startswith(f"{path}: "), told  # noqa: S101
    assert told.isprintable(), told  # noqa: S101
    return told


def key_texts() -> list[bytes]:
    """Keys and a certificate as they stand in files, behind the choices that lead to them."""
    folder, texts = emptied("texts"), []
    with _cheaply():
        for use in _USES:
            for passphrase in ("", PASSPHRASE):
                path = folder / f"{use.name}{len(texts)}"
                write_key(path, use, b"\7" * 32, passphrase=passphrase)
                texts.append(bytes([_USES.index(use), bool(passphrase), 1]) + b"\7" * 32 + path.read_bytes())
    return [*texts, b"\0\0\1" + bytes(32) + certificate_to_text(b"x" * 90).encode()]
