"""Connecting to a unix socket by its path, however long that is. It imports little: each command waits."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAX_PATH_BYTES: Final = 107
"""Of a socket's path: ``sun_path`` less its last zero (unix(7))."""


def connect_to(path: Path, timeout_s: float) -> socket.socket:
    """A socket that is connected to the agent at ``path``; each wait on it takes ``timeout_s`` at most.

    Raises:
        OSError: nobody answers there.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(timeout_s)
    try:
        with short_name(path) as name:
            connected.connect(name)
    except BaseException:
        connected.close()
        raise
    return connected


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name for ``path`` that fits, however long that is; good while the block runs."""
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
