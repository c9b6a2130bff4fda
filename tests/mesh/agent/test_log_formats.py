"""How a log line looks, for people and for programs, and that nobody else writes it."""

import json
import logging
import sys
import time
from datetime import UTC, datetime

import pytest

from mesh.agent.log_formats import JsonFormatter, TextFormatter
from mesh.agent.logs import fields
from tests.mesh.agent.log_records import record


def test_a_line_for_people():
    line = TextFormatter().format(record("link to %s is up", "relay", **fields(rtt_ms=3, peer="a b")))
    stamp, rest = line[:29], line[29:]
    assert datetime.fromisoformat(stamp) == datetime.fromtimestamp(1_800_000_000.25, UTC)
    assert stamp[19:23] == ".250"
    assert stamp[23] in "+-"  # the zone: lines of agents in several are to be compared
    assert rest == ' info    links: link to relay is up rtt_ms=3 peer="a b"'


@pytest.fixture
def _new_york(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_new_york")
def test_each_line_has_its_own_time_and_zone():
    formatter, summer_ends = TextFormatter(), datetime(2026, 11, 1, 6, tzinfo=UTC).timestamp()
    times = [
        summer_ends - 0.001,
        summer_ends,
        summer_ends + 0.1234,
        summer_ends + 0.9999996,
        summer_ends - 60,
    ]
    stamps = [formatter.format(record("x", created=each))[:29] for each in times]
    assert stamps == [
        "2026-11-01 01:59:59.999-04:00",
        "2026-11-01 01:00:00.000-05:00",
        "2026-11-01 01:00:00.123-05:00",
        "2026-11-01 01:00:00.999-05:00",
        "2026-11-01 01:59:00.000-04:00",
    ]


def test_a_line_for_programs():
    extra = fields(rtt_ms=3.5, peer="relay", path=("a", b"b"), bad=float("nan"), none=None)
    line = JsonFormatter().format(record("link to %s is up", "relay", level=logging.WARNING, **extra))
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


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize("hostile", ["a\nb", "a\x1b[2Jb", "a\rb", "a\u202eb", "a\x00b", "a\u2028b", "a\x85b"])
def test_what_a_peer_supplies_cannot_forge_lines_or_drive_the_terminal(formatter, hostile):
    line = formatter.format(record("peer said %s", hostile, **fields(name=hostile)))
    assert line.isprintable()


def test_a_fact_cannot_pass_for_a_field_of_the_line():
    line = JsonFormatter().format(record("true", **fields(message="false", level="none")))
    assert json.loads(line)["message"] == "true"
    assert json.loads(line)["level"] == "info"


def test_a_message_has_an_end():
    line = TextFormatter().format(record("%s", "x" * 100_000))
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
    first, *rest = TextFormatter().format(made).split("\n")
    assert first.endswith("links: actor crashed")
    assert rest
    assert all(row.startswith("  | ") and row.isprintable() for row in rest)
    line = JsonFormatter().format(made)
    assert line.isprintable()
    assert "ValueError" in json.loads(line)["traceback"]


def test_colours_are_for_terminals():
    made = record("x", level=logging.ERROR)
    assert "\x1b[31m" in TextFormatter(colour=True).format(made)
    assert "\x1b" not in TextFormatter().format(made)


def test_what_a_message_names_is_a_field_for_programs():
    named = record("listener %(key)s at %(address)s", {"key": "a\nb", "address": "127.0.0.1:80"})
    line = json.loads(JsonFormatter().format(named))
    assert line["message"] == "listener a\\nb at 127.0.0.1:80"
    assert (line["key"], line["address"]) == ("a\\nb", "127.0.0.1:80")
    assert TextFormatter().format(named).endswith("listener a\\nb at 127.0.0.1:80")
