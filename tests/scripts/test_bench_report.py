"""The benchmark's arithmetic: ratios, bars, tables, the drawing."""

import json
from xml.etree import ElementTree as ET

import pytest

from scripts.benchmark import plot
from scripts.benchmark.command import AGENT, BESIDE, MEASURES, QUICK_MEASURES, QUICK_WAYS, WAYS
from scripts.benchmark.figures import BARS, COMPARED, METRICS, Bar, Standing, standing
from scripts.benchmark.measures import QUICK, Rounds, Samples
from scripts.benchmark.processes import BenchmarkError
from scripts.benchmark.report import as_text
from scripts.benchmark.results import Results, as_json, verdicts


@pytest.fixture
def results():
    results = Results()
    for ours, theirs in ((200.0, 100.0), (None, 100.0), (300.0, 100.0), (90.0, 30.0)):
        results.add("mesh-3", "bulk_up", ours)
        results.add("ssh-J", "bulk_up", theirs)
    return results


def row(text, title):
    return next(line for line in text.splitlines() if line.startswith(f"  {title}"))


def test_ratios_pair_samples_of_one_round_and_leave_failed_rounds_out(results):
    assert results.ratios("mesh-3", "ssh-J", "bulk_up") == [2.0, 3.0, 3.0]
    assert results.ratios("mesh-3", "ssh-J", "bulk_down") == []


def test_json_has_samples_medians_ratios_and_bars(results):
    written = json.loads(json.dumps(as_json(results)))
    assert written["samples"]["mesh-3"]["bulk_up"] == [200.0, None, 300.0, 90.0]
    assert written["medians"]["mesh-3"]["bulk_up"] == 200.0
    assert written["ratios"] == {"mesh-3 / ssh-J": {"bulk_up": {"median": 3.0, "low": 2.0, "high": 3.0}}}
    assert len(written["bars"]) == len(BARS)
    first = next(each for each in written["bars"] if each["bar"]["metric"] == "bulk_up")
    assert (first["value"], first["low"], first["high"], first["standing"]) == (3.0, 2.0, 3.0, "aim reached")
    assert first["bar"]["title"] == "bulk up, mesh-3 / ssh-J"


def test_the_tables_show_medians_ranges_ratios_bars_and_mark_failures(results):
    results.skipped["ssh-L"] = "sshd not installed"
    results.failures.append("mesh-3, bulk up, round 2: stalled")
    results.note("said once")
    results.note("said once")
    text = as_text(results)
    bulk = row(text, "bulk up, 1 connection [MB/s]")
    assert "200 (90-300) !" in bulk
    assert "100 (30-100)" in bulk
    assert "3.00 (2.00-3.00)" in row(text, "bulk up, 1 connection  ")
    judged = row(text, "bulk up, mesh-3 / ssh-J").split()
    assert judged[-8:] == ["3.00", "(2.00-3.00)", ">=", "2.4", ">=", "3", "aim", "reached"]
    assert row(text, "start to serving, all on one agent").endswith("not measured")
    assert "SKIPPED ssh-L: sshd not installed" in text
    assert text.count("said once") == 1
    assert "mesh-3, bulk up, round 2: stalled" in text


def test_ratios_only_leaves_medians_and_bars_out(results):
    text = as_text(results, ratios_only=True)
    assert "Ratios" in text
    assert "Medians" not in text
    assert "bars" not in text


def test_many_ways_are_shown_in_tables_beside_each_other():
    results = Results()
    for way in WAYS:
        results.add(way, "ping_p50", 1.0)
    lines = as_text(results).splitlines()
    assert all(len(line) < 140 for line in lines)
    for way in WAYS:
        assert any(way in line.split() for line in lines)


def test_a_figure_that_is_in_no_table_is_an_error(results):
    with pytest.raises(ValueError, match="no such metric: speed"):
        results.add("mesh-3", "speed", 1.0)


MORE = Bar("more", "bulk_up", "mesh-3", "ssh-J", 1.5, 2.5)
LESS = Bar("less", "busy_p99", "mesh-3", "", 6.0, 2.0, 1e3, "ms")


@pytest.mark.parametrize(
    ("bar", "value", "expected"),
    [
        (MORE, 2.5, Standing.AIM),
        (MORE, 2.49, Standing.AT_LEAST),
        (MORE, 1.5, Standing.AT_LEAST),
        (MORE, 1.49, Standing.MISSED),
        (LESS, 2.0, Standing.AIM),
        (LESS, 2.01, Standing.AT_LEAST),
        (LESS, 6.0, Standing.AT_LEAST),
        (LESS, 6.01, Standing.MISSED),
        (LESS, None, Standing.NOT_MEASURED),
    ],
)
def test_a_figure_stands_above_or_below_its_bar(bar, value, expected):
    assert standing(bar, value) is expected


def test_a_bar_without_a_rival_judges_the_figure_in_its_own_unit():
    results = Results()
    for sample in (4000.0, 1500.0, 1900.0):
        results.add("mesh-3", "busy_p99", sample)
    found = next(one for one in verdicts(results) if one.bar.metric == "busy_p99")
    assert (found.value, found.low, found.high, found.standing) == (1.9, 1.5, 4.0, Standing.AIM)


def test_compiled_agents_are_held_to_the_same_bars():
    results = Results()
    for way, taken in (("mesh-3", 110.0), ("mesh-3-compiled", 80.0), ("ssh-J", 100.0)):
        results.add(way, "ping_p50", taken)
    results.add("agent-compiled", "start_alone", 0.2)
    found = {verdict.bar.title: verdict.standing for verdict in verdicts(results)}
    assert found["ping-pong p50, mesh-3 / ssh-J"] is Standing.MISSED
    assert found["ping-pong p50, mesh-3 / ssh-J, compiled"] is Standing.AIM
    assert found["start to serving, all on one agent, compiled"] is Standing.AT_LEAST
    assert "bulk up, mesh-3 / ssh-J, compiled" not in found


def test_bars_and_comparisons_name_ways_and_figures_that_exist():
    for bar in BARS:
        assert bar.metric in METRICS
        assert bar.way in {*WAYS, AGENT}
        assert bar.against in {"", *WAYS}
        assert bar.aim != bar.at_least
    assert all(way in {*WAYS, *BESIDE} for pair in COMPARED for way in pair)
    assert set(QUICK_WAYS) <= set(WAYS)
    assert set(QUICK_MEASURES) <= set(MEASURES)


def test_the_drawing_is_svg_with_every_figure_and_bar(results):
    results.add("mesh-3", "memory_transit", -0.5)
    text = plot.draw(results)
    ET.fromstring(text)
    assert "bulk up, 1 connection [MB/s]" in text
    assert "aim reached" in text
    assert "not measured" in text


def test_a_sample_that_failed_keeps_the_rounds_aligned():
    results = Results()
    samples = Samples(results)
    with samples.guard("mesh-3", "bulk up, round 1"), samples.of("mesh-3", "bulk_up", "cpu_up") as keep:
        keep["bulk_up"] = 1.0
        raise BenchmarkError("stalled")
    assert results.samples == {"mesh-3": {"bulk_up": [1.0], "cpu_up": [None]}}
    assert results.failures == ["mesh-3, bulk up, round 1: stalled"]


def test_each_round_begins_with_another_way():
    results = Results()
    rounds = Rounds({"a": None, "b": None, "c": None}, QUICK, Samples(results))
    seen = []
    rounds.steps = {"ping": (("ping", lambda name, way: seen.append(name)),)}
    for number in range(3):
        rounds.round(number, ["ping"])
    assert "".join(seen) == "abcbcacab"
