"""Asking a running agent again and again, until Ctrl-C."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def rounds(every_s: float, *, again: bool) -> Iterator[float]:
    """Seconds since the round before (0 in the first): once, or each ``every_s`` seconds for ever."""
    before = time.monotonic()
    yield 0.0
    while again:
        time.sleep(every_s)
        now = time.monotonic()
        yield now - before
        before = now


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Ctrl-C is how this ends, and no failure."""
    with suppress(KeyboardInterrupt):
        yield
