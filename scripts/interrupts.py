"""Programs that are interrupted report what they have done, and leave nothing behind."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

EXIT_INTERRUPTED: Final = 130
"""That of a shell whose program was interrupted."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def one_interrupt() -> Iterator[threading.Event]:
    """Let the first SIGINT or SIGTERM raise ``KeyboardInterrupt`` meanwhile; those after it are ignored.

    Who stops a program often signals its process group as well, so that it hears twice. The second must not
    end the report that the first has caused. An exception is lost where it comes in a destructor or the
    callback of a weak reference; that one has come can be seen at what is yielded, and Python prints no
    traceback of it.
    """
    has_come = threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        has_come.set()
        raise KeyboardInterrupt

    tell = sys.unraisablehook

    def tell_of_others(unraisable: "UnraisableHookArgs") -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            tell(unraisable)

    former = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    sys.unraisablehook = tell_of_others
    try:
        yield has_come
    finally:
        sys.unraisablehook = tell
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held_interrupts() -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM wait meanwhile; yields those that have come.

    Their handlers run at the end, once for each signal. In other threads than the main one nothing is done:
    they are never interrupted.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    former = {
        number: signal.signal(number, lambda number, _frame: came.append(number)) for number in _SIGNALS
    }
    try:
        yield came
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
