"""Which version of this software runs."""

from functools import cache
from typing import Final

DISTRIBUTION: Final = "mesh-agent"

NOT_INSTALLED: Final = "(not installed)"


@cache
def software_version() -> str:
    """As its package says: looked up once, which takes half a millisecond."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 -- commands need it not

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return NOT_INSTALLED
