"""Which version of this software runs."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

DISTRIBUTION: Final = "mesh-agent"

NOT_INSTALLED: Final = "(not installed)"


def software_version() -> str:
    """As its package says."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return NOT_INSTALLED
