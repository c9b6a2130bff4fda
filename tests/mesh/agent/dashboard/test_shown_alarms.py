"""Alarms on the dashboard and among the metrics."""

import msgspec

from mesh.agent.dashboard.document import MAX_ALARMS_SHOWN, Page, agent_part, shown_alarms, stats_of
from mesh.agent.dashboard.metrics import MetricsRenderer
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.alarms import AlarmBook, AlarmKind


def test_alarms_name_the_members_with_most_of_each_kind_and_sum_up_the_others(
    snapshot: DashboardSnapshot,
):
    book = AlarmBook()
    for number in range(MAX_ALARMS_SHOWN + 5):
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
    exposition = MetricsRenderer().render(figures, 0.0, shown_alarms(shown_in.alarms)).decode()
    assert '\nmesh_alarms_by_member_total{kind="identity",member="hq 03030303"} 2.0\n' in exposition
    assert "\nmesh_alarms_grant_total " in exposition
