"""Lines that repeat: few are written, all are counted, and the last is the example."""

import io
import logging

import pytest

from mesh.agent import log_repetitions, logs
from mesh.agent.log_formats import TextFormatter
from mesh.alarms import MAX_MEMBERS, AlarmKind
from mesh.config.schema import LevelsSection, LoggingSection
from mesh.sampling import alarming, sampled
from tests.mesh.agent.log_records import record

START = 1_800_000_000.0
LINE = "%s reset: %s"


def reset(number: int, *, at: float = START, place: str = "api") -> logging.LogRecord:
    made = logging.LogRecord("mesh.connections", logging.INFO, "file.py", 1, LINE, (place, number), None)
    made.created = at
    made.__dict__.update(sampled(place))
    return made


def shown(records: list[logging.LogRecord]) -> list[str]:
    return [TextFormatter().format(each).partition("connections: ")[2] for each in records]


def test_five_thousand_resets_are_three_lines_and_a_summary():
    samples = log_repetitions.Samples()
    written = [number for number in range(5000) if samples.take(reset(number, at=START + number / 1000))]
    assert written == [0, 1, 2]
    assert samples.due_at() == START + log_repetitions.SAMPLE_WINDOW_S
    assert samples.summaries(START + log_repetitions.SAMPLE_WINDOW_S - 0.1) == []
    summaries = samples.summaries(START + log_repetitions.SAMPLE_WINDOW_S)
    assert shown(summaries) == ["api reset: 4999 (4996 more like this were left out)"]
    assert samples.due_at() == float("inf")
    assert samples.summaries(START + 1000.0) == []
    assert samples.take(reset(5001, at=START + 1000.0))


def test_a_window_without_anything_left_out_ends_without_a_word():
    samples = log_repetitions.Samples()
    assert all(samples.take(reset(number)) for number in range(log_repetitions.MAX_SAMPLED))
    assert samples.summaries(START + 100.0) == []


def test_a_line_that_is_the_only_one_left_out_is_just_late():
    samples = log_repetitions.Samples()
    for number in range(log_repetitions.MAX_SAMPLED + 1):
        samples.take(reset(number))
    assert shown(samples.summaries(START + 100.0)) == ["api reset: 3"]


def test_places_are_counted_on_their_own_but_there_are_not_too_many():
    samples = log_repetitions.Samples()
    taken = sum(samples.take(reset(0, place=f"key-{place}")) for place in range(10_000) for _ in range(5))
    assert taken == log_repetitions.MAX_SAMPLED_IN_ALL
    summaries = samples.summaries(START + 100.0)
    assert len(summaries) <= log_repetitions.MAX_PLACES + 1
    assert sum(each.left_out + 1 for each in summaries) == 50_000 - taken
    assert samples.due_at() == float("inf")


def test_a_clock_that_was_set_back_closes_what_it_left_open():
    samples = log_repetitions.Samples()
    for number in range(10):
        samples.take(reset(number))
    assert len(samples.summaries(START - 1000.0)) == 1
    assert samples.due_at() == float("inf")


class Ended:
    """Something that a line shows, and that looks different later."""

    state = "open"

    def __str__(self) -> str:
        return self.state


def test_the_example_says_what_was_so_when_it_was_logged():
    samples, subject = log_repetitions.Samples(), Ended()
    for _ in range(4):
        record = reset(0)
        record.args = (subject, "100%")
        samples.take(record)
    subject.state = "gone"
    assert shown(samples.summaries(START + 100.0)) == ["open reset: 100%"]


@pytest.mark.parametrize("level", ["info", "debug"])
def test_at_the_debug_level_each_is_written_on_its_own(level):
    stream = io.StringIO()
    section = LoggingSection(level="info", levels=LevelsSection(connections=level))
    with logs.logging_to(section, stream):
        for number in range(50):
            logs.logger("connections").info(LINE, "api", number, extra=sampled("api"))
    lines = stream.getvalue().splitlines()
    assert sum(" info " in line for line in lines) == log_repetitions.MAX_SAMPLED + 1, (
        "the last sums up, at the end too"
    )
    assert lines[-1].endswith("api reset: 49 (46 more like this were left out)")
    assert sum(" debug " in line for line in lines) == (47 if level == "debug" else 0)


def test_lines_that_are_not_marked_are_not_sampled():
    stream = io.StringIO()
    with logs.logging_to(LoggingSection(), stream):
        for number in range(50):
            logs.logger("connections").info("listener %s", number)
    assert len(stream.getvalue().splitlines()) == 50


def test_equal_lines_pass_thrice_in_a_window_and_are_counted():
    repetitions = log_repetitions.RepetitionFilter()
    lines = [record("dial %s failed", "relay", created=100 + second / 10) for second in range(90)]
    assert [repetitions.filter(line) for line in lines] == [True] * 3 + [False] * 87
    later = record("dial %s failed", "relay", created=110)
    assert repetitions.filter(later)
    assert TextFormatter().format(later).endswith("dial relay failed (87 more like this were left out)")
    again = record("dial %s failed", "relay", created=111)
    assert repetitions.filter(again)
    assert TextFormatter().format(again).endswith("dial relay failed")


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_lines_that_differ_in_their_arguments_have_a_higher_limit(level):
    repetitions = log_repetitions.RepetitionFilter()
    limit = log_repetitions.MAX_ALIKE[level]
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
    repetitions = log_repetitions.RepetitionFilter()
    for _ in range(10):
        repetitions.filter(record("same"))
    assert repetitions.filter(record("same", name="mesh.routing.routes"))
    assert repetitions.filter(record("same", level=logging.WARNING))
    assert repetitions.filter(record("other"))


def test_a_clock_that_is_set_back_silences_nothing():
    repetitions = log_repetitions.RepetitionFilter()
    for _ in range(10):
        repetitions.filter(record("same", created=1000))
    assert repetitions.filter(record("same", created=10))


def test_what_is_counted_is_bounded():
    repetitions = log_repetitions.RepetitionFilter()
    for number in range(3 * log_repetitions.REMEMBERED):
        repetitions.filter(record("from %s", number, created=number))
    assert len(repetitions._equal._seen) == log_repetitions.REMEMBERED


def alarm(kind: AlarmKind, member: str, number: int) -> logging.LogRecord:
    made = reset(number)
    made.__dict__.update(alarming(kind, member))
    return made


def test_alarms_of_other_kinds_and_about_other_members_silence_none():
    samples = log_repetitions.Samples()
    for number in range(10_000):
        samples.take(alarm(AlarmKind.GRANT, f"member {number % 500}", number))
        samples.take(reset(number, place=f"place {number}"))
    assert samples.take(alarm(AlarmKind.IDENTITY, "member 1", 0)), "another kind"
    assert samples.take(alarm(AlarmKind.GRANT, "member 501", 0)), "another member"
    taken = sum(samples.take(alarm(AlarmKind.TAMPERING, "one", number)) for number in range(100))
    assert taken == log_repetitions.MAX_SAMPLED


def test_made_up_members_take_bounded_memory():
    samples = log_repetitions.Samples()
    for number in range(MAX_MEMBERS + 1_000):
        samples.take(alarm(AlarmKind.GRANT, f"member {number}", number))
    (places,) = samples._open.values()
    assert len(places) == MAX_MEMBERS + 1
