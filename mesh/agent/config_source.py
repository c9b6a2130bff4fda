"""Where an agent's configuration comes from: its file, and options that take the place of some keys."""

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from mesh.config import ConfigError, Loaded, Problem, load
from mesh.config.document import MAX_FILE_BYTES
from mesh.config.loading import parse

NO_FILE: Final = "a directory, a pipe or a device"
A_FILE: Final = "a file that the agent can read again"

SAID: Final = "config"
"""What takes the place of a file's name where there is only its text."""


class ConfigSource:
    """A file that can be read again and again.

    Args:
        path: of the file.
        logging: values for keys of ``logging``, by field.
    """

    def __init__(self, path: Path, logging: Mapping[str, str]) -> None:
        self.path = path
        self._logging = logging

    def at(self, path: Path) -> "ConfigSource":
        """The same of another file."""
        return ConfigSource(path, self._logging)

    def read_again(self) -> Loaded:
        """As :meth:`read`, of an agent that runs: nothing but a file, for which it need not wait.

        Raises:
            ConfigError: it is something else, or as for :meth:`read`.
        """
        try:
            data = _read_at_once(self.path)
        except IsADirectoryError:
            raise ConfigError([Problem(str(self.path), 0, "", NO_FILE, A_FILE)]) from None
        except OSError as error:
            found = (error.strerror or str(error)).lower()
            raise ConfigError([Problem(str(self.path), 0, "", found, A_FILE)]) from None
        directory, host_name = self.path.parent, socket.gethostname()
        return self._told(
            parse(data, file=str(self.path), directory=directory, environment=os.environ, host_name=host_name)
        )

    def saying(self, text: str) -> Loaded:
        """As :meth:`read_again`, if the file said ``text``, into which nothing of the environment is filled.

        Raises:
            ConfigError: there is something wrong in it; has its problems.
        """
        directory, host_name = self.path.parent, socket.gethostname()
        data = text.encode()
        return self._told(parse(data, file=SAID, directory=directory, environment={}, host_name=host_name))

    def read(self) -> Loaded:
        """The configuration as the file says now. Where it is a pipe, this waits for whoever writes to it.

        Raises:
            ConfigError: it cannot be read, or there is something wrong in it; has its problems.
        """
        return self._told(load(self.path, environment=os.environ, host_name=socket.gethostname()))

    def _told(self, loaded: Loaded) -> Loaded:
        config, written = loaded
        told = msgspec.structs.replace(config.logging, **self._logging)
        return Loaded(msgspec.structs.replace(config, logging=told), written)


def _read_at_once(path: Path) -> bytes:
    """What is in a file, up to one byte more than one may have.

    Judged by what has been opened: another user may put a pipe there in the meantime, and some files of the
    kernel's have nothing for now (``/proc/kmsg``).

    Raises:
        IsADirectoryError: it is no file.
        OSError: it cannot be read, or has nothing yet.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise IsADirectoryError
        found = bytearray()
        while len(found) <= MAX_FILE_BYTES:
            piece = os.read(descriptor, MAX_FILE_BYTES + 1 - len(found))
            if not piece:
                break
            found += piece
        return bytes(found)
    finally:
        os.close(descriptor)
