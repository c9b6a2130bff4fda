"""The simulator finds bugs that are planted, and says so in a way that helps."""

import contextlib
import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import rich.console

from actors.connections.endpoint import Endpoint
from actors.messages import route_table as route_messages
from actors.route_table import RouteTable
from actors.runtime.virtual import world as virtual_world
from mesh.connection.candidates import CandidatePool
from mesh.connection.stream import StreamBudget
from mesh.connection.target_health import Health, HealthMonitor
from mesh.link.data_lane import DataLane
from mesh.routing.origination import Originator
from mesh.routing.records import Record
from scripts.simulation import command, many, progress, stage
from scripts.simulation.many import run_many
from scripts.simulation.runner import Order, Outcome
from scripts.simulation.talk import Talk

ROOT = Path(__file__).resolve().parents[2]
DIAMOND = ROOT / "config" / "scenarios" / "diamond.yaml"
RING = ROOT / "config" / "scenarios" / "ring.yaml"


def simulate(*arguments):
    return command.main([str(argument) for argument in arguments])


def deafen_route_table(monkeypatch):
    on_receive = RouteTable.on_receive

    def ignore(self, message):
        return None if isinstance(message, route_messages.LinkDown) else on_receive(self, message)

    monkeypatch.setattr(RouteTable, "on_receive", ignore)


def keep_reservations(monkeypatch):
    monkeypatch.setattr(StreamBudget, "release", lambda *_: None)


def deliver_twice(monkeypatch):
    take = Talk.take

    def twice(self, data):
        take(self, data)
        if self.heard.byte_count > 1000:
            take(self, data[-1:])

    monkeypatch.setattr(Talk, "take", twice)


def crash_on_a_lost_link(monkeypatch):
    on_receive = RouteTable.on_receive

    def fail(self, message):
        if isinstance(message, route_messages.LinkDown):
            raise OSError("planted")
        return on_receive(self, message)

    monkeypatch.setattr(RouteTable, "on_receive", fail)


def let_everybody_in(monkeypatch):
    monkeypatch.setattr(Endpoint, "_has_place", lambda _self, _wish: True)


def check_for_show(monkeypatch):
    observe = HealthMonitor.observe
    monkeypatch.setattr(HealthMonitor, "observe", lambda self, **_: observe(self, passed=True))


def give_up_for_good(monkeypatch):
    observe = HealthMonitor.observe

    def never_up_again(self, *, passed):
        return observe(self, passed=passed and self.state is not Health.DOWN)

    monkeypatch.setattr(HealthMonitor, "observe", never_up_again)


def relay_always(monkeypatch):
    monkeypatch.setattr(Record, "carries_transit", True)


def drop_nothing(monkeypatch):
    monkeypatch.setattr(DataLane, "drop_to", lambda _self, _target_bytes: 0)


def tell_at_once(monkeypatch):
    monkeypatch.setattr(Originator, "_note_change", lambda *_: None)


def keep_busy(monkeypatch):
    """A turn that makes another one, for ever, once a link is lost."""
    on_receive = RouteTable.on_receive

    def spin(self, message):
        if isinstance(message, route_messages.LinkDown):
            self.ref.tell(message)
        return on_receive(self, message)

    monkeypatch.setattr(RouteTable, "on_receive", spin)
    monkeypatch.setattr(virtual_world, "MAX_TURNS_AN_INSTANT", 1000)


def turn_candidates_round(monkeypatch):
    update = CandidatePool.update
    monkeypatch.setattr(CandidatePool, "update", lambda self, offers, now: update(self, offers[::-1], now))


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (deafen_route_table, "dead links are found"),
        (keep_reservations, "nothing is left"),
        (deliver_twice, "streams are whole"),
        (crash_on_a_lost_link, "no actor crashes"),
        (keep_busy, "the run ends in order: RuntimeError: 1001 turns at "),
    ],
)
def test_a_planted_bug_is_found_and_told(plant, found, monkeypatch, capsys):
    plant(monkeypatch)
    assert simulate(DIAMOND, "--seed", 1) == 1
    said = capsys.readouterr().out
    assert "an invariant is broken" in said
    assert found in said
    assert "What happened up to there" in said
    assert "BROKEN" in said
    assert "events" in said
    assert f"The same again: python scripts/simulate.py {DIAMOND} --seed" in said


def test_a_run_that_ends_unexpectedly_leaves_the_others_alone(monkeypatch, capsys):
    perform = stage.perform

    def fail(action, *others):
        if action.do == "leave":
            raise KeyError("planted")
        perform(action, *others)

    monkeypatch.setattr(stage, "perform", fail)
    assert simulate(DIAMOND, "--seed", 1, "--runs", 8) == 1
    said = capsys.readouterr().out
    assert "the run ends in order: KeyError: 'planted'" in said
    assert "traceback" in said
    assert "1 of 8 runs broke an invariant" in said
    assert f"The same again: python scripts/simulate.py {DIAMOND} --seed" in said


def test_a_process_that_dies_takes_its_run_along_only(tmp_path, monkeypatch):
    # Spawned processes import this file, and find in it who dies.
    helper = tmp_path / "dying_runs.py"
    helper.write_text(
        "import os\n"
        "from scripts.simulation import many, runner\n"
        "def attempt(order):\n"
        "    if order.seed == 4:\n"
        "        os._exit(9)\n"
        "    return runner.Outcome(scenario='ring', seed=order.seed, digest='done')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(many, "attempt", importlib.import_module("dying_runs").attempt)
    outcomes = list(many.run_many([Order(str(RING), seed) for seed in range(8)], 2))
    assert sorted(outcome.seed for outcome in outcomes) == list(range(8))
    (broken,) = (outcome for outcome in outcomes if outcome.broken)
    assert (broken.scenario, broken.seed) == ("ring", 4)
    assert broken.broken.startswith("the run ends in order: BrokenProcessPool: ")


@pytest.mark.parametrize("error", [OSError("planted"), SystemExit(3), MemoryError(), GeneratorExit()])
def test_whatever_ends_a_run_is_a_fault_of_that_run(error):
    def fail(_order):
        raise error

    outcome = many.attempt(Order(str(RING), 4), fail)
    assert (outcome.scenario, outcome.seed) == ("ring", 4)
    assert outcome.broken == f"the run ends in order: {type(error).__name__}: {error}"


def test_progress_is_told_while_runs_last(capsys):
    console = rich.console.Console(force_terminal=False, width=110)
    with progress.Progress(console, 3, line_s=0.01) as told:
        told.note(Outcome(scenario="ring", seed=1, digest="", cpu_s=1.0))
        told.note(Outcome(scenario="ring", seed=2, digest="", cpu_s=2.0, broken="it broke\nhere"))
        said = ""
        for _ in range(1000):
            said += capsys.readouterr().out
            if "2 of 3 runs: 1 broken, 1.50 s of CPU each\n" in said:
                break
            threading.Event().wait(0.01)
    assert "2 of 3 runs: 1 broken, 1.50 s of CPU each\n" in said
    assert "ring, seed 2: it broke\n" in said


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, "2"), (signal.SIGTERM, "1")])
def test_a_campaign_that_is_interrupted_says_what_was_done(number, jobs, tmp_path):
    output = tmp_path / "output"
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from scripts.simulation import command, progress\n"
        "if __name__ == '__main__':\n"
        "    progress.LINE_S = 0.2\n"
        "    sys.exit(command.main(sys.argv[1:]))\n"
    )
    script = tmp_path / "simulate.py"
    script.write_text(program)
    words = [sys.executable, script, ROOT, DIAMOND, "--seed", "1", "--runs", "100000", "--jobs", jobs]
    with output.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        for _ in range(600):
            if re.search(r"^([2-9]|\d\d+) of 100000 runs: all", output.read_text(), re.MULTILINE):
                break
            threading.Event().wait(0.1)
        process.send_signal(number)
        os.killpg(process.pid, number)  # as timeout(1) and a terminal do
        status = process.wait(30)
    finally:
        process.kill()
        process.wait()
    said = output.read_text()
    assert status == 130, said
    assert re.search(r"interrupted: [1-9]\d* of 100000 runs were done, the first with seed 1", said)
    assert re.search(r"^ *all +[1-9]\d* +0 ", said, re.MULTILINE)
    assert "Traceback" not in said


def test_one_run_says_what_came_of_it(capsys):
    assert simulate(DIAMOND, "--seed", 3) == 0
    said = capsys.readouterr().out
    assert said.startswith("diamond, seed 3: ")
    assert "0 reset" in said


def test_many_runs_end_in_a_table(capsys):
    assert simulate(DIAMOND, RING, "--seed", 3, "--runs", 2) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines() if line.strip()][-1] == "all"
    assert "diamond" in said


def test_runs_on_several_processes_come_to_the_same():
    orders = [Order(str(DIAMOND), seed) for seed in (1, 2, 3)]
    digests = {outcome.seed: outcome.digest for outcome in run_many(orders, 2)}
    assert digests == {outcome.seed: outcome.digest for outcome in run_many(orders, 1)}


def test_the_timeline_shows_agents_links_and_connections(tmp_path):
    file = tmp_path / "ring.svg"
    assert simulate(RING, "--seed", 7, "--plot", file) == 0
    drawing = ET.parse(file).getroot()
    assert drawing.tag.endswith("svg")
    texts = {element.text for element in drawing.iter() if element.tag.endswith("text")}
    assert {f"agent-{n}" for n in range(1, 7)} <= texts
    assert any(text and text.startswith("0: ") for text in texts)
    curves = [element for element in drawing.iter() if element.tag.endswith("polyline")]
    assert len(curves) > 3


def test_a_broken_run_is_drawn_and_told_with_its_last_events(tmp_path, monkeypatch, capsys):
    deliver_twice(monkeypatch)
    file = tmp_path / "diamond.svg"
    assert simulate(DIAMOND, "--seed", 1, "--plot", file) == 1
    said = capsys.readouterr().out
    assert "The last 60 events" in said
    assert " turn " in said
    assert file.exists()


def test_runs_on_loopback_are_told_one_by_one(monkeypatch, capsys):
    said_before = []

    def run_real(order):
        said_before.append(capsys.readouterr().out)
        return Outcome(scenario="ring", seed=order.seed, digest="real", broken="it broke" * (order.seed == 4))

    monkeypatch.setattr(command, "run_real", run_real)
    assert simulate(RING, "--real", "--seed", 3, "--runs", 3) == 1
    said = capsys.readouterr().out
    assert [text.split(":")[0] for text in said_before] == ["", "ring, seed 3", "ring, seed 4"]
    assert "ring, seed 4: an invariant is broken" in said
    assert f"The same again: python scripts/simulate.py {RING} --seed 4 --real" in said
    assert "1 of 3 runs broke an invariant" in said


def test_every_event_can_be_written(tmp_path):
    file = tmp_path / "events.txt"
    assert simulate(DIAMOND, "--seed", 3, "--trace", file) == 0
    assert " turn " in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["no such file.yaml"], "No such file"),
        ([DIAMOND, "--agents", "1"], "a diamond has 3 to 5000 agents, found 1, at `topology.agents`"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(arguments, text, capsys):
    assert simulate(*arguments) == 2
    said = capsys.readouterr().out
    assert text in said
    assert said.count("\n") == 1


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("scenario", "seed", "plant", "found"),
    [
        ("ha_pair", 1, turn_candidates_round, "my-api at branch: found [(2, "),
        ("slow_link", 22, drop_nothing, "transit memory is bounded: branch holds "),
        ("everything", 5, let_everybody_in, "max_connections is kept: 3 of 2 to logs at agent-5"),
        ("everything", 0, check_for_show, "my-api at agent-1 is offered, its target down for "),
        ("everything", 0, give_up_for_good, "my-api at agent-1 is not offered, its target up for "),
        ("ha_pair", 1, relay_always, "agents hold the graph: "),
        ("flapping_link", 13, tell_at_once, "records are bounded: "),
    ],
)
def test_what_a_scenario_is_there_for_is_found(scenario, seed, plant, found, *, monkeypatch, capsys):
    plant(monkeypatch)
    assert simulate(ROOT / "config" / "scenarios" / f"{scenario}.yaml", "--seed", seed) == 1
    assert found in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [DIAMOND, "--runs", "0"],
        [DIAMOND, "--jobs", "-1"],
        [DIAMOND, "--seed", "-1"],
        [DIAMOND, "--seed", str(2**63)],
        [DIAMOND, "--agents", "many"],
        [DIAMOND, "--plot", "/nowhere/x.svg"],
        [DIAMOND, "--trace", "/"],
        [DIAMOND, "--plot", "x.svg", "--runs", "2"],
        [DIAMOND, "--real", "--plot", "x.svg"],
        [DIAMOND, "--real", "--runs", "2", "--jobs", "2"],
    ],
)
def test_wrong_usage_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        simulate(*arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_campaign_ends_with_its_run_when_its_interrupt_was_lost(monkeypatch, capsys):
    def go_on(order):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        return Outcome(scenario="diamond", seed=order.seed, digest="", cpu_s=1.0)

    monkeypatch.setattr(many.attempt, "__defaults__", (go_on,))
    assert simulate(DIAMOND, "--seed", "1", "--runs", "1000", "--jobs", "1") == 130
    assert "interrupted: 1 of 1000 runs were done" in capsys.readouterr().out
