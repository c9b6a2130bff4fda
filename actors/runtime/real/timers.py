"""What is to be called later: a heap by time. What was cancelled is left out when it is due, or before."""

import heapq
import time
from collections.abc import Callable
from math import inf
from typing import Final

_now: Final = time.monotonic
_push: Final = heapq.heappush
_pop: Final = heapq.heappop

MIN_CANCELLED: Final = 64
"""Fewer cancelled timers than this are not worth looking for."""


def _nothing(*_: object) -> None:
    """What a timer calls that was cancelled."""


class LoopTimer:
    """A call to come: an :class:`~actors.runtime.seam.Timer`."""

    __slots__ = ("_timers", "arguments", "callback", "pending")

    def __init__(
        self, timers: "Timers", callback: Callable[..., object], arguments: tuple[object, ...]
    ) -> None:
        self._timers = timers
        self.callback = callback
        self.arguments = arguments
        self.pending = True

    def cancel(self) -> None:
        """Do not call; nothing happens if that was done or cancelled already."""
        if self.pending:
            self.end()
            self._timers.one_cancelled()

    def end(self) -> None:
        """Hold nothing any more: whoever has it may keep it for long."""
        self.pending = False
        self.callback, self.arguments = _nothing, ()


class Timers:
    """The calls to come, in the order of their times, those of one time in the order of asking."""

    __slots__ = ("_cancelled", "_heap", "_number")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, LoopTimer]] = []
        self._number = 0
        self._cancelled = 0
        """How many of the heap were cancelled."""

    def __len__(self) -> int:
        """How many it holds, cancelled ones included."""
        return len(self._heap)

    def add(
        self, delay_s: float, callback: Callable[..., object], arguments: tuple[object, ...]
    ) -> LoopTimer:
        """Call ``callback`` in ``delay_s`` seconds, never earlier."""
        timer = LoopTimer(self, callback, arguments)
        self._number += 1
        _push(self._heap, (_now() + delay_s, self._number, timer))
        return timer

    def left_s(self) -> float:
        """Seconds until the next call: 0 if it is due, infinity if there is none."""
        heap = self._heap
        while heap and not heap[0][2].pending:
            _pop(heap)
            self._cancelled -= 1
        return max(heap[0][0] - _now(), 0.0) if heap else inf

    def fire(self) -> None:
        """Call what is due, but nothing that this adds."""
        heap = self._heap
        now, last = _now(), self._number
        while heap and heap[0][0] <= now and heap[0][1] <= last:
            timer = _pop(heap)[2]
            if timer.pending:
                callback, arguments = timer.callback, timer.arguments
                timer.end()
                callback(*arguments)
            else:
                self._cancelled -= 1

    def one_cancelled(self) -> None:
        """Take note of it; rid the heap of the cancelled ones if they are more than half."""
        self._cancelled += 1
        if self._cancelled >= MIN_CANCELLED and self._cancelled * 2 > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2].pending]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def clear(self) -> None:
        """Call nothing any more."""
        self._heap.clear()
        self._cancelled = 0
