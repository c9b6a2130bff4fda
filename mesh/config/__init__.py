"""What an agent is told by its configuration file."""

from mesh.config.loading import load_config, parse_config
from mesh.config.problems import ConfigError, Problem
from mesh.config.schema import Config

__all__ = ["Config", "ConfigError", "Problem", "load_config", "parse_config"]
