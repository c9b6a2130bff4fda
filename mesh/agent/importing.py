"""Loads modules without a look for garbage on the way."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage meanwhile, nor ever in what has been made by the end.

    Modules live as long as the process. Going through them again and again, as they become more, took a sixth
    of the time that importing an agent takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def imported(name: str) -> ModuleType:
    """The module of this name; it is imported if it has not been, and only then."""
    if name not in sys.modules:
        with importing():
            import_module(name)
    return sys.modules[name]
