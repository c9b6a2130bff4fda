"""Virtual time: a heap of events, and a running hash over all that happens."""

import hashlib
import heapq
from collections.abc import Callable
from math import inf
from typing import Final

TRACE_LINES: Final = 256
"""That are hashed at a time: one by one they cost twice as much."""

COMPACT_ABOVE: Final = 4096
"""Cancelled events are swept out only in heaps larger than this; smaller ones cost nothing to keep."""


class VirtualEvent:
    """Something that will happen at one instant, unless it is cancelled first."""

    __slots__ = ("_clock", "action", "time")

    def __init__(self, clock: "VirtualClock", time: float, action: Callable[[], None]) -> None:
        self.time: Final = time
        self._clock = clock
        self.action: Callable[[], None] | None = action
        """For the clock; None once it has happened or been cancelled."""

    @property
    def pending(self) -> bool:
        """Whether it has neither happened nor been cancelled."""
        return self.action is not None

    def cancel(self) -> None:
        """Forget it; nothing happens if it has happened or been cancelled already."""
        if self.action is not None:
            self.action = None
            self._clock.note_cancelled()

    def happen(self) -> None:
        """Run the action, once."""
        action, self.action = self.action, None
        if action is not None:
            action()


class VirtualClock:
    """The time of a simulated world, in seconds since its start, and the events to come.

    Time moves only from event to event. Events of one instant happen in the order in which they were
    scheduled.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, VirtualEvent]] = []
        self._scheduled = 0
        self._cancelled = 0

    @property
    def pending_events(self) -> int:
        """How many events are still to happen."""
        return len(self._heap) - self._cancelled

    def at(self, time: float, action: Callable[[], None]) -> VirtualEvent:
        """Run ``action`` at ``time``, or at this very instant where that has passed."""
        time = max(time, self.now)
        event = VirtualEvent(self, time, action)
        self._scheduled += 1
        heapq.heappush(self._heap, (time, self._scheduled, event))
        return event

    def after(self, delay_s: float, action: Callable[[], None]) -> VirtualEvent:
        """Run ``action`` in ``delay_s`` seconds."""
        return self.at(self.now + delay_s, action)

    def next_time(self) -> float | None:
        """When the next event happens; ``None`` if none is."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
            self._cancelled -= 1
        return heap[0][0] if heap else None

    def step(self, until_s: float = inf) -> bool:
        """Move to the next event and let it happen; False if none is to come up to ``until_s``."""
        heap = self._heap
        while heap:
            time, _, event = heap[0]
            if event.action is not None and time > until_s:
                return False
            heapq.heappop(heap)
            if event.action is not None:
                self.now = time
                event.happen()
                return True
            self._cancelled -= 1
        return False

    def note_cancelled(self) -> None:
        """Count an event that will not happen, and sweep where most of the heap are such."""
        self._cancelled += 1
        if len(self._heap) > COMPACT_ABOVE and self._cancelled * 2 > len(self._heap):
            # In place: a step that is under way holds no reference to the list.
            self._heap[:] = [entry for entry in self._heap if entry[2].pending]
            heapq.heapify(self._heap)
            self._cancelled = 0


class Trace:
    """A running hash over everything that happens: equal digests mean equal histories."""

    def __init__(self, clock: VirtualClock, seed: int) -> None:
        self._clock = clock
        self._hash = hashlib.blake2b(f"virtual world {seed}\n".encode(), digest_size=16)
        self._lines: list[str] = []
        """That have not been hashed yet."""
        self.listener: Callable[[str], None] | None = None
        """Hears every line; comparing the lines of two runs shows where they part."""

    def note(self, kind: str, subject: str, detail: object = "") -> None:
        """Record that ``kind`` befell ``subject`` (a host or a pair of hosts) now.

        The ``str`` of ``detail`` must not depend on the process, as an ``id`` or the order of a set would.
        """
        line = f"{self._clock.now!r} {kind} {subject} {detail}\n"
        self._lines.append(line)
        if len(self._lines) >= TRACE_LINES:
            self._hash_lines()
        if self.listener is not None:
            self.listener(line)

    def digest(self) -> str:
        """The hash so far, 32 hex digits."""
        self._hash_lines()
        return self._hash.hexdigest()

    def _hash_lines(self) -> None:
        self._hash.update("".join(self._lines).encode())
        self._lines.clear()
