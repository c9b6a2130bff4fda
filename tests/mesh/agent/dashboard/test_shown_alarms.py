"""Alarms on the dashboard and among the metrics."""

import sys
from collections import Counter
from types import FrameType

import msgspec
import pytest

from mesh import alarms
from mesh.agent.dashboard.document import (
    MAX_ALARMS_SHOWN,
    Page,
    agent_part,
    stats_of,
)
from mesh.agent.dashboard.measured_alarms import MAX_ALARMS_NAMED, NAME_KEPT_S, MeasuredAlarms
from mesh.agent.dashboard.metrics import MetricsRenderer
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.alarms import MAX_MEMBERS, OTHERS, AlarmBook, AlarmKind


def test_alarms_name_the_members_with_most_of_each_kind_and_sum_up_the_others(
    snapshot: DashboardSnapshot,
):
    book = AlarmBook()
    for number in reversed(range(MAX_ALARMS_SHOWN + 5)):
        book.count(AlarmKind.GRANT, f"member {number}", 100 - number)
    book.count(AlarmKind.IDENTITY, "hq 03030303", 2)
    shown_in = msgspec.structs.replace(snapshot, alarms=book.counts())
    shown = agent_part(shown_in, "1.2.3", Page())["alarms"]
    assert shown[0] == {"kind": "identity", "member": "hq 03030303", "times": 2}
    assert shown[1] == {"kind": "grant", "member": "member 0", "times": 100}
    rest = sum(100 - number for number in range(MAX_ALARMS_SHOWN, MAX_ALARMS_SHOWN + 5))
    assert shown[-1] == {"kind": "grant", "member": "5 more", "times": rest}
    figures = stats_of(shown_in)
    assert figures["alarms_identity_total"] == 2
    exposition = (
        MetricsRenderer("1.2.3").render(shown_in, 0.0, MeasuredAlarms(float).of(shown_in.alarms)).decode()
    )
    assert '\nmesh_alarms_by_member_total{kind="identity",member="hq 03030303"} 2\n' in exposition
    assert "\nmesh_alarms_grant_total " in exposition
    last = sum(100 - number for number in range(5))
    assert f'\nmesh_alarms_by_member_total{{kind="grant",member="others"}} {last}\n' in exposition


class Scraper:
    """Asks for the series of one kind of alarm, and finds that none falls."""

    def __init__(self) -> None:
        self.book = AlarmBook()
        self.now = 0.0
        self.measured = MeasuredAlarms(lambda: self.now)
        self.highest: Counter[str] = Counter()

    def scrape(self) -> dict[str, int]:
        series = {alarm.member: alarm.times for alarm in self.measured.of(self.book.counts())}
        assert len(series) <= MAX_ALARMS_NAMED + 1
        assert all(times >= self.highest[member] for member, times in series.items())
        self.highest |= Counter(series)
        return series

    def count(self, *members: int) -> None:
        for member in members:
            self.book.count(AlarmKind.GRANT, f"member {member}")


@pytest.mark.parametrize("others", [1, 5])
def test_the_series_of_all_beyond_the_limit_is_one_however_many_they_are(others: int):
    scraper = Scraper()
    scraper.count(*range(MAX_MEMBERS + others))
    series = scraper.scrape()
    assert len(series) == MAX_ALARMS_NAMED + 1
    assert series[OTHERS] == MAX_MEMBERS + others - MAX_ALARMS_NAMED


def test_no_series_falls_when_a_member_overtakes_others():
    scraper = Scraper()
    scraper.count(*range(MAX_ALARMS_NAMED + 2))
    before = scraper.scrape()
    for _ in range(3):
        scraper.count(*[MAX_ALARMS_NAMED] * 50)
        after = scraper.scrape()
        assert after == before | {OTHERS: before[OTHERS] + 50}
        before = after


def test_a_member_that_has_been_quiet_for_long_makes_room_and_comes_back_with_all_that_it_had():
    scraper = Scraper()
    busy, first, last, late = range(1, MAX_ALARMS_NAMED - 1), 0, MAX_ALARMS_NAMED - 1, MAX_ALARMS_NAMED
    scraper.count(first, first, *busy, last)
    scraper.scrape()
    scraper.now = NAME_KEPT_S - 1
    scraper.count(*busy, last, late)
    assert scraper.scrape()[OTHERS] == 1
    scraper.now = NAME_KEPT_S
    scraper.count(late)
    series = scraper.scrape()
    assert "member 0" not in series
    assert (series[f"member {late}"], series[OTHERS]) == (2, 1)
    scraper.now = 2 * NAME_KEPT_S
    scraper.count(*busy, first)
    series = scraper.scrape()
    assert series["member 0"] == 3
    assert f"member {last}" not in series, "which was quiet for the longest"


def test_what_happens_to_members_without_end_is_neither_lost_nor_kept_for_ever():
    scraper = Scraper()
    for number in range(3 * MAX_MEMBERS):
        scraper.count(number, 0)
        if not number % 500:
            scraper.now += NAME_KEPT_S
            scraper.scrape()
    counts = {alarm.member: alarm.times for alarm in scraper.book.counts()}
    assert len(counts) <= MAX_MEMBERS + 1
    assert sum(counts.values()) == 2 * 3 * MAX_MEMBERS
    assert counts["member 0"] == 3 * MAX_MEMBERS + 1, "others' noise hides nobody who is there too"
    assert f"member {number}" in counts, "nor the latest"
    kind = scraper.measured._kinds[AlarmKind.GRANT]
    assert len(kind._seen) <= MAX_MEMBERS + 1
    assert len(kind._named) <= MAX_ALARMS_NAMED


@pytest.mark.parametrize("comes_back", [(), (MAX_ALARMS_NAMED,)])
def test_members_that_become_others_are_no_burst_of_alarms(comes_back: tuple[int, ...]):
    scraper = Scraper()
    for _ in range(3):
        scraper.count(*range(MAX_MEMBERS))
    scraper.count(*range(MAX_ALARMS_NAMED))  # they have a series, and do not become others
    before = scraper.scrape()
    scraper.count(MAX_MEMBERS, *comes_back)
    assert scraper.scrape() == before | {OTHERS: before[OTHERS] + 1 + len(comes_back)}


@pytest.mark.interpreted
def test_who_reads_while_members_become_others_sees_all_that_has_happened(
    monkeypatch: pytest.MonkeyPatch,
):
    """Copies that are read at any moment: none has less than what was counted before."""
    members = 40  # each moment is a step for each of those who become others, and reads all members
    monkeypatch.setattr(alarms, "MAX_MEMBERS", members)
    monkeypatch.setattr(alarms, "_FOLDED_AT_ONCE", members // 4)
    book = AlarmBook()
    for number in range(members):
        book.count(AlarmKind.FULL, f"member {number}")
    reads = []

    def read(frame: FrameType, *_: object) -> object:
        frame.f_trace_opcodes = True  # another thread may have its turn within a line, too
        reads.append(sum(count.times for count in book.counts()))
        return read

    before = sys.gettrace()
    sys.settrace(read)
    try:
        book.count(AlarmKind.FULL, "one more")
    finally:
        sys.settrace(before)
    assert len(reads) > members // 4, "while they become others"
    assert set(reads) <= {members, members + 1}
