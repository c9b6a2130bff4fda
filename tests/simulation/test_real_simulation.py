"""A scenario on loopback: processes, sockets, links that are cut."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from scripts.benchmark.processes import descendants
from scripts.interrupts import EXIT_INTERRUPTED
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.waiting import wait_until
from scripts.simulation.real_runner import run_real
from scripts.simulation.real_stage import RealStage
from scripts.simulation.runner import Order

SCENARIO = """
title: short
topology: {shape: diamond, agents: 4}
services: [{key: my-api, endpoints: [hq], listeners: [branch]}]
network: {latency_ms: [1, 5], mib_per_s: [20, 40]}
settings: {timeout_s: 1}
traffic: {connections: 6, kib: [1, 512], during_s: [0, 1]}
faults:
  - {kinds: [crash, pause, cut, reset, flap, slow], agents: [relay-1], count: 1, at_s: [0.5, 1], lasts_s: 1}
duration_s: 3
"""


@pytest.mark.system
def test_a_scenario_runs_on_loopback(tmp_path):
    file = tmp_path / "short.yaml"
    file.write_text(SCENARIO)
    outcome = run_real(Order(str(file), 2))
    assert not outcome.broken, "\n".join([outcome.broken, *outcome.story, *outcome.events])
    fates = outcome.fates
    assert fates.complete + fates.reset + fates.refused + fates.left == 6
    assert fates.complete > 0
    assert outcome.cpu_s > 0


@pytest.mark.system
def test_an_agent_that_dies_is_found_and_told_with_its_log(tmp_path, monkeypatch):
    def kill(self, name):
        os.kill(self.agents[name]._process.pid, signal.SIGKILL)

    monkeypatch.setattr(RealStage, "pause", kill)
    file = tmp_path / "short.yaml"
    file.write_text(SCENARIO.replace("[crash, pause, cut, reset, flap, slow]", "[pause]"))
    outcome = run_real(Order(str(file), 2))
    assert outcome.broken == "agents run: relay-1 has ended with status -9"
    assert any(line.startswith("relay-1: ") for line in outcome.events)
    assert any("BROKEN" in line for line in outcome.story)


@pytest.mark.system
def test_a_run_that_is_told_to_end_leaves_no_agent_behind(tmp_path):
    file = tmp_path / "short.yaml"
    file.write_text(SCENARIO)
    program = "import sys; from scripts.simulation.command import main; sys.exit(main(sys.argv[1:]))"
    simulation = Process(python("-c", program, file, "--real"), tmp_path / "log", cwd=ROOT)
    agents = []
    try:
        agents += wait_until(
            lambda: len(found := descendants(simulation.pid)) == 4 and found, "all agents have been started"
        )
        simulation.signal(signal.SIGTERM)
        assert simulation.wait() == EXIT_INTERRUPTED
        assert [pid for pid in agents if Path(f"/proc/{pid}").exists()] == []
    finally:
        simulation.kill()
        for pid in agents:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
