"""Which log lines are left out because they repeat, and what is said of them instead."""

import copy
import logging
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from mesh.agent.log_formats import SUMMED_UP
from mesh.alarms import MAX_MEMBERS
from mesh.sampling import ALARM_MARK, MARK

WINDOW_S: Final = 10.0
"""The time over which repetitions are counted."""
MAX_EQUAL: Final = 3
"""Equal lines in a window: one may be chance and two a coincidence, more is a loop."""
MAX_ALIKE: Final = {logging.DEBUG: 1_000_000, logging.INFO: 1_000, logging.WARNING: 50, logging.ERROR: 50}
"""Lines in a window that differ in their arguments only. A start may announce a thousand listeners;
complaints are what strangers can cause at will."""
REMEMBERED: Final = 2048
"""Different lines that are counted at one time; those whose window began first are forgotten first."""

SAMPLE_WINDOW_S: Final = 60.0
"""The time over which lines are counted that others can cause at will (``mesh/sampling.py``)."""
MAX_SAMPLED: Final = 3
"""Of such lines that are alike, in a window, for one place."""
MAX_SAMPLED_IN_ALL: Final = 100
"""The same for all places together: with the summaries, 35 MB a day of one kind of line at the very worst."""
MAX_PLACES: Final = 64
"""Places that are counted on their own, for each kind of line; the rest shares one count.

An alarm's places are members of the mesh, up to ``MAX_MEMBERS``; no others' alarms count for one."""


class RepetitionFilter(logging.Filter):
    """Lets the first few equal or alike lines of a window pass, then one a window with the others' count.

    Time is that of the records, so nothing here looks at a clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._equal = _Counts()
        self._alike = _Counts()
        self.samples = Samples()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record passes; one that ends a silence says how many were left out."""
        if hasattr(record, MARK):
            passed = self.samples.take(record)
            if not passed and logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
                record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
                return True
            return passed
        template = (record.name, record.levelno, str(record.msg))
        limit = MAX_ALIKE.get(record.levelno, MAX_ALIKE[logging.ERROR])
        passed, left_out = self._equal.count((*template, repr(record.args)), MAX_EQUAL, record.created)
        if passed:
            alike_passed, alike_left_out = self._alike.count(template, limit, record.created)
            passed, left_out = alike_passed, left_out + alike_left_out
        if passed and left_out:
            record.left_out = left_out
        return passed


class Samples:
    """Lets the first few lines of a kind and place pass in a window; the rest becomes one line at its end.

    Time is that of the records and of who asks, so nothing here looks at a clock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # lines come from several threads, and summaries go to one of their own
        self._open: dict[tuple[str, int, str], dict[str, _Sample]] = {}
        """By kind of line, then by place."""
        self._passed = _Counts(SAMPLE_WINDOW_S)

    def take(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written now; else it counts for a summary."""
        alarm = getattr(record, ALARM_MARK, None)
        kind = (record.name, record.levelno, str(record.msg) if alarm is None else f"alarm: {alarm}")
        place = str(getattr(record, MARK, ""))
        with self._lock:
            places = self._open.setdefault(kind, {})
            if place not in places and len(places) >= (MAX_PLACES if alarm is None else MAX_MEMBERS):
                place = ""
            sample = places.setdefault(place, _Sample(record.created))
            if sample.passed < MAX_SAMPLED and (
                alarm is not None or self._passed.count(kind, MAX_SAMPLED_IN_ALL, record.created)[0]
            ):
                sample.passed += 1
                return True
            sample.left_out += 1
            # As text: what its arguments are may have ended by the time of the summary.
            sample.last = copy.copy(record)
            sample.last.msg, sample.last.args = record.getMessage(), None
            setattr(sample.last, SUMMED_UP, record.args)
            return False

    def due_at(self) -> float:
        """Unix time when the next window ends; infinite while none is open."""
        with self._lock:
            begun = (sample.since for places in self._open.values() for sample in places.values())
            return min(begun, default=math.inf) + SAMPLE_WINDOW_S

    def summaries(self, now: float) -> list[logging.LogRecord]:
        """Close the windows that are over at ``now``: the last line of each that has left out any."""
        found: list[logging.LogRecord] = []
        with self._lock:
            for kind, places in list(self._open.items()):
                # A clock that was set back would otherwise keep a window open until it catches up.
                over = [at for at, each in places.items() if not 0 <= now - each.since < SAMPLE_WINDOW_S]
                for last, left_out in ((each.last, each.left_out) for each in map(places.pop, over)):
                    if last is not None:
                        last.left_out = left_out - 1
                        found.append(last)
                if not places:
                    del self._open[kind]
        return found


@dataclass(slots=True)
class _Sample:
    """Lines of one kind and place since a window began."""

    since: float
    passed: int = 0
    left_out: int = 0
    last: logging.LogRecord | None = None


class _Counts:
    """How often each of the things seen lately was seen in its window."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._seen: OrderedDict[int, list[float]] = OrderedDict()

    def count(self, key: tuple[object, ...], limit: int, now: float) -> tuple[bool, int]:
        """Whether this one is within the limit, and how many were not since the last that was."""
        # By hash: what a peer supplied, at any length, is not kept for it.
        digest = hash(key)
        entry = self._seen.get(digest)
        # A clock that was set back would otherwise silence a line until it catches up.
        if entry is None or not 0 <= now - entry[0] < self._window_s:
            left_out = 0 if entry is None else max(0, int(entry[1]) - limit)
            self._seen[digest] = [now, 1]
            self._seen.move_to_end(digest)
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            return True, left_out
        entry[1] += 1
        return entry[1] <= limit, 0
