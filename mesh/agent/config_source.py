"""Where an agent's configuration comes from: its file, and options that take the place of some keys."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from mesh.config import ConfigError, Loaded, Problem, load

NO_FILE: Final = "a directory, a pipe or a device"
A_FILE: Final = "a file that the agent can read again"


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
        if self.path.exists() and not self.path.is_file():
            raise ConfigError([Problem(str(self.path), 0, "", NO_FILE, A_FILE)])
        return self.read()

    def read(self) -> Loaded:
        """The configuration as the file says now. Where it is a pipe, this waits for whoever writes to it.

        Raises:
            ConfigError: it cannot be read, or there is something wrong in it; has its problems.
        """
        config, written = load(self.path, environment=os.environ, host_name=socket.gethostname())
        told = msgspec.structs.replace(config.logging, **self._logging)
        return Loaded(msgspec.structs.replace(config, logging=told), written)
