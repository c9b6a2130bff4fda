"""The files an agent lives by: private keys and certificates, written once and read with suspicion.

A key file is text between two marker lines, and the markers say what it is the key of: an authority's key is
never taken for an agent's, and may be locked with a passphrase. Key files get mode 0600 and are refused when
others can read them; whether their group may is the caller's to say. They and their directory belong to this
user or to root, who can do all that the user can. No key is ever overwritten.
"""

import base64
import binascii
import codecs
import enum
import os
import pwd
import secrets
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mesh.agent.locked_keys import LockedKeyError, lock, unlock
from mesh.errors import MeshError
from mesh.trust.certificate_text import BEGIN_CERTIFICATE, certificate_from_text
from mesh.trust.identity import SEED_BYTES, Identity, decode_public_key

IDENTITY_FILE: Final = "identity.key"
"""In ``agent.data_dir``."""

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
DIRECTORY_MODE: Final = 0o700

_MAX_FILE_BYTES: Final = 16 * 1024
"""Several times the longest certificate in text; a key takes 150 bytes."""

_PIECE_BYTES: Final = 1024 * 1024

_KEY_OR_CERTIFICATE: Final = "a key or a certificate"


class KeyUse(enum.Enum):
    """What a private key is for; the value stands in the markers of its file."""

    IDENTITY = "MESH IDENTITY KEY"
    AUTHORITY = "MESH AUTHORITY KEY"


_LOCKED: Final = "LOCKED "
"""Stands in the markers of a key that is under a passphrase."""


class KeyMode(enum.Enum):
    """Who may read a key file; the value is that of ``agent.key_mode``."""

    OWNER = "owner"
    GROUP = "group"
    """The file's group too. It may write as well: Kubernetes' ``fsGroup`` makes files 0440 in a volume that
    is read only, and 0660 in any other; and anyone who can read a private key can be that agent already."""


_FORBIDDEN: Final = {KeyMode.OWNER: 0o077, KeyMode.GROUP: 0o017}
"""Bits of a key file's mode that are refused."""

_OTHERS_WRITE: Final = {KeyMode.OWNER: 0o022, KeyMode.GROUP: 0o002}
"""Bits of a directory's mode that let others put another key in the place of one."""


class AgentFileError(MeshError):
    """A file that is missing, unreadable, unfit or in the way; one line that says its path."""


def create_file(path: Path, text: str, mode: int, *, remedy: str = "") -> None:
    """Write a new file that appears with its whole content or not at all, and survives a power cut.

    Args:
        path: where; nothing may be there yet.
        text: what to write, in UTF-8.
        mode: the file's permissions.
        remedy: what to do if something is there, for the end of the error.

    Raises:
        AgentFileError: something is there already, or the file cannot be written.
    """
    if not path.name:
        raise AgentFileError(f"{path}: is a directory; expected the name of a file")
    try:
        with _beside(path, text, mode) as temporary:
            # Unlike a rename, a link never replaces what is there.
            os.link(temporary, path)
        _sync_directory(path.parent)
    except FileExistsError:
        raise AgentFileError(f"{path}: exists already and is not overwritten{remedy}") from None
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be written: {_reason(error)}") from None


def replace_file(path: Path, text: str, mode: int) -> None:
    """Have a file say this, or what it said before; also after a power cut. The arguments are as above.

    Raises:
        AgentFileError: it cannot be written.
    """
    try:
        with _beside(path, text, mode) as temporary:
            temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be written: {_reason(error)}") from None


@contextmanager
def _beside(path: Path, text: str, mode: int) -> Iterator[Path]:
    """A file in the same directory that holds ``text``, safe on the disk; it goes unless it is moved."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_key(path: Path, use: KeyUse, seed: bytes, *, passphrase: str = "") -> None:
    """Write a private key with mode 0600.

    Args:
        path: where; nothing may be there yet.
        use: what the key is for.
        seed: the 32 bytes of the Ed25519 private key.
        passphrase: locks it; empty does not.

    Raises:
        AgentFileError: see :func:`create_file`.
    """
    data, marker = seed, use.value
    if passphrase:
        data, marker = lock(seed, passphrase, secrets.token_bytes), _locked(use)
    content = base64.b64encode(data).decode()
    create_file(path, f"-----BEGIN {marker}-----\n{content}\n-----END {marker}-----\n", PRIVATE_MODE)


def read_key(
    path: Path,
    use: KeyUse,
    mode: KeyMode = KeyMode.OWNER,
    *,
    remedy: str = "",
    passphrase: Callable[[], str] | None = None,
) -> Identity:
    """The key pair of a file that :func:`write_key` wrote.

    Args:
        path: of the file.
        use: what the key is to be for.
        mode: who may read the file.
        remedy: what else to say where others can read the file.
        passphrase: is asked for it if the key is locked; without it such a key is refused.

    Raises:
        AgentFileError: the file cannot be read, it is another user's, others can read it, it has no key
            for ``use``, or it is locked with another passphrase.
    """
    text, status = _read(path)
    bits = stat.S_IMODE(status.st_mode)
    if bits & _FORBIDDEN[mode]:
        # What is no private key at all would not become one by chmod.
        if ("BEGIN MESH" in text and not _has_key(text, use)) or _is_public_key(text):
            raise AgentFileError(f"{path}: found {_described(text)}; expected a {use.value.lower()}")
        expected = "600" if mode is KeyMode.OWNER else "640"
        raise AgentFileError(
            f"{path}: others can read or change this key file (mode {bits:04o}); "
            f"expected mode 0{expected}: chmod {expected} {shlex.quote(str(path))}{remedy}"
        )
    _require_owner(path, status)
    content = " ".join(text.split())
    is_locked = _locked(use) in text
    marker = _locked(use) if is_locked else use.value
    begin, end = f"-----BEGIN {marker}-----", f"-----END {marker}-----"
    if not content.startswith(begin):
        raise AgentFileError(f"{path}: found {_described(text)}; expected a {use.value.lower()}")
    if not content.endswith(end):
        raise AgentFileError(f"{path}: the key is cut off, or more than it; expected {end} at the end")
    body = content.removeprefix(begin).removesuffix(end).strip()
    try:
        data = binascii.a2b_base64(body, strict_mode=True)
        if is_locked:
            data = _unlocked(path, data, passphrase)
        return Identity(data)
    except ValueError:
        raise AgentFileError(f"{path}: the key is damaged; expected {SEED_BYTES} bytes in base64") from None


def _unlocked(path: Path, data: bytes, passphrase: Callable[[], str] | None) -> bytes:
    if passphrase is None:
        raise AgentFileError(f"{path}: this key has a passphrase; expected one without")
    try:
        return unlock(data, passphrase())
    except LockedKeyError as error:
        raise AgentFileError(f"{path}: {error}") from None


def _locked(use: KeyUse) -> str:
    """The markers of a locked key."""
    return use.value.replace("MESH ", f"MESH {_LOCKED}")


def _has_key(text: str, use: KeyUse) -> bool:
    return use.value in text or _locked(use) in text


def read_certificate_file(path: Path) -> bytes:
    """The wire bytes of the certificate in a file: well-formed, but not judged.

    Raises:
        AgentFileError: the file cannot be read or has no certificate.
    """
    text, _ = _read(path)
    if not any(line.strip() == BEGIN_CERTIFICATE for line in text.splitlines()):
        raise AgentFileError(f"{path}: found {_described(text)}; expected a mesh certificate")
    try:
        return certificate_from_text(text)
    except ValueError as error:
        raise AgentFileError(f"{path}: {error}") from None


def make_directory(path: Path) -> None:
    """Make a directory and those above it, where they are not there yet; for this user only.

    Raises:
        AgentFileError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be made a directory: {_reason(error)}") from None


def require_safe_directory(path: Path, mode: KeyMode) -> None:
    """See that nobody else can put another key into the directory of an agent's key, or take it away.

    Args:
        path: of the directory; what is not there is for its user to find.
        mode: whether the group may write.

    Raises:
        AgentFileError: it is another user's, or others can write there.
    """
    try:
        status = path.stat()
    except OSError:
        return
    if not stat.S_ISDIR(status.st_mode):
        return
    _require_owner(path, status)
    # Where the sticky bit is set, each can take away only what is his: Kubernetes mounts secrets like that.
    if status.st_mode & _OTHERS_WRITE[mode] and not status.st_mode & stat.S_ISVTX:
        raise AgentFileError(
            f"{path}: others can write in this directory (mode {stat.S_IMODE(status.st_mode):04o}) and so "
            f"exchange the key: chmod go-w {shlex.quote(str(path))}, or name a directory below it that is "
            "not there yet"
        )


def is_there(path: Path) -> bool:
    """Whether anything has this name, even a link to nothing."""
    return os.path.lexists(path)


def _require_owner(path: Path, status: os.stat_result) -> None:
    user = os.geteuid()
    if status.st_uid not in (user, 0):
        raise AgentFileError(
            f"{path}: belongs to {_user(status.st_uid)}, who can change it, and not to {_user(user)}, who "
            f"runs this: chown {user} {shlex.quote(str(path))}"
        )


def _user(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user number {number}"


def read_text(path: Path, most_bytes: int, expected: str) -> str:
    """What is in a text file, whatever that is.

    Args:
        path: of the file.
        most_bytes: that it may have.
        expected: what it should be, for errors.

    Raises:
        AgentFileError: it cannot be read, is longer, or no text.
    """
    return _read(path, most_bytes, expected)[0]


def _read(
    path: Path, most_bytes: int = _MAX_FILE_BYTES, expected: str = _KEY_OR_CERTIFICATE
) -> tuple[str, os.stat_result]:
    """A text file and its status, both by its descriptor: it cannot be swapped in between."""
    try:
        # A FIFO in place of a key would otherwise hold up the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
                raise AgentFileError(f"{path}: is {kind}; expected {expected}")
            data = b""
            while len(data) <= most_bytes and (piece := file.read(_PIECE_BYTES)):  # takes room for no more
                data += piece
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be read: {_reason(error)}") from None
    return _text(path, data, most_bytes, expected), status


def _text(path: Path, data: bytes, most_bytes: int, expected: str) -> str:
    if len(data) > most_bytes:
        raise AgentFileError(f"{path}: is longer than {most_bytes} bytes; expected {expected}")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise AgentFileError(f"{path}: is text in UTF-16; save it with the encoding UTF-8 or ASCII")
    try:
        # Editors on Windows begin a file with a mark of its encoding, which says nothing here.
        return data.removeprefix(codecs.BOM_UTF8).decode("ascii")
    except UnicodeDecodeError:
        raise AgentFileError(f"{path}: is not text; expected {expected}") from None


def _described(text: str) -> str:
    """What a file holds that was to hold something else; never any of it."""
    for use in KeyUse:
        if f"BEGIN {use.value}" in text or f"BEGIN {_locked(use)}" in text:
            return f"a {use.value.lower()}"
    if BEGIN_CERTIFICATE in text:
        return "a mesh certificate"
    if not text.strip():
        return "an empty file"
    if _is_public_key(text):
        return "a public key"
    if "PRIVATE KEY" in text or text.startswith("ssh-"):
        return (
            "a key of another program (the mesh's own are made by mesh authority new and mesh identity new)"
        )
    return "other text"


def _is_public_key(text: str) -> bool:
    try:
        decode_public_key(text.strip())
    except ValueError:
        return False
    return True


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Some file systems cannot sync directories; the file itself is safe there.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
