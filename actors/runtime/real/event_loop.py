"""One thread's loop: sockets that are ready, timers that are due, and turns for mailboxes with mail.

Why not asyncio, or uvloop: docs/DECISIONS.md, "Runtime 5".
"""

import logging
from collections import deque
from collections.abc import Callable

from actors.runtime.real.poller import Poller
from actors.runtime.real.timers import LoopTimer, Timers
from actors.runtime.real.turns import Turns
from actors.runtime.real.waker import Waker

logger = logging.getLogger(__name__)


class EventLoop:
    """A loop for one thread. A round tells all sockets that are ready, and then what that made ready."""

    __slots__ = ("_calls", "_stopping", "_timers", "_waker", "poller", "turns")

    def __init__(self) -> None:
        self.poller = Poller()
        self._waker = Waker(self.poller)
        self.turns = Turns(self._waker)
        self._timers = Timers()
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._stopping = False

    def run(self) -> None:
        """Run until :meth:`stop`. What a callback raises is logged, unless it is no ``Exception``.

        Raises:
            OSError: the kernel does not say what is ready.
        """
        while not self._stopping:
            reports = self._wait()
            try:
                self._tell(reports)
            except Exception:
                logger.exception("Unhandled exception in the event loop")

    def stop(self) -> None:
        """End :meth:`run`, after a round for what was told before. Any thread may call it."""
        self.call_from_thread(self._stop)

    def call_later(self, delay_s: float, callback: Callable[..., object], *arguments: object) -> LoopTimer:
        """Call ``callback`` once, in ``delay_s`` seconds or a little later."""
        return self._timers.add(delay_s, callback, arguments)

    def call_from_thread(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call ``callback`` once, on the loop's thread, unless the loop has ended. Any thread may call it."""
        self._calls.append((callback, arguments))
        if self._waker.asleep:
            self._waker.wake()

    def close(self) -> None:
        """Let go of everything; for a loop that does not run any more."""
        self._waker.close()
        self._calls.clear()
        self._timers.clear()
        self.turns.clear()
        self.poller.close()

    def _stop(self) -> None:
        self._stopping = True

    def _wait(self) -> list[tuple[int, int]]:
        waker = self._waker
        timeout_s = self._timers.left_s()
        waker.asleep = True
        if self.turns.ready or self._calls:  # asked after that: see Waker
            waker.asleep = False
            timeout_s = 0.0
        reports = self.poller.wait(timeout_s)
        waker.asleep = False
        return reports

    def _tell(self, reports: list[tuple[int, int]]) -> None:
        turns, calls = self.turns, self._calls
        if reports:
            self.poller.tell(reports)
        self._timers.fire()
        for _ in range(len(calls)):
            callback, arguments = calls.popleft()
            callback(*arguments)
        if turns.ready:
            turns.run()
