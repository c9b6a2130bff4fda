"""What happened in a run: its story for people, and its events for finding out why."""

import traceback
from collections import deque
from collections.abc import Callable
from typing import Final

from scripts.simulation.invariants import InvariantError

TAIL_LINES: Final = 60
"""Events that are shown before a broken invariant."""


class Story:
    """Faults, clients and what agents logged, in the order of time.

    Args:
        now: the time in seconds.
        wants_events: keep the last events, too.
        on_event: hears every event's line.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        wants_events: bool = False,
        on_event: Callable[[str], None] | None = None,
    ) -> None:
        self._now = now
        self._on_event = on_event
        self.entries: list[tuple[float, str, str]] = []
        """Time, what happened, and to whom."""
        self.events: deque[str] = deque(maxlen=TAIL_LINES)
        self.wants_events = wants_events or on_event is not None

    def note(self, what: str, subject: str = "") -> None:
        """Something worth telling has happened."""
        self.entries.append((self._now(), what, subject))

    def logged(self, line: str) -> None:
        """An agent logged a line."""
        self.note("log", line)

    def event(self, line: str) -> None:
        """One event of the world."""
        self.events.append(line.rstrip("\n"))
        if self._on_event is not None:
            self._on_event(line)

    def broken(self, error: Exception) -> str:
        """Tell what ended the run, with a traceback if it was no invariant; its one line."""
        text = str(error)
        if not isinstance(error, InvariantError):
            text = f"the run ends in order: {type(error).__name__}: {error}"
            for entry in traceback.format_exception(error):
                for line in entry.splitlines():
                    self.note("traceback", line)
        self.note("BROKEN", text)
        return text

    def lines(self) -> tuple[str, ...]:
        """The story, a line an entry."""
        return tuple(f"{time:10.4f} s  {what:<15} {subject}" for time, what, subject in self.entries)
