"""Where targets put files: in memory if there is such a place, and gone when the process ends."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - each process makes a directory of its own there
_made: list[Path] = []


def emptied(name: str) -> Path:
    """An empty directory of this process."""
    if not _made:
        place = _MEMORY if _MEMORY.is_dir() else None
        _made.append(Path(tempfile.mkdtemp(prefix="mesh-fuzz-", dir=place)))
        atexit.register(shutil.rmtree, _made[0], ignore_errors=True)
    folder = _made[0] / name
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
    else:
        folder.mkdir()
    return folder
