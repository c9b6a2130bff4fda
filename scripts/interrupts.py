"""Programs that report what they have done when they are interrupted."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Final

EXIT_INTERRUPTED: Final = 130
"""That of a shell whose program was interrupted."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def one_interrupt() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM raise ``KeyboardInterrupt`` meanwhile; those after it are ignored.

    Who stops a program often signals its process group as well, so that it hears twice. The second must not
    end the report that the first has caused.
    """

    def interrupt(_number: int, _frame: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
