"""Asking a running agent again and again, until Ctrl-C, also while it is started anew."""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from mesh.agent.control.client import NotRunning, Refused
from mesh.escaping import escaped

T = TypeVar("T")

PATIENCE_S: Final = 60.0
"""For an agent that has answered before, and does not now: a restart takes seconds."""

FIRST_PAUSE_S: Final = 0.25
MAX_PAUSE_S: Final = 4.0
"""How often it is asked meanwhile."""

PASSING: Final = (http.client.SERVICE_UNAVAILABLE, http.client.NOT_FOUND)
"""What may pass: an agent that is busy, or is not known yet to one that has just been started."""


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


class Patience:
    """Waits for an agent that has answered once, and may be being started anew.

    Args:
        tell: says so to people, and that it is back.
        follows: whether to wait at all.
    """

    def __init__(self, tell: Callable[[str], None], *, follows: bool) -> None:
        self._tell = tell
        self._follows = follows
        self._has_answered = False

    def ask(self, question: Callable[[], T]) -> T:
        """The answer to it, which is asked again while nobody answers, but not for ever.

        Raises:
            NotRunning: nobody answers.
            Refused: the agent says no; or it is too busy, for too long.
        """
        deadline, pause_s, is_absent = time.monotonic() + PATIENCE_S, FIRST_PAUSE_S, False
        while True:
            try:
                answer = question()
            except (NotRunning, Refused) as absent:
                may_pass = isinstance(absent, NotRunning) or absent.status in PASSING
                is_worth_it = self._follows and self._has_answered and time.monotonic() < deadline
                if not (may_pass and is_worth_it):
                    raise
                if not is_absent:
                    self._tell(f"{escaped(str(absent))}; waiting for it")
            else:
                if is_absent:
                    self._tell("it answers again")
                self._has_answered = True
                return answer
            is_absent = True
            time.sleep(pause_s)
            pause_s = min(MAX_PAUSE_S, 2 * pause_s)
