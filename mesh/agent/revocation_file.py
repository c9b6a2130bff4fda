"""Revocation lists in a file: those that an agent knows, in its data directory, or a signer's own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mesh.agent.files import PRIVATE_MODE, AgentFileError, is_there, read_text, replace_file
from mesh.errors import RemoteProtocolError, TrustError
from mesh.trust.certificates import TrustStore
from mesh.trust.list_reader import read_revocations
from mesh.trust.revocations import Revocations, SignedList, lists_from_text, lists_to_text

REVOCATIONS_FILE: Final = "revocations"
"""In ``agent.data_dir``."""

MAX_REVOCATION_FILE_BYTES: Final = 32 * 1024 * 1024
"""More than as many of the longest lists as an agent keeps: what it has written it can read."""

_REMEDY: Final = "move it away: the agent hears the lists anew with its first link"


def read_lists(path: Path) -> tuple[bytes, ...]:
    """The lists in a file, none of them judged; nothing if there is no file.

    Raises:
        AgentFileError: it cannot be read, or a list in it is damaged.
    """
    if not is_there(path):
        return ()
    text = read_text(path, MAX_REVOCATION_FILE_BYTES, "revocation lists")
    try:
        return lists_from_text(text)
    except ValueError as error:
        raise AgentFileError(f"{path}: {error}") from None


def write_lists(path: Path, lists: Iterable[bytes]) -> None:
    """Have a file with mode 0600 hold these lists, whatever it held before.

    Raises:
        AgentFileError: it cannot be written.
    """
    replace_file(path, lists_to_text(lists), PRIVATE_MODE)


def kept_revocations(directory: Path, trust: TrustStore) -> Revocations:
    """What an agent has kept in its data directory, of those that it trusts now.

    An agent that lets somebody in again whom it has known to be revoked would be worse than one that does not
    start: so what is damaged is an error.

    Raises:
        AgentFileError: the file cannot be read, or a list in it is damaged or forged.
    """
    path = directory / REVOCATIONS_FILE
    known: list[SignedList] = []
    try:
        for wire in read_lists(path):
            try:
                known.append(read_revocations(wire, trust))
            except TrustError:
                continue  # of an authority that is trusted no more
            except RemoteProtocolError as error:
                raise AgentFileError(f"{path}: {error}") from None
    except AgentFileError as error:
        raise AgentFileError(f"{error}; {_REMEDY}") from None
    return Revocations(known)
