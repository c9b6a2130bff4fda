"""Which agent a command means: by its control socket, or by its configuration."""

import os
from pathlib import Path
from typing import Final

from mesh.errors import MeshError

SOCKET_VARIABLE: Final = "MESH_SOCKET"
"""Of the environment: the control socket."""

CONTROL_NAME: Final = "control.sock"
"""Of the control socket, in the data directory."""

DEFAULT_CONFIG: Final = "config.yaml"


class WhichAgentError(MeshError):
    """Nothing says which agent is meant, or it can have no socket; the text is one line for people."""


def named_socket(config: Path | None, socket: Path | None) -> Path | None:
    """The control socket that the command line names, or else the environment; ``None`` if neither does."""
    if socket is None and config is None and (named := os.environ.get(SOCKET_VARIABLE)):
        return Path(named)
    return socket


def socket_beside(file: Path) -> Path | None:
    """That of an agent that runs with what ``file`` said before it was spoilt, if there seems to be one."""
    beside = file.parent / CONTROL_NAME
    return beside if beside.is_socket() else None


def control_socket(config: Path | None, socket: Path | None) -> Path:
    """The control socket that is meant.

    Raises:
        ConfigError: it follows from the configuration, and that is wrong; no socket lies beside it.
        WhichAgentError: nothing says which.
    """
    socket = named_socket(config, socket)
    if socket is not None:
        return socket
    file = Path(DEFAULT_CONFIG) if config is None else config
    if config is None and not file.exists():
        raise WhichAgentError(
            f"which agent? There is no {DEFAULT_CONFIG} here: name its configuration with --config FILE, "
            f"or its control socket with --socket PATH or {SOCKET_VARIABLE}"
        )
    from mesh.agent.config_source import ConfigSource  # noqa: PLC0415 -- it takes longer than all the rest
    from mesh.config import ConfigError  # noqa: PLC0415 -- likewise

    try:
        data_dir = ConfigSource(file, {}).read().config.agent.data_dir
    except ConfigError:
        beside = socket_beside(file)
        if beside is None:
            raise
        return beside
    if data_dir is None:
        raise WhichAgentError(f"{file}: agent.data_dir is absent, so this agent has no control socket")
    return data_dir / CONTROL_NAME
