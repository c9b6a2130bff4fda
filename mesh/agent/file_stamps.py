"""What tells one state of a file from the next, without reading it."""

from pathlib import Path
from typing import NamedTuple, TypeAlias

from mesh.agent.revocation_file import REVOCATIONS_FILE
from mesh.config.schema import Config

Stamp: TypeAlias = tuple[int, ...]
"""Empty if there is no file."""


def stamp_of(path: Path) -> Stamp:
    """As it is now."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def certificate_stamp(config: Config) -> Stamp:
    """That of the agent's certificate."""
    return () if config.trust is None else stamp_of(config.trust.certificate)


def revocations_stamp(data_dir: Path | None) -> Stamp:
    """That of the revocation lists which an agent keeps."""
    return () if data_dir is None else stamp_of(data_dir / REVOCATIONS_FILE)


class ReadStamps(NamedTuple):
    """Those of files that an agent reads at its start, and looks at as long as it runs."""

    certificate: Stamp
    revocations: Stamp


def stamps_before_reading(config: Config) -> ReadStamps:
    """As they are before the start: whatever changes from then on will have changed."""
    return ReadStamps(certificate_stamp(config), revocations_stamp(config.agent.data_dir))
