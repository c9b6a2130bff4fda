"""Reads what an issuer has kept beside its keys, as JSON of one type."""

from pathlib import Path
from typing import Final, TypeVar

import msgspec

from mesh.agent.files import AgentFileError
from mesh.escaping import escaped

MAX_FILE_BYTES: Final = 1024 * 1024
"""Four times what the most invitations of the longest kind take; the most certificates take less."""

T = TypeVar("T")


def read_kept(path: Path, kind: type[T], *, without: str) -> T:
    """What is in the file; an empty one of ``kind`` if there is no file.

    Args:
        path: of the file.
        kind: of what was written.
        without: what it means for people that a damaged file is taken away.

    Raises:
        AgentFileError: the file cannot be read, or is not what was written.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return kind()
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AgentFileError(f"{path}: is damaged ({escaped(str(error))}); take it away: {without}") from None
