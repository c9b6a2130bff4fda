"""The files of a trail: their names, and which there are."""

import re
from pathlib import Path
from typing import Final, NamedTuple

DIRECTORY: Final = "audit"
"""In ``agent.data_dir``."""

CHANGES: Final = "changes"
"""The trail of who had the agent change what."""

CONNECTIONS: Final = "connections"
"""That of who was connected to what: a trail of its own, as it may be written much faster."""

TRAILS: Final = (CHANGES, CONNECTIONS)

_NAME: Final = re.compile(r"(?P<trail>[a-z]+)\.(?P<number>[0-9]{6,})\.jsonl")


class TrailFile(NamedTuple):
    """One file of a trail."""

    number: int
    """One more than that of the file before."""
    path: Path


def trail_file(directory: Path, trail: str, number: int) -> TrailFile:
    """The file of this number, whether it is there or not."""
    return TrailFile(number, directory / f"{trail}.{number:06}.jsonl")


def trail_files(directory: Path, trail: str) -> tuple[TrailFile, ...]:
    """Those that are there, the oldest first; none if there is no directory.

    Raises:
        OSError: it cannot be read.
    """
    try:
        found = [(_NAME.fullmatch(path.name), path) for path in directory.iterdir()]
    except FileNotFoundError:
        return ()
    return tuple(
        sorted(
            TrailFile(int(name["number"]), path) for name, path in found if name and name["trail"] == trail
        )
    )
