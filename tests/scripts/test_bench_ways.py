"""The ways that the benchmark compares, and a tiny version of every measure over the mesh."""

from pathlib import Path

import pytest

from scripts.benchmark import chain, processes, ssh, ways
from scripts.benchmark.measures import Rounds, Samples
from scripts.benchmark.once import Once, idle, most_connections, start
from scripts.benchmark.results import Results
from scripts.benchmark.ways import Way
from scripts.lab.software import OURS
from tests.scripts.test_bench_load import TINY


def test_ssh_and_socat_are_missing_where_their_programs_are(monkeypatch):
    monkeypatch.setattr(ssh.shutil, "which", lambda name, path=None: None)
    assert ssh.ssh_missing() == "ssh, ssh-keygen, sshd not installed"
    assert ways.socat_missing() == "socat not installed"


def test_roles_in_a_chain():
    assert [chain.role(number, 1) for number in range(1)] == ["ingress and exit"]
    assert [chain.role(number, 2) for number in range(2)] == ["ingress", "exit"]
    assert [chain.role(number, 3) for number in range(3)] == ["ingress", "transit", "exit"]
    assert [chain.role(number, 4) for number in range(4)] == ["ingress", "transit 1", "transit 2", "exit"]


def test_as_many_connections_are_opened_as_descriptors_allow():
    assert most_connections(Way(1, 2, {"ingress": 1, "exit": 2}), 20_000) == 19_700
    assert most_connections(Way(1, 2, {"ingress and exit": 1}), 20_000) == 9850


@pytest.mark.system
@pytest.mark.skipif(ssh.ssh_missing() is not None, reason=f"ssh: {ssh.ssh_missing()}")
@pytest.mark.parametrize("cipher", [ssh.AES, ssh.CHACHA])
def test_ssh_is_a_way_and_leaves_nothing_running(tmp_path, cipher):
    with ways.servers() as services, ssh.ssh(services, tmp_path / "ssh", jump=True, cipher=cipher) as way:
        done = processes.measure("ping", "--rounds", "5", "--port", str(way.echo_port), seconds=30.0)
        family = {pid for root in way.pids.values() for pid in (root, *processes.descendants(root))}
        assert len(family) >= 5  # ssh, its ssh -W, and two listening sshd with a session each
        used = processes.usage(way.pids.values(), memory=True)
    assert done["count"] == 5
    assert used.cpu_s > 0
    assert used.memory_bytes > 1 << 20
    assert not [pid for pid in family if runs(pid)]


@pytest.mark.system
@pytest.mark.skipif(ways.socat_missing() is not None, reason="socat not installed")
def test_socat_is_a_way(tmp_path):
    places = chain.chain_of(2)
    with ways.servers() as services, ways.socat(services, tmp_path / "socat", places=places) as way:
        done = processes.measure("bulk", "--bytes", "100000", "--port", str(way.bulk_port), seconds=30.0)
    assert done["byte_count"] == 100_000


@pytest.fixture(scope="module")
def meshes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meshes")
    with (
        ways.servers() as services,
        chain.mesh(services, folder / "one", places=chain.chain_of(1)) as one,
        chain.mesh(services, folder / "two", places=chain.chain_of(2)) as two,
    ):
        yield {"mesh-1": one, "mesh-2": two}


def figures(results, name):
    assert results.failures == []
    assert all(None not in samples for samples in results.samples[name].values())
    return results.samples[name].keys()


@pytest.mark.system
@pytest.mark.parametrize("measure", ["bulk", "many", "ping", "busy", "connect", "at-once"])
def test_each_round_measures_the_mesh(meshes, measure):
    results = Results()
    rounds = Rounds({"mesh-2": meshes["mesh-2"]}, TINY, Samples(results))
    rounds.warm_up()
    rounds.round(0, [measure])
    expected = {
        "bulk": {"bulk_up", "bulk_down", "cpu_up", "cpu_down"},
        "many": {"bulk_up_16", "bulk_down_16"},
        "ping": {"ping_p50", "ping_p99", "ping_cpu"},
        "busy": {"busy_p50", "busy_p99", "busy_bulk"},
        "connect": {"connect_p50", "connect_p99"},
        "at-once": {"connect_rate", "connect_cpu"},
    }
    assert figures(results, "mesh-2") == expected[measure]


@pytest.mark.system
def test_bulk_beside_a_slow_receiver(meshes):
    results = Results()
    rounds = Rounds({"mesh-1": meshes["mesh-1"]}, TINY, Samples(results))
    rounds.warm_up()
    rounds.round(0, ["slow"])
    assert figures(results, "mesh-1") == {"slow_beside", "slow_share"}


@pytest.mark.system
def test_idle_connections_and_a_crowd_of_them(meshes, monkeypatch):
    monkeypatch.setattr("scripts.benchmark.once.SETTLE_S", 0.0)
    results = Results()
    once = Once(meshes, TINY, Samples(results))
    once.memory()
    once.crowd()
    crowd = {"few_p50", "crowd_p50", "crowd_slowdown", "crowd_open_rate"}
    assert figures(results, "mesh-1") == {"memory", *crowd}
    assert figures(results, "mesh-2") == {"memory", "memory_ingress", "memory_exit", *crowd}
    assert results.notes == [f"{name}: 50 connections were open, not 10,000" for name in meshes]


@pytest.mark.system
def test_an_idle_agent_and_its_start(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.benchmark.once.CALM_S", 0.0)
    results = Results()
    with ways.servers() as services:
        start(services, tmp_path / "start", {"agent": OURS}, TINY, Samples(results))
    idle(tmp_path / "idle", "agent", OURS, TINY, Samples(results))
    assert figures(results, "agent") == {"start_alone", "start_joining", "idle_cpu", "status"}
    assert results.samples["agent"]["start_alone"][0] > 0.01


def runs(pid):
    """Whether ``pid`` is more than a zombie that its parent has yet to read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
