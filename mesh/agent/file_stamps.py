"""What tells one state of a file from the next, without reading it."""

from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, ...]
"""Empty if there is no file."""


def stamp_of(path: Path) -> Stamp:
    """As it is now."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
