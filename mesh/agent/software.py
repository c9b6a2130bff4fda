"""Which version of this software runs, and which build."""

import enum
from importlib.machinery import ExtensionFileLoader
from typing import Final

from mesh import backoff

VERSION: Final = "0.1.0"
"""The package has it from here: to look up what it says takes longer than most commands need."""


class Build(enum.StrEnum):
    """How the pure core runs; ``setup.py`` compiles all of it or nothing."""

    COMPILED = "compiled"
    INTERPRETED = "interpreted"


def software_build() -> Build:
    """As one module of the core tells, the smallest."""
    return Build.COMPILED if isinstance(backoff.__loader__, ExtensionFileLoader) else Build.INTERPRETED
