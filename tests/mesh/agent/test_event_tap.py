"""Which lines of the log become events, at whatever level is written, and with which facts."""

import io
import logging

import pytest

from mesh.agent.logs import logger, logging_to
from mesh.alarms import AlarmKind
from mesh.config.schema import LoggingSection
from mesh.journal import EventKind
from mesh.sampling import alarming, sampled
from mesh.telling import IN_JOURNAL_MARK, event

LINE = "link up: %(peer)s at %(address)s"
FACTS = {"peer": "hq\n1234", "address": "10.0.0.1:4433"}


@pytest.fixture(params=["debug", "info", "error"])
def told(request):
    stream = io.StringIO()
    with logging_to(LoggingSection(level=request.param), stream) as output:
        yield lambda: output.journal.after(0, 1_000).events, stream, request.param


def test_a_marked_line_is_an_event_with_facts_whatever_is_written(told):
    events, _stream, _level = told
    logger("links").info(LINE, FACTS, extra=event(EventKind.LINK))
    (found,) = events()
    assert found.kind is EventKind.LINK
    assert found.what.text == "link up: hq\\n1234 at 10.0.0.1:4433"
    assert found.what.facts == {"peer": "hq\\n1234", "address": "10.0.0.1:4433"}
    assert found.what.level == "info"


def test_unmarked_warnings_are_problems_and_other_lines_are_none(told):
    events, _, _ = told
    logger("routes").info("as usual")
    logger("routes").debug("%(key)s", {"key": "x"}, extra=event(EventKind.LINK))
    logger("routes").warning("strange")
    logger("links").info("told", extra={IN_JOURNAL_MARK: True})
    logging.getLogger("waitress").warning("of a library")
    assert [(each.kind, each.what.text) for each in events()] == [
        (EventKind.PROBLEM, "strange"),
        (EventKind.PROBLEM, "of a library"),
    ]


def test_alarms_are_events_of_their_own(told):
    events, _, _ = told
    logger("routes").warning("a grant", extra=alarming(AlarmKind.GRANT, "mallory 6666"))
    assert [each.kind for each in events()] == [EventKind.ALARM]


def test_what_is_too_often_for_the_log_is_too_often_for_the_journal(told):
    events, _, _ = told
    for number in range(5_000):
        facts = {"peer": f"mallory {number}", "address": "10.0.0.6:1"}
        logger("links").info(LINE, facts, extra=sampled("10.0.0.6") | event(EventKind.LINK))
    assert len(events()) <= 5


def test_only_what_is_severe_enough_is_written():
    stream = io.StringIO()
    with logging_to(LoggingSection(level="error"), stream):
        logger("links").info(LINE, FACTS, extra=event(EventKind.LINK))
        logger("links").error("bad")
    assert [line.split(": ", 1)[1] for line in stream.getvalue().splitlines()] == ["bad"]
