"""What an agent is told by its configuration file."""

from mesh.config.loading import Loaded, Written, load, load_config, parse_config
from mesh.config.problems import ConfigError, Problem
from mesh.config.schema import Config

__all__ = [
    "Config",
    "ConfigError",
    "Loaded",
    "Problem",
    "Written",
    "load",
    "load_config",
    "parse_config",
]
