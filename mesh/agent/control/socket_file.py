"""The control socket's place in the file system: whoever may open it may change the agent.

It lies in the data directory, which only the agent's user (and root) can enter, and has mode 0600 itself.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from actors.runtime.descriptors import refuse_descriptors
from mesh.agent.control.unix_sockets import connect_to, short_name
from mesh.agent.files import PRIVATE_MODE, AgentFileError
from mesh.agent.finding import CONTROL_NAME
from mesh.errors import MeshError

NAME: Final = CONTROL_NAME

BACKLOG: Final = 64

LOOK_S: Final = 0.01
LOOKS: Final = 100
"""How often, and how many times, it is seen whether another agent that begins is done."""


class NoSocketError(MeshError):
    """It cannot be made there: the disk is full or read-only, or the directory another user's."""


def listen_at(path: Path) -> socket.socket:
    """A listening socket at ``path``; one that a dead agent has left behind makes room.

    Raises:
        AgentFileError: an agent answers there, or something else is in the way; the text is one line.
        NoSocketError: it cannot be had for another reason; the text is one line, too.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    refuse_descriptors(listening)
    try:
        with _alone(path.parent), short_name(path) as name:
            _make_room(path, name)
            os.fchmod(listening.fileno(), PRIVATE_MODE)  # its file has it from the first moment
            listening.bind(name)
            listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise NoSocketError(f"{path}: cannot be made: {_why(error)}") from None
    except BaseException:
        listening.close()
        raise
    return listening


def _make_room(path: Path, name: str) -> None:
    try:
        mode = os.lstat(name).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AgentFileError(f"{path}: expected nothing, or a socket that an agent has left; it is neither")
    try:
        connect_to(path, 1.0).close()
    except ConnectionRefusedError:
        Path(name).unlink()
        return
    except (BlockingIOError, TimeoutError):
        pass  # one that is busy
    raise AgentFileError(f"{path}: an agent with this data directory runs already; end that one first")


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold others up who begin at the same time: one would take the other's socket for one left behind.

    Not for long: whoever can see the directory can lock it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            for _ in range(LOOKS):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(LOOK_S)
        yield
    finally:
        os.close(descriptor)


def _why(error: OSError) -> str:
    why = (error.strerror or str(error)).lower()
    return f"{why}: does the data directory exist?" if error.errno == errno.ENOENT else why
