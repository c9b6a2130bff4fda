"""The benchmark's arithmetic, and its load programs against plain loopback TCP."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load(name: str) -> ModuleType:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))


bench = load("bench")
processes = load("bench_processes")
report = load("bench_report")
ways = load("bench_ways")


@pytest.fixture
def services() -> Iterator[Any]:
    with ways.servers() as services:
        yield services


@pytest.fixture
def results() -> Any:
    results = report.Results()
    for ours, theirs in ((200.0, 100.0), (None, 100.0), (300.0, 100.0), (90.0, 30.0)):
        results.add("mesh-3", "bulk_up", ours)
        results.add("ssh-J", "bulk_up", theirs)
    return results


def test_ratios_pair_samples_of_one_round_and_leave_failed_rounds_out(results: Any):
    assert results.ratios("mesh-3", "ssh-J", "bulk_up") == [2.0, 3.0, 3.0]
    assert results.ratios("mesh-3", "ssh-J", "bulk_down") == []


def test_json_has_samples_medians_and_ratios(results: Any):
    written = json.loads(json.dumps(report.as_json(results)))
    assert written["samples"]["mesh-3"]["bulk_up"] == [200.0, None, 300.0, 90.0]
    assert written["medians"]["mesh-3"]["bulk_up"] == 200.0
    assert written["ratios"] == {"mesh-3 / ssh-J": {"bulk_up": {"median": 3.0, "low": 2.0, "high": 3.0}}}


def test_the_table_shows_medians_ranges_ratios_and_marks_failures(results: Any):
    results.skipped["ssh-L"] = "sshd not installed"
    results.failures.append("mesh-3, bulk up, round 2: stalled")
    results.idle_memory_kib["mesh-3"] = {"ingress": 4.25, "transit": 0.0}
    text = report.as_text(results, ["ssh-J", "mesh-3"])
    row = next(line for line in text.splitlines() if line.startswith("  bulk up, 1 connection [MB/s]"))
    assert "100 (30-100)" in row
    assert row.endswith("200 (90-300) !")
    assert "3.00 (2.00-3.00)" in text
    assert "SKIPPED ssh-L: sshd not installed" in text
    assert "mesh-3, bulk up, round 2: stalled" in text
    assert "mesh-3: ingress 4.2, transit 0.0" in text


def test_a_figure_that_is_in_no_table_is_an_error(results: Any):
    with pytest.raises(ValueError, match="no such metric: speed"):
        results.add("mesh-3", "speed", 1.0)


def test_ssh_is_missing_where_its_programs_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ways.shutil, "which", lambda name, path=None: None)
    assert ways.ssh_missing() == "ssh, ssh-keygen, sshd not installed"


@pytest.mark.system
@pytest.mark.parametrize("direction", [[], ["--up"]])
@pytest.mark.parametrize("connections", [1, 3])
def test_bulk_moves_every_octet(services: Any, direction: list[str], connections: int):
    wished = ["--octets", "3000000", "--connections", str(connections)]
    done = processes.measure("bulk", *direction, *wished, bench.port(services.bulk_port), seconds=30.0)
    assert done["octets"] == 3_000_000
    assert done["seconds"] > 0


@pytest.mark.system
def test_pings_and_connections_are_counted(services: Any):
    port = bench.port(services.echo_port)
    pinged = processes.measure("ping", "--rounds", "50", port, seconds=30.0)
    assert pinged["count"] == 50
    assert 0 < pinged["p50_us"] <= pinged["p99_us"]
    assert processes.measure("connect", "--rounds", "20", port, seconds=30.0)["count"] == 20
    wide = processes.measure("connect-at-once", "--rounds", "100", "--connections", "16", port, seconds=30.0)
    assert wide["count"] == 100
    assert wide["per_second"] > 0


@pytest.mark.system
def test_a_way_that_loses_octets_is_an_error_and_not_a_figure(services: Any):
    # The echo service does not speak the bulk protocol: its answer is no transfer.
    with pytest.raises(processes.BenchmarkError, match="bulk: not done within"):
        processes.measure("bulk", "--octets", "1000", bench.port(services.echo_port), seconds=0.3)


@pytest.mark.system
def test_a_load_that_ended_early_is_not_taken_for_one_that_ran(services: Any):
    beside = processes.Background("bulk", "--octets", "10", bench.port(services.bulk_port))
    beside._child.wait(30)
    with pytest.raises(processes.BenchmarkError, match="ended early"):
        beside.stop()


@pytest.mark.system
def test_held_connections_are_open_until_they_are_let_go(services: Any):
    holder = processes.Holder(services.echo_port, 100, 30.0)
    holder.stop()
    assert holder._child.returncode == 0


@pytest.mark.system
def test_a_round_over_plain_tcp_fills_every_figure(services: Any):
    results = report.Results()
    effort = bench.Effort(rounds=1, bulk_s=0.01, ping_s=0.01, connections=5, idle_connections=5)
    with ways.plain(services) as way:
        bencher = bench.Bench({"plain": way}, effort, results)
        bencher.idle_memory()
        bencher.warm_up()
        bencher.round(0)
    assert results.failures == []
    tunnel_only = {"cpu_up", "cpu_down", "connect_cpu", "idle_memory"}
    assert results.samples["plain"].keys() == report.METRICS.keys() - tunnel_only
    assert all(None not in samples for samples in results.samples["plain"].values())


@pytest.mark.system
@pytest.mark.skipif(ways.ssh_missing() is not None, reason=f"ssh: {ways.ssh_missing()}")
def test_ssh_is_a_way_and_leaves_nothing_running(services: Any, tmp_path: Path):
    with ways.ssh(services, tmp_path, jump=True) as way:
        done = processes.measure("ping", "--rounds", "5", bench.port(way.echo_port), seconds=30.0)
        family = {pid for root in way.pids.values() for pid in (root, *processes.descendants(root))}
        assert len(family) >= 5  # ssh, its ssh -W, and two listening sshd with a session each
        used = processes.usage(way.pids.values())
    assert done["count"] == 5
    assert used.cpu_s > 0
    assert used.memory_octets > 1 << 20
    assert not [pid for pid in family if _runs(pid)]


def _runs(pid: int) -> bool:
    """Whether ``pid`` is more than a zombie that its parent has yet to read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
