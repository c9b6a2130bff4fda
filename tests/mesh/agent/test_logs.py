"""What reaches the log, in which form, and how often."""

import io
import logging
import threading

import pytest

from mesh.agent import logs
from mesh.agent.log_repetitions import Samples
from mesh.config.schema import SUBSYSTEMS, LevelsSection, LoggingSection
from tests.mesh.agent.log_records import record


def written(section, *calls):
    stream = io.StringIO()
    with logs.logging_to(section, stream):
        for call in calls:
            call()
    return stream.getvalue()


def test_levels_for_subsystems():
    section = LoggingSection(level="warning", levels=LevelsSection(links="debug", http="error"))
    text = written(
        section,
        lambda: logs.logger("links").debug("one"),
        lambda: logs.logger("http").warning("two"),
        lambda: logs.logger("routes").info("three"),
        lambda: logs.logger("routes").warning("four"),
        lambda: logging.getLogger("waitress").info("five"),
        lambda: logging.getLogger("waitress").warning("six"),
    )
    assert [line.rpartition(": ")[2] for line in text.splitlines()] == ["one", "four", "six"]


@pytest.mark.parametrize(
    ("section", "shown"),
    [
        (LoggingSection(), False),
        (LoggingSection(level="debug"), True),
        (LoggingSection(levels=LevelsSection(runtime="debug")), True),
    ],
)
def test_the_modules_of_the_runtime_are_one_subsystem(section, shown):
    text = written(section, lambda: logging.getLogger("actors.runtime.real.loop").debug("turn"))
    assert text.endswith(" debug   runtime: turn\n") is shown


def test_everything_is_as_before_afterwards():
    before = logging.getLogger("mesh").level, logging.getLogger().level, list(logging.getLogger().handlers)
    threads, looks_up = set(threading.enumerate()), (logging._srcfile, logging.logThreads)
    section = LoggingSection(format="json", levels=LevelsSection(links="debug"))
    assert written(section, lambda: logs.logger("agent").info("x"))
    assert before == (
        logging.getLogger("mesh").level,
        logging.getLogger().level,
        list(logging.getLogger().handlers),
    )
    assert logging.getLogger("mesh").handlers == []
    assert (
        logging.getLogger("mesh.links").level == logging.getLogger("actors.runtime").level == logging.NOTSET
    )
    assert (logging._srcfile, logging.logThreads) == looks_up
    assert set(threading.enumerate()) <= threads  # those of an earlier test may have ended


def test_a_subsystem_has_a_name_that_can_be_configured():
    assert [logs.logger(name).name for name in SUBSYSTEMS] == [f"mesh.{name}" for name in SUBSYSTEMS]
    with pytest.raises(ValueError, match="expected one of agent"):
        logs.logger("lniks")


class Stuck(io.StringIO):
    """A terminal that was stopped: the first write waits until it is let go."""

    def __init__(self):
        super().__init__()
        self.is_waiting = threading.Event()
        self.may_go = threading.Event()

    def write(self, text):
        self.is_waiting.set()
        assert self.may_go.wait(30)
        return super().write(text)


def test_a_stopped_terminal_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(logs, "QUEUED_LINES", 5)
    stream = Stuck()
    log = logs.logger("agent")
    with logs.logging_to(LoggingSection(), stream):
        log.info("first")
        assert stream.is_waiting.wait(30)
        for number in range(20):
            log.info("line %d", number)
        stream.may_go.set()
    lines = stream.getvalue().splitlines()
    assert [line.rpartition(": ")[2] for line in lines if "agent" in line] == [
        "first", "line 0", "line 1", "line 2", "line 3", "line 4",
    ]  # fmt: skip
    assert "(15 log lines were dropped: the output was too slow)" in lines


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_dropped_lines_are_told_even_at_the_end(monkeypatch):
    monkeypatch.setattr(logs, "QUEUED_LINES", 1)
    stream = Stuck()
    handler = logs._QueuedHandler(stream, Samples())
    handler.emit(record("one"))
    assert stream.is_waiting.wait(30)
    handler.emit(record("two"))
    stream.may_go.set()
    handler.emit(record("three"))
    handler.close()
    shown = stream.getvalue()
    assert ("three" in shown) != ("(1 log lines were dropped" in shown)


def test_an_output_that_is_gone_stops_nothing():
    with logs.logging_to(LoggingSection(), Gone()):
        logs.logger("agent").info("one")
        logs.logger("agent").info("two")
