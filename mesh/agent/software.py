"""Which version of this software runs."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

DISTRIBUTION: Final = "mesh-agent"

NOT_INSTALLED: Final = "(not installed)"


@cache
def software_version() -> str:
    """As its package says: looked up once, which takes half a millisecond."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return NOT_INSTALLED
