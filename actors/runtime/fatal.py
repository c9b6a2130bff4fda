"""The error that stands for one that no actor may survive; raised here, for compiled code keeps no cause."""

from typing import NoReturn


class FatalError(Exception):
    """A handler raised what is no ``Exception`` (``SystemExit``, for one); that is the cause."""


def raise_fatal(error: BaseException, actor: str) -> NoReturn:
    """Raise it for ``error``, which was met in ``actor``."""
    raise FatalError(f"{error!r} in {actor}") from error
