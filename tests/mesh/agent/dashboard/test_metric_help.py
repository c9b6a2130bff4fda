"""Every figure says what it counts."""

import msgspec
import pytest

from actors.meters import Meters
from mesh.agent.dashboard.document import stats_of
from mesh.agent.dashboard.metric_help import HELP
from mesh.agent.dashboard.metrics import MetricsRenderer
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.routing.effects import RouteCounts

OF_BUFFERS = {"pending_opens", "stream_buffer_bytes", "relay_buffer_bytes", "queue_drops_total"}
OF_THE_AUDIT = {"audit_entries_total", "audit_lost_total"}
OF_CERTIFICATES = {"certificate_expiry_timestamp_seconds", "http_certificate_expiry_timestamp_seconds"}


def test_every_figure_has_its_text_and_no_other_has(snapshot: DashboardSnapshot):
    meters = {f"{name}_total" for name in Meters().figures()}
    of_the_document = stats_of(snapshot).keys() - snapshot.stats.counters.keys()
    of_the_agent = OF_BUFFERS | OF_THE_AUDIT | OF_CERTIFICATES
    assert HELP.keys() == meters | set(RouteCounts.__struct_fields__) | of_the_agent | of_the_document


@pytest.mark.parametrize("name", HELP)
def test_a_text_is_a_sentence_that_says_more_than_the_name(name: str):
    text = HELP[name]
    assert text[0].isupper()
    assert text.endswith(".")
    assert len(text.split()) > len(name.removesuffix("_total").split("_"))


def test_the_text_stands_above_its_figure(snapshot: DashboardSnapshot):
    stats = msgspec.structs.replace(snapshot.stats, counters={"records_early_total": 3})
    shown = msgspec.structs.replace(snapshot, stats=stats)
    exposition = MetricsRenderer("1.2.3").render(shown, 1.5).decode()
    assert f"# HELP mesh_records_early_total {HELP['records_early_total']}\n" in exposition
    assert "\nmesh_snapshot_age_seconds 1.5\n" in exposition
