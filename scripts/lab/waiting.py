"""Patience: look until something is so, and say what was seen instead if it never is."""

import json
import time
from collections.abc import Callable
from typing import Final, TypeVar

PATIENCE_S: Final = 20.0
"""How long anything may take that should take milliseconds: only a broken program waits this long."""
POLL_S: Final = 0.02

NOT_YET: Final[tuple[type[Exception], ...]] = (OSError, json.JSONDecodeError, KeyError, EOFError)
"""What a program that is not ready makes its clients raise."""

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    what: str,
    timeout_s: float = PATIENCE_S,
    not_yet: type[Exception] | tuple[type[Exception], ...] = NOT_YET,
) -> T:
    """Look until ``condition()`` is true, and return it; errors in ``not_yet`` count as false.

    Raises:
        AssertionError: it was not within ``timeout_s``; the text says what was seen last.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            last = condition()
        except not_yet as error:
            failure = f"{type(error).__name__}: {error}"
        else:
            if last:
                return last
            failure = f"last seen: {last!r}"
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what} ({failure})")
        time.sleep(POLL_S)
