"""A member that does whatever its wire allows: nobody else notices."""

import random
from pathlib import Path

import pytest
import yaml

from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId
from scripts.lab.frames import changed
from scripts.simulation.faults import draw_script
from scripts.simulation.hostile import run as hostile_run
from scripts.simulation.hostile.loot import MOST_HELD, Loot
from scripts.simulation.hostile.member import ACTS, Act, draw_acts
from scripts.simulation.hostile.stage import HostileStage, Plot, draw_plot
from scripts.simulation.real_runner import run_real
from scripts.simulation.runner import Order, run, run_order
from scripts.simulation.scenario import ScenarioError, load_scenario
from tests.examples import seeds

SCENARIO = Path(__file__).resolve().parents[2] / "config" / "scenarios" / "hostile_member.yaml"
A, B, C = (AgentId(name * 16) for name in (b"a", b"b", b"c"))


def assert_holds(path, seed):
    outcome = run_order(Order(str(path), seed))
    again = f"python scripts/simulate.py {path} --seed {seed}"
    assert not outcome.broken, "\n".join([outcome.broken, *outcome.story, again])
    return outcome


@pytest.mark.parametrize("seed", seeds(4))
def test_nobody_else_notices(seed):
    assert assert_holds(SCENARIO, seed).fates.complete > 0


@pytest.mark.parametrize("number", range(len(ACTS)))
def test_nobody_notices_one_act(number, monkeypatch):
    def plot_of(scenario, script):
        plot, script = draw_plot(scenario, script)
        return Plot(plot.name, plot.may_relay, plot.temper, (Act(ACTS[number], 0.5, 3.5),)), script

    monkeypatch.setattr(hostile_run, "draw_plot", plot_of)
    outcome = run(Order(str(SCENARIO), number))
    assert not outcome.broken, "\n".join([outcome.broken, *outcome.story])


def test_one_seed_gives_one_history():
    assert run(Order(str(SCENARIO), 2)).digest == run(Order(str(SCENARIO), 2), wants_events=True).digest


def test_what_takes_too_long_is_told(monkeypatch):
    monkeypatch.setattr(hostile_run, "ANSWERS_WITHIN_S", 0.0001)
    outcome = run(Order(str(SCENARIO), 3))
    assert "nobody else notices: typist at " in outcome.broken
    assert any("hostile" in line for line in outcome.story)


@pytest.mark.parametrize("seed", range(30))
def test_a_plot_is_drawn_among_those_without_services(seed):
    scenario = load_scenario(SCENARIO)
    plot, script = draw_plot(scenario, draw_script(scenario, seed))
    layout = script.map
    assert plot.name in layout.names
    assert plot.name not in {name for names in layout.endpoints.values() for name in names}
    assert plot.name not in {name for names in layout.listeners.values() for name in names}
    assert plot.may_relay is (plot.name not in layout.without_relay)
    assert set(layout.links) == set(script.shapes)
    assert all(planned.key != "echo" for planned in script.conversations)


def test_acts_stay_within_the_run():
    for act in draw_acts(random.Random(1), 500, 8.0):
        assert 0.2 <= act.start_s < act.stop_s <= 8.0
    assert {act.name for act in draw_acts(random.Random(1), 500, 8.0)} == set(ACTS)


def data(number=0):
    return Frame(FrameType.DATA, False, A, B, 1, number, b"x")


def test_only_those_whose_frames_it_was_given_are_excused():
    loot = Loot()
    loot.note_given([data()], 5.0)
    assert loot.was_given(A, B, 4.0, 6.0)
    assert loot.was_given(B, A, 5.0, 5.0)
    assert not loot.was_given(A, C, 0.0, 9.0)
    assert not loot.was_given(A, B, 5.1, 9.0)
    assert not loot.was_given(A, B, 0.0, 4.9)


def test_what_it_made_up_and_gets_back_excuses_nobody():
    loot = Loot()
    loot.note_sent(data())
    loot.note_given([changed(data(), hop_limit=3, marked=True)], 5.0)
    assert not loot.was_given(A, B, 0.0, 9.0)
    loot.note_given([data(1)], 5.0)
    assert loot.was_given(A, B, 0.0, 9.0)


def test_what_it_does_not_read_was_given_to_it_all_the_same(monkeypatch):
    found = []

    class Stage(HostileStage):
        def play(self):
            self.loot.given.clear()
            self.loot.frames.clear()
            super().play()
            # Before its links are found dead: new ones are read until it is told of them.
            self.mesh.world.at(self.mesh.world.now() + 2.0, self.look)

        def look(self):
            found.append((len(self.loot.given), len(self.loot.frames)))

    def plot_of(scenario, script):
        plot, script = draw_plot(scenario, script)
        acts = (Act("stop reading", 0.0, 8.0),)
        return Plot(plot.name, plot.may_relay, plot.temper, acts), script

    monkeypatch.setattr(hostile_run, "HostileStage", Stage)
    monkeypatch.setattr(hostile_run, "draw_plot", plot_of)
    outcome = run(Order(str(SCENARIO), 7077))  # it is on the way of one who types
    assert not outcome.broken, "\n".join([outcome.broken, *outcome.story])
    ((given, read),) = found
    assert given > 0
    assert read == 0


def test_what_it_has_seen_is_kept_up_to_a_limit():
    loot = Loot()
    for number in range(3 * MOST_HELD):
        loot.take_frames([data(number)])
    assert len(loot.frames) == MOST_HELD
    assert loot.frames[-1].number == 3 * MOST_HELD - 1


@pytest.mark.parametrize(
    ("services", "text"),
    [
        ([{"key": "my-api", "endpoints": 1, "listeners": 1}], "a service with the key 'echo'"),
        ([{"key": "echo", "endpoints": 1, "listeners": 1}], "and another"),
        ([{"key": key, "endpoints": 8, "listeners": 1} for key in ("my-api", "echo")], "none is left"),
    ],
)
def test_a_scenario_without_room_for_it_is_refused(services, text, tmp_path):
    document = {**yaml.safe_load(SCENARIO.read_text()), "services": services}
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump(document))
    scenario = load_scenario(file)
    with pytest.raises(ScenarioError, match=text):
        draw_plot(scenario, draw_script(scenario, 1))


def test_there_is_none_on_loopback():
    with pytest.raises(ScenarioError, match="in simulated runs only"):
        run_real(Order(str(SCENARIO), 1))
