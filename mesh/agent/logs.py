"""What an agent logs: readable lines or one JSON object a line, never twice in a hot loop, never blocking.

Loggers are named after the subsystems of ``logging.levels``: ``logger("links")``. A line is made where it is
logged and written by a thread of its own: a stopped terminal (Ctrl-S) or a slow disk holds up no dispatcher.
"""

import copy
import json
import logging
import math
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TextIO

from mesh.config.schema import SUBSYSTEMS, LoggingSection
from mesh.escaping import escaped
from mesh.sampling import MARK

ROOT_NAME: Final = "mesh"

QUEUED_LINES: Final = 10_000
"""Waiting to be written; what comes on top is dropped and counted."""

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
"""Places that are counted on their own, for each kind of line; the rest shares one count."""

_FLUSH_TIMEOUT_S: Final = 2.0
_COLOURS: Final = {logging.DEBUG: "\x1b[2m", logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m"}
_COLOUR_END: Final = "\x1b[0m"


_RUNTIME_MODULES: Final = "actors.runtime"
"""The runtime knows nothing of a mesh, so its loggers have the names of its modules."""


def logger(subsystem: str) -> logging.Logger:
    """The logger of a subsystem.

    Raises:
        ValueError: there is no such subsystem in the configuration, so nobody could set its level.
    """
    if subsystem not in SUBSYSTEMS:
        raise ValueError(f"expected one of {', '.join(SUBSYSTEMS)}, found {subsystem!r}")
    return logging.getLogger(f"{ROOT_NAME}.{subsystem}")


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Facts for programs to read beside the message: ``log.info("...", extra=fields(peer=short_id))``."""
    return {"fields": values}


@contextmanager
def logging_to(section: LoggingSection, stream: TextIO | None = None) -> Iterator[None]:
    """Log as ``section`` says, to ``stream`` (standard error), until the block ends and all lines are out."""
    target = sys.stderr if stream is None else stream
    repetitions = RepetitionFilter()
    handler = _QueuedHandler(target, repetitions.samples)
    handler.setFormatter(
        JsonFormatter() if section.format == "json" else TextFormatter(_takes_colour(target))
    )
    handler.addFilter(repetitions)
    root, libraries = logging.getLogger(ROOT_NAME), logging.getLogger()
    before = root.propagate, root.level, libraries.level
    root.propagate = False
    root.setLevel(_level(section.level))
    for subsystem in SUBSYSTEMS:
        own = getattr(section.levels, subsystem)
        logger(subsystem).setLevel(logging.NOTSET if own is None else _level(own))
    logging.getLogger(_RUNTIME_MODULES).setLevel(_level(section.levels.runtime or section.level))
    # Libraries (Waitress, asyncio, Pykka) speak up only when something is wrong.
    libraries.setLevel(logging.WARNING)
    for destination in (root, libraries):
        destination.addHandler(handler)
    try:
        yield
    finally:
        for destination in (root, libraries):
            destination.removeHandler(handler)
        root.propagate = before[0]
        root.setLevel(before[1])
        libraries.setLevel(before[2])
        for name in (*(f"{ROOT_NAME}.{subsystem}" for subsystem in SUBSYSTEMS), _RUNTIME_MODULES):
            logging.getLogger(name).setLevel(logging.NOTSET)
        handler.close()


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
        kind = (record.name, record.levelno, str(record.msg))
        place = str(getattr(record, MARK, ""))
        with self._lock:
            places = self._open.setdefault(kind, {})
            if place not in places and len(places) >= MAX_PLACES:
                place = ""
            sample = places.setdefault(place, _Sample(record.created))
            if (
                sample.passed < MAX_SAMPLED
                and self._passed.count(kind, MAX_SAMPLED_IN_ALL, record.created)[0]
            ):
                sample.passed += 1
                return True
            sample.left_out += 1
            # As text: what its arguments are may have ended by the time of the summary.
            sample.last = copy.copy(record)
            sample.last.msg, sample.last.args = record.getMessage(), None
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


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00.123 warning links: message key=value``, local time, one line but for tracebacks.

    Args:
        colour: whether the output is a terminal that shows colours.
    """

    def __init__(self, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line, with a traceback indented below it."""
        moment = datetime.fromtimestamp(record.created).astimezone()
        stamp = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
        level = f"{_level_name(record):<7}"
        if self._colour and record.levelno in _COLOURS:
            level = f"{_COLOURS[record.levelno]}{level}{_COLOUR_END}"
        facts = "".join(f" {key}={escaped(_plain(value))}" for key, value in _fields(record).items())
        line = f"{stamp} {level} {_subsystem(record)}: {_message(record)}{facts}"
        # The bar keeps text inside an exception from passing for a line of its own.
        return "\n".join([line, *(f"  | {escaped(row)}" for row in _traceback(self, record).splitlines())])


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``subsystem``, ``message``, and the facts."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, in ASCII."""
        moment = datetime.fromtimestamp(record.created, UTC)
        content: dict[str, object] = {key: _jsonable(value) for key, value in _fields(record).items()}
        content |= {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
            "level": _level_name(record),
            "subsystem": _subsystem(record),
            "message": _message(record),
        }
        traceback = _traceback(self, record)
        if traceback:
            content["traceback"] = traceback
        first = ("time", "level", "subsystem", "message")
        return json.dumps({key: content[key] for key in (*first, *(k for k in content if k not in first))})


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


class _QueuedHandler(logging.Handler):
    """Formats where it is called and writes on a thread of its own."""

    def __init__(self, stream: TextIO, samples: Samples) -> None:
        super().__init__()
        self._stream = stream
        self._samples = samples
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUED_LINES)
        self._dropped = 0
        self._ended = False
        self._writer = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001 - logging's own convention: a bad log call never stops the agent
            self.handleError(record)

    def close(self) -> None:
        """Wait until all lines are out, though not for ever: the reader of the stream may be gone."""
        if self._writer.is_alive():
            try:
                self._lines.put(None, timeout=_FLUSH_TIMEOUT_S)
            except queue.Full:
                self._dropped += 1
            else:
                self._writer.join(_FLUSH_TIMEOUT_S)
        super().close()

    def _write(self) -> None:
        line: str | None = ""
        while line is not None:
            line = self._next_line()
            dropped, self._dropped = self._dropped, 0
            note = f"({dropped} log lines were dropped: the output was too slow)\n" if dropped else ""
            # Where nobody reads any more, the agent goes on, and lines are taken and thrown away.
            with suppress(OSError, ValueError):
                self._stream.write(note if line is None else f"{note}{line}\n")
                if self._lines.empty():
                    self._stream.flush()

    def _next_line(self) -> str | None:
        """The next line, or a few that sum up what was left out; ``None`` is the end."""
        while True:
            wait_s = self._samples.due_at() - time.time()
            # A clock that was set back makes for a long wait, and no window is longer than this.
            timeout_s = None if wait_s == math.inf else min(max(0.0, wait_s), SAMPLE_WINDOW_S)
            try:
                line = None if self._ended else self._lines.get(timeout=timeout_s)
            except queue.Empty:
                summaries = self._samples.summaries(time.time())
            else:
                if line is not None:
                    return line
                self._ended = True
                summaries = self._samples.summaries(math.inf)
                if not summaries:
                    return None
            if summaries:
                return "\n".join(self.format(summary) for summary in summaries)


def _takes_colour(stream: TextIO) -> bool:
    return stream.isatty()


def _level(name: str) -> int:
    return logging.getLevelNamesMapping()[name.upper()]


def _level_name(record: logging.LogRecord) -> str:
    return record.levelname.lower()


def _subsystem(record: logging.LogRecord) -> str:
    if record.name.startswith(_RUNTIME_MODULES):
        return "runtime"
    return record.name.removeprefix(f"{ROOT_NAME}.")


def _message(record: logging.LogRecord) -> str:
    left_out = getattr(record, "left_out", 0)
    note = f" ({left_out} more like this were left out)" if left_out else ""
    return f"{escaped(record.getMessage())}{note}"


def _fields(record: logging.LogRecord) -> dict[str, object]:
    found = getattr(record, "fields", None)
    return found if isinstance(found, dict) else {}


def _plain(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


def _jsonable(value: object) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return escaped(str(value))


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
