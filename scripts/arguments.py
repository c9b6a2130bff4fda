"""Values on the command lines of scripts: a wrong one is told in a line, with exit status 2.

Each function, or what it returns, is a ``type`` for :mod:`argparse`.
"""

import math
import os
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Final

LAST_SEED: Final = 2**63 - 1


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A whole number from ``least`` to ``most``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is no whole number") from None
        if value < least:
            raise ArgumentTypeError(f"expected at least {least}, found {value}")
        if most is not None and value > most:
            raise ArgumentTypeError(f"expected at most {most}, found {value}")
        return value

    return read


seed: Final = whole(0, LAST_SEED)
"""Of something random."""

port: Final = whole(0, 65535)
"""Of TCP; 0 lets the kernel choose."""


def number(least: float, most: float = math.inf) -> Callable[[str], float]:
    """A finite number from ``least`` to ``most``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is no number") from None
        if not math.isfinite(value):
            raise ArgumentTypeError(f"{text!r} is no finite number")
        if value < least:
            raise ArgumentTypeError(f"expected at least {least:g}, found {text}")
        if value > most:
            raise ArgumentTypeError(f"expected at most {most:g}, found {text}")
        return value

    return read


def file_to_read(text: str) -> Path:
    """A file that can be read."""
    path = Path(text)
    if not path.exists():
        raise ArgumentTypeError(f"there is no file {text}")
    if not path.is_file():
        raise ArgumentTypeError(f"{text} is no file")
    if not os.access(path, os.R_OK):
        raise ArgumentTypeError(f"{text} cannot be read")
    return path


def file_to_write(text: str) -> Path:
    """A file that is written, or overwritten, in a folder that exists."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text} is a folder")
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentTypeError(f"{text} cannot be written")
    return path
