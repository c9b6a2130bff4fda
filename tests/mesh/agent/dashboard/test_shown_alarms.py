"""Alarms on the dashboard and among the metrics."""

import msgspec
import pytest

from mesh.agent.dashboard.document import (
    MAX_ALARMS_SHOWN,
    Page,
    agent_part,
    measured_alarms,
    stats_of,
)
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
    exposition = MetricsRenderer().render(figures, 0.0, measured_alarms(shown_in.alarms)).decode()
    assert '\nmesh_alarms_by_member_total{kind="identity",member="hq 03030303"} 2.0\n' in exposition
    assert "\nmesh_alarms_grant_total " in exposition
    last = sum(100 - number for number in range(5))
    assert f'\nmesh_alarms_by_member_total{{kind="grant",member="others"}} {last}.0\n' in exposition


@pytest.mark.parametrize("others", [1, 5])
def test_the_series_of_all_beyond_the_limit_is_one_however_many_they_are(others: int):
    book = AlarmBook()
    for number in range(MAX_MEMBERS + others):
        book.count(AlarmKind.FULL, f"member {number}")
    exposition = MetricsRenderer().render({}, 0.0, measured_alarms(book.counts())).decode()
    series = [line for line in exposition.splitlines() if line.startswith("mesh_alarms_by_member_total{")]
    assert len(series) == MAX_ALARMS_SHOWN + 1
    rest = MAX_MEMBERS + others - MAX_ALARMS_SHOWN
    assert series[-1] == f'mesh_alarms_by_member_total{{kind="full",member="{OTHERS}"}} {rest}.0'


def test_no_series_falls_when_a_member_overtakes_others():
    book = AlarmBook()
    for number in range(MAX_ALARMS_SHOWN + 2):
        book.count(AlarmKind.GRANT, f"member {number}", 10)
    before = {alarm.member: alarm.times for alarm in measured_alarms(book.counts())}
    for _ in range(3):
        book.count(AlarmKind.GRANT, f"member {MAX_ALARMS_SHOWN}", 50)
        after = {alarm.member: alarm.times for alarm in measured_alarms(book.counts())}
        assert after == before | {OTHERS: before[OTHERS] + 50}
        before = after
