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


def control_socket(config: Path | None, socket: Path | None) -> Path:
    """The control socket that is meant.

    Raises:
        ConfigError: it follows from the configuration, and that is wrong; no socket lies beside it.
        WhichAgentError: nothing says which.
    """
    if socket is not None:
        return socket
    named = os.environ.get(SOCKET_VARIABLE)
    if named and config is None:
        return Path(named)
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
        beside = file.parent / CONTROL_NAME
        if (
            beside.is_socket()
        ):  # an agent that runs with what the file said before its last change can be asked
            return beside
        raise
    if data_dir is None:
        raise WhichAgentError(f"{file}: agent.data_dir is absent, so this agent has no control socket")
    return data_dir / CONTROL_NAME
