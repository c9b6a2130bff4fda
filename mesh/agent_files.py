"""The files an agent lives by: private keys and certificates, written once and read with suspicion.

A key file is text between two marker lines, and the markers say what it is the key of: an authority's key is
never taken for an agent's. Key files get mode 0600 and are refused when others can read them. No file is ever
overwritten.
"""

import base64
import binascii
import codecs
import enum
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from mesh.errors import MeshError
from mesh.identity import SEED_OCTETS, Identity, decode_public_key
from mesh.trust import BEGIN_CERTIFICATE, certificate_from_text

IDENTITY_FILE: Final = "identity.key"
"""In ``agent.data_dir``."""

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
DIRECTORY_MODE: Final = 0o700

_MAX_FILE_OCTETS: Final = 16 * 1024
"""Several times the longest certificate in text; a key takes 150 octets."""


class KeyUse(enum.Enum):
    """What a private key is for; the value stands in the markers of its file."""

    IDENTITY = "MESH IDENTITY KEY"
    AUTHORITY = "MESH AUTHORITY KEY"


class AgentFileError(MeshError):
    """A file that is missing, unreadable, unfit or in the way; one line that says its path."""


def create_file(path: Path, text: str, mode: int) -> None:
    """Write a new file that appears with its whole content or not at all, and survives a power cut.

    Raises:
        AgentFileError: something is there already, or the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link never replaces what is there.
            os.link(temporary, path)
        finally:
            temporary.unlink()
        _sync_directory(path.parent)
    except FileExistsError:
        raise AgentFileError(f"{path}: exists already and is not overwritten") from None
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be written: {_reason(error)}") from None


def write_key(path: Path, use: KeyUse, seed: bytes) -> None:
    """Write a private key with mode 0600.

    Args:
        path: where; nothing may be there yet.
        use: what the key is for.
        seed: the 32 bytes of the Ed25519 private key.

    Raises:
        AgentFileError: see :func:`create_file`.
    """
    content = base64.b64encode(seed).decode()
    create_file(path, f"-----BEGIN {use.value}-----\n{content}\n-----END {use.value}-----\n", PRIVATE_MODE)


def read_key(path: Path, use: KeyUse) -> Identity:
    """The key pair of a file that :func:`write_key` wrote.

    Raises:
        AgentFileError: the file cannot be read, others can read it, or it has no key for ``use``.
    """
    text = _read(path, use)
    content = " ".join(text.split())
    begin, end = f"-----BEGIN {use.value}-----", f"-----END {use.value}-----"
    if not content.startswith(begin):
        raise AgentFileError(f"{path}: found {_described(text)}; expected a {use.value.lower()}")
    if not content.endswith(end):
        raise AgentFileError(f"{path}: the key is cut off, or more than it; expected {end} at the end")
    body = content.removeprefix(begin).removesuffix(end).strip()
    try:
        return Identity(binascii.a2b_base64(body, strict_mode=True))
    except ValueError:
        raise AgentFileError(f"{path}: the key is damaged; expected {SEED_OCTETS} bytes in base64") from None


def read_certificate_file(path: Path) -> bytes:
    """The wire octets of the certificate in a file: well-formed, but not judged.

    Raises:
        AgentFileError: the file cannot be read or has no certificate.
    """
    text = _read(path)
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


def is_there(path: Path) -> bool:
    """Whether anything has this name, even a link to nothing."""
    return os.path.lexists(path)


def _read(path: Path, key_use: KeyUse | None = None) -> str:
    """A small text file, judged by its descriptor: it cannot be swapped between the look and the read.

    Args:
        path: of the file.
        key_use: of the private key that belongs there, which nobody else may read; ``None`` for other files.
    """
    try:
        # A FIFO in place of a key would otherwise hold up the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
                raise AgentFileError(f"{path}: is {kind}; expected a key or a certificate")
            octets = file.read(_MAX_FILE_OCTETS + 1)
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be read: {_reason(error)}") from None
    text = _text(path, octets)
    mode = stat.S_IMODE(status.st_mode)
    if key_use is not None and mode & 0o077:
        # What is no private key at all would not become one by chmod.
        if ("BEGIN MESH" in text and key_use.value not in text) or _is_public_key(text):
            raise AgentFileError(f"{path}: found {_described(text)}; expected a {key_use.value.lower()}")
        raise AgentFileError(
            f"{path}: others can read or change this key file (mode {mode:04o}); "
            f"expected mode 0600: chmod 600 {path}"
        )
    return text


def _text(path: Path, octets: bytes) -> str:
    if len(octets) > _MAX_FILE_OCTETS:
        raise AgentFileError(
            f"{path}: is longer than {_MAX_FILE_OCTETS} bytes; expected a key or a certificate"
        )
    if octets.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise AgentFileError(f"{path}: is text in UTF-16; save it with the encoding UTF-8 or ASCII")
    try:
        # Editors on Windows begin a file with a mark of its encoding, which says nothing here.
        return octets.removeprefix(codecs.BOM_UTF8).decode("ascii")
    except UnicodeDecodeError:
        raise AgentFileError(f"{path}: is not text; expected a key or a certificate") from None


def _described(text: str) -> str:
    """What a file holds that was to hold something else; never any of it."""
    for use in KeyUse:
        if f"BEGIN {use.value}" in text:
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
