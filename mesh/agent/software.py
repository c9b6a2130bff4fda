"""Which version of this software runs, and which build."""

import enum
from functools import cache
from importlib.machinery import ExtensionFileLoader
from typing import Final

from mesh import backoff

DISTRIBUTION: Final = "mesh-agent"

NOT_INSTALLED: Final = "(not installed)"


class Build(enum.StrEnum):
    """How the pure core runs; ``setup.py`` compiles all of it or nothing."""

    COMPILED = "compiled"
    INTERPRETED = "interpreted"


@cache
def software_version() -> str:
    """As its package says: looked up once, which takes half a millisecond."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 -- commands need it not

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return NOT_INSTALLED


def software_build() -> Build:
    """As one module of the core tells, the smallest."""
    return Build.COMPILED if isinstance(backoff.__loader__, ExtensionFileLoader) else Build.INTERPRETED
