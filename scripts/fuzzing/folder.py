"""Where targets put files: gone when the process ends, or with the directory that its parent has given it."""

import atexit
import shutil
import tempfile
from pathlib import Path

_made: list[Path] = []


def emptied(name: str) -> Path:
    """An empty directory of this process."""
    if not _made:
        _made.append(Path(tempfile.mkdtemp(prefix="mesh-fuzz-")))
        atexit.register(shutil.rmtree, _made[0], ignore_errors=True)
    folder = _made[0] / name
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
    else:
        folder.mkdir()
    return folder
