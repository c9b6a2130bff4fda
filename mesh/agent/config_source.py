"""Where an agent's configuration comes from: its file, and options that take the place of some keys."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from mesh.config import Loaded, load


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

    def read(self) -> Loaded:
        """The configuration as the file says now.

        Raises:
            ConfigError: it cannot be read, or there is something wrong in it; has its problems.
        """
        config, written = load(self.path, environment=os.environ, host_name=socket.gethostname())
        told = msgspec.structs.replace(config.logging, **self._logging)
        return Loaded(msgspec.structs.replace(config, logging=told), written)
