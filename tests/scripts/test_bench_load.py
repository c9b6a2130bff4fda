"""The load programs of the benchmark, over plain loopback TCP."""

import sys

import pytest

from scripts.benchmark import processes, ways
from scripts.benchmark.measures import Effort, Rounds, Samples
from scripts.benchmark.report import METRICS
from scripts.benchmark.results import Results

pytestmark = pytest.mark.system

TINY = Effort(
    rounds=1,
    bulk_s=0.01,
    warm_up_bytes=1 << 20,
    ping_s=0.01,
    connections=5,
    idle_connections=20,
    crowd=50,
    idle_s=0.05,
    starts=1,
    wan_rounds=1,
)


@pytest.fixture
def services():
    with ways.servers() as services:
        yield services


def port(number):
    return f"--port={number}"


@pytest.mark.parametrize("direction", [[], ["--up"]])
@pytest.mark.parametrize("connections", [1, 3])
def test_bulk_moves_every_byte(services, direction, connections):
    wished = ["--bytes", "3000000", "--connections", str(connections)]
    done = processes.measure("bulk", *direction, *wished, port(services.bulk_port), seconds=30.0)
    assert done["byte_count"] == 3_000_000
    assert done["seconds"] > 0


def test_pings_and_connections_are_counted(services):
    echo = port(services.echo_port)
    pinged = processes.measure("ping", "--rounds", "50", echo, seconds=30.0)
    assert pinged["count"] == 50
    assert 0 < pinged["p50_us"] <= pinged["p99_us"]
    assert processes.measure("connect", "--rounds", "20", echo, seconds=30.0)["count"] == 20
    wide = processes.measure("connect-at-once", "--rounds", "100", "--connections", "16", echo, seconds=30.0)
    assert wide["count"] == 100
    assert wide["per_second"] > 0


def test_a_way_that_loses_bytes_is_an_error_and_not_a_figure(services):
    # The echo service does not speak the bulk protocol: its answer is no transfer.
    with pytest.raises(processes.BenchmarkError, match="bulk: not done within"):
        processes.measure("bulk", "--bytes", "1000", port(services.echo_port), seconds=0.3)


def test_a_load_that_ended_early_is_not_taken_for_one_that_ran(services):
    beside = processes.Background(port(services.bulk_port))
    assert beside.moved()[0] >= 0
    beside._child.kill()
    beside._child.wait(30)
    with pytest.raises(processes.BenchmarkError, match="ended early"):
        beside.stop()


@pytest.mark.parametrize("direction", [[], ["--up"]])
def test_a_transfer_in_the_background_says_how_much_it_has_moved(services, direction):
    beside = processes.Background(port(services.bulk_port), *direction)
    first = beside.moved()
    while (now := beside.moved())[0] < first[0] + 10_000_000:
        assert now[1] < first[1] + 30.0
    beside.stop()


def test_a_slow_receiver_takes_no_more_than_it_may(services):
    beside = processes.Background(port(services.bulk_port), "--rate", "1000000")
    first = beside.moved()
    while (now := beside.moved())[0] < first[0] + 200_000:
        assert now[1] < first[1] + 30.0
    beside.stop()
    assert now[1] - first[1] > 0.1


def test_held_connections_are_open_until_they_are_let_go(services):
    holder = processes.Holder([services.echo_port, services.echo_port], 100, 30.0)
    holder.stop()
    assert holder._child.returncode == 0


def test_what_does_not_serve_is_waited_for_and_then_an_error():
    (nobody,) = processes.free_ports(1)
    for load, words in (("wait", "nothing came back"), ("listens", "nothing listens")):
        with pytest.raises(processes.BenchmarkError, match=words):
            processes.measure(load, port(nobody), seconds=0.1)


def test_a_wait_ends_with_the_process_that_it_needs(tmp_path):
    (nobody,) = processes.free_ports(1)
    process = processes.Process(["sh", "-c", "echo last words; exit 3"], tmp_path / "log")
    with pytest.raises(processes.BenchmarkError, match=r"status 3:\nlast words"):
        processes.wait_for_echo(nobody, [process])


def test_cpu_time_is_that_of_a_process_and_of_children_that_have_ended(tmp_path):
    burns, tells = tmp_path / "burns.py", tmp_path / "burnt"
    burns.write_text("import time\nwhile time.process_time() < 0.3: pass\n")
    parent = (
        "import pathlib, subprocess, sys, time\n"
        f"subprocess.run([sys.executable, {str(burns)!r}])\n"
        f"pathlib.Path({str(tells)!r}).touch()\n"
        "time.sleep(60)\n"
    )
    process = processes.Process([sys.executable, "-c", parent], tmp_path / "log")
    try:
        while not tells.exists():
            process.check()
        assert processes.descendants(process.pid) == []
        used = processes.usage([process.pid])
        assert used.cpu_s >= 0.29  # children's time is counted in hundredths
        assert used.memory_bytes == 0
        assert processes.usage([process.pid], memory=True).memory_bytes > 1 << 18
    finally:
        process.stop()


def test_a_round_over_plain_tcp_fills_every_figure(services):
    results = Results()
    with ways.plain(services) as way:
        rounds = Rounds({"plain": way}, TINY, Samples(results))
        rounds.warm_up()
        rounds.round(0, [name for name in rounds.steps if name != "slow"])
    assert results.failures == []
    expected = {name for name in METRICS if name.startswith(("bulk", "ping", "busy", "connect"))}
    assert results.samples["plain"].keys() == expected - {"connect_cpu", "ping_cpu"}
    assert all(None not in samples for samples in results.samples["plain"].values())


def test_a_server_that_is_not_ready_in_time_is_ended(monkeypatch):
    children, start = [], processes._start

    def keep(*arguments):
        children.append(start(*arguments))
        return children[0]

    monkeypatch.setattr(processes, "_start", keep)
    monkeypatch.setattr(processes, "READY_TIMEOUT_S", 0.0)
    with pytest.raises(processes.BenchmarkError, match="silent for 0 s"):
        processes.Server("echo")
    assert children[0].poll() is not None
