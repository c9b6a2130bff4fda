"""What reaches the log, in which form, and how often."""

import io
import json
import logging
import sys
import threading

import pytest

from mesh.agent import logs
from mesh.config.schema import SUBSYSTEMS, LevelsSection, LoggingSection


def record(message, *args, level=logging.INFO, name="mesh.links", created=1_800_000_000.25, **extra):
    made = logging.LogRecord(name, level, "file.py", 1, message, args, None)
    made.created = created
    made.__dict__.update(extra)
    return made


def written(section, *calls):
    stream = io.StringIO()
    with logs.logging_to(section, stream):
        for call in calls:
            call()
    return stream.getvalue()


def test_a_line_for_people():
    line = logs.TextFormatter().format(
        record("link to %s is up", "relay", **logs.fields(rtt_ms=3, peer="a b"))
    )
    stamp, rest = line[:23], line[23:]
    assert stamp.endswith(".250")
    assert rest == ' info    links: link to relay is up rtt_ms=3 peer="a b"'


def test_a_line_for_programs():
    extra = logs.fields(rtt_ms=3.5, peer="relay", path=("a", b"b"), bad=float("nan"), none=None)
    line = logs.JsonFormatter().format(record("link to %s is up", "relay", level=logging.WARNING, **extra))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "warning",
        "subsystem": "links",
        "message": "link to relay is up",
        "rtt_ms": 3.5,
        "peer": "relay",
        "path": ["a", "b'b'"],
        "bad": "nan",
        "none": None,
    }


@pytest.mark.parametrize("formatter", [logs.TextFormatter(), logs.JsonFormatter()])
@pytest.mark.parametrize("hostile", ["a\nb", "a\x1b[2Jb", "a\rb", "a\u202eb", "a\x00b", "a\u2028b", "a\x85b"])
def test_what_a_peer_supplies_cannot_forge_lines_or_drive_the_terminal(formatter, hostile):
    line = formatter.format(record("peer said %s", hostile, **logs.fields(name=hostile)))
    assert line.isprintable()


def test_a_fact_cannot_pass_for_a_field_of_the_line():
    line = logs.JsonFormatter().format(record("true", **logs.fields(message="false", level="none")))
    assert json.loads(line)["message"] == "true"
    assert json.loads(line)["level"] == "info"


def test_a_message_has_an_end():
    line = logs.TextFormatter().format(record("%s", "x" * 100_000))
    assert len(line) < 5000
    assert line.endswith("(95904 characters more)")


def failure(text):
    try:
        int(text)
    except ValueError:
        return sys.exc_info()
    return None


def test_a_traceback_is_set_off_so_that_it_forges_no_line():
    made = record("actor crashed", level=logging.ERROR, exc_info=failure("x\n2027-01-01 info fake\x1b["))
    first, *rest = logs.TextFormatter().format(made).split("\n")
    assert first.endswith("links: actor crashed")
    assert rest
    assert all(row.startswith("  | ") and row.isprintable() for row in rest)
    line = logs.JsonFormatter().format(made)
    assert line.isprintable()
    assert "ValueError" in json.loads(line)["traceback"]


def test_colours_are_for_terminals():
    made = record("x", level=logging.ERROR)
    assert "\x1b[31m" in logs.TextFormatter(colour=True).format(made)
    assert "\x1b" not in logs.TextFormatter().format(made)


def test_equal_lines_pass_thrice_in_a_window_and_are_counted():
    repetitions = logs.RepetitionFilter()
    lines = [record("dial %s failed", "relay", created=100 + second / 10) for second in range(90)]
    assert [repetitions.filter(line) for line in lines] == [True] * 3 + [False] * 87
    later = record("dial %s failed", "relay", created=110)
    assert repetitions.filter(later)
    assert logs.TextFormatter().format(later).endswith("dial relay failed (87 more like this were left out)")
    again = record("dial %s failed", "relay", created=111)
    assert repetitions.filter(again)
    assert logs.TextFormatter().format(again).endswith("dial relay failed")


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_lines_that_differ_in_their_arguments_have_a_higher_limit(level):
    repetitions = logs.RepetitionFilter()
    limit = logs.MAX_ALIKE[level]
    passed = [
        repetitions.filter(record("garbage from %s", port, level=level, created=5))
        for port in range(limit + 50)
    ]
    assert passed == [True] * limit + [False] * 50
    assert repetitions.filter(record("other from %s", 1, level=level, created=5))
    later = record("garbage from %s", "new", level=level, created=20)
    assert repetitions.filter(later)
    assert later.left_out == 50


def test_other_lines_are_not_held_back():
    repetitions = logs.RepetitionFilter()
    for _ in range(10):
        repetitions.filter(record("same"))
    assert repetitions.filter(record("same", name="mesh.routing.routes"))
    assert repetitions.filter(record("same", level=logging.WARNING))
    assert repetitions.filter(record("other"))


def test_a_clock_that_is_set_back_silences_nothing():
    repetitions = logs.RepetitionFilter()
    for _ in range(10):
        repetitions.filter(record("same", created=1000))
    assert repetitions.filter(record("same", created=10))


def test_what_is_counted_is_bounded():
    repetitions = logs.RepetitionFilter()
    for number in range(3 * logs.REMEMBERED):
        repetitions.filter(record("from %s", number, created=number))
    assert len(repetitions._equal._seen) == logs.REMEMBERED


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
    threads = threading.active_count()
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
    assert threading.active_count() == threads


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
    handler = logs._QueuedHandler(stream, logs.Samples())
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
