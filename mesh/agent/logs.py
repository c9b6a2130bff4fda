"""What an agent logs: readable lines or one JSON object a line, never twice in a hot loop, never blocking.

Loggers are named after the subsystems of ``logging.levels``: ``logger("links")``. A line is made where it is
logged and written by a thread of its own: a stopped terminal (Ctrl-S) or a slow disk holds up no dispatcher.
"""

import logging
import math
import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, TextIO

from mesh.agent.event_tap import LOWEST_LEVEL, EventTap
from mesh.agent.log_formats import ROOT_NAME, RUNTIME_MODULES, JsonFormatter, TextFormatter
from mesh.agent.log_repetitions import SAMPLE_WINDOW_S, RepetitionFilter, Samples
from mesh.config.schema import SUBSYSTEMS, LoggingSection
from mesh.journal import Journal

QUEUED_LINES: Final = 10_000
"""Waiting to be written; what comes on top is dropped and counted."""

_FLUSH_TIMEOUT_S: Final = 2.0


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


class LogOutput:
    """Where log lines go: which of them, and in which form."""

    def __init__(self, handler: logging.Handler, journal: Journal, *, takes_colour: bool) -> None:
        self._handler = handler
        self._takes_colour = takes_colour
        self._levels = _Levels()
        handler.addFilter(EventTap(journal))
        handler.addFilter(self._levels)
        self.journal = journal
        """What has been told, however little of it is written."""

    def apply(self, section: LoggingSection) -> None:
        """Log as ``section`` says from now on."""
        self._handler.setFormatter(
            JsonFormatter() if section.format == "json" else TextFormatter(self._takes_colour)
        )
        # What is an event is made whether it is written or not.
        logging.getLogger(ROOT_NAME).setLevel(min(_level(section.level), LOWEST_LEVEL))
        for subsystem in SUBSYSTEMS:
            level = _level(getattr(section.levels, subsystem) or section.level)
            logger(subsystem).setLevel(min(level, LOWEST_LEVEL))
            self._levels.set(logger(subsystem).name, level)
        runtime = _level(section.levels.runtime or section.level)
        logging.getLogger(RUNTIME_MODULES).setLevel(min(runtime, LOWEST_LEVEL))
        self._levels.set(RUNTIME_MODULES, runtime)


@contextmanager
def logging_to(section: LoggingSection, stream: TextIO | None = None) -> Iterator[LogOutput]:
    """Log as ``section`` says, to ``stream`` (standard error), until the block ends and all lines are out."""
    target = sys.stderr if stream is None else stream
    with _nothing_looked_up(), _handled(section, target) as output:
        yield output


@contextmanager
def _nothing_looked_up() -> Iterator[None]:
    """Have no record made with the place in the code, the thread and the process: no line shows them.

    To find them takes as long as to write the line. As "Optimization" in Python's Logging HOWTO has it.
    """
    with ExitStack() as stack:
        for name, value in (
            ("_srcfile", None),
            ("logThreads", False),
            ("logProcesses", False),
            ("logMultiprocessing", False),
        ):
            stack.callback(setattr, logging, name, getattr(logging, name))
            setattr(logging, name, value)
        yield


@contextmanager
def _handled(section: LoggingSection, target: TextIO) -> Iterator[LogOutput]:
    repetitions = RepetitionFilter()
    handler = _QueuedHandler(target, repetitions.samples)
    handler.addFilter(repetitions)
    output = LogOutput(handler, Journal(threading.Lock()), takes_colour=target.isatty())
    root, libraries = logging.getLogger(ROOT_NAME), logging.getLogger()
    before = root.propagate, root.level, libraries.level
    root.propagate = False
    output.apply(section)
    # Libraries (Waitress, Pykka) speak up only when something is wrong.
    libraries.setLevel(logging.WARNING)
    for destination in (root, libraries):
        destination.addHandler(handler)
    try:
        yield output
    finally:
        for destination in (root, libraries):
            destination.removeHandler(handler)
        root.propagate = before[0]
        root.setLevel(before[1])
        libraries.setLevel(before[2])
        for name in (*(f"{ROOT_NAME}.{subsystem}" for subsystem in SUBSYSTEMS), RUNTIME_MODULES):
            logging.getLogger(name).setLevel(logging.NOTSET)
        handler.close()


class _Levels(logging.Filter):
    """Lets pass what is to be written, by the logger's name or the package that it is in."""

    def __init__(self) -> None:
        super().__init__()
        self._levels: dict[str, int] = {}

    def set(self, name: str, level: int) -> None:
        self._levels[name] = level

    def filter(self, record: logging.LogRecord) -> bool:
        name = RUNTIME_MODULES if record.name.startswith(RUNTIME_MODULES) else record.name
        return record.levelno >= self._levels.get(name, logging.NOTSET)


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


def _level(name: str) -> int:
    return logging.getLevelNamesMapping()[name.upper()]
