"""What a scenario's file may say, the scripts drawn from it, and what is said where it is wrong."""

import itertools
import random
from pathlib import Path

import msgspec
import pytest
import yaml

from scripts.simulation.faults import draw_probes, draw_script
from scripts.simulation.scenario import (
    LEAST_AGENTS,
    Expectation,
    FaultGroup,
    FaultKind,
    HealthCheck,
    Hostility,
    Policies,
    Scenario,
    ScenarioError,
    ServiceSpec,
    Settings,
    Topology,
    Traffic,
    load_scenario,
)
from scripts.simulation.topology import distances, draw_map, hop_counts

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "SIMULATION.md").read_text()
SMALL = """
title: small
topology: {shape: chain, agents: 3}
services: [{key: my-api, endpoints: [hq], listeners: [branch]}]
"""


def service(**changes):
    return {"services": [{"key": "my-api", "endpoints": 1, "listeners": 1, **changes}]}


@pytest.fixture
def load(tmp_path):
    def load_text(text, **changes):
        document = {**yaml.safe_load(text), **changes}
        file = tmp_path / "scenario.yaml"
        file.write_text(yaml.safe_dump(document))
        return load_scenario(file)

    return load_text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"titel": "x"}, "unknown field `titel`"),
        ({"topology": {"shape": "cube", "agents": 3}}, "at `topology.shape`"),
        ({"topology": {"shape": "chain", "agents": 1}}, "a chain has 2 to 5000 agents, found 1"),
        ({"topology": {"shape": "random", "agents": 4, "links_per_agent": 0}}, "topology.links_per_agent"),
        ({"services": []}, "at least one service"),
        ({"services": [{"key": "a", "endpoints": 1, "listeners": 1}] * 2}, "stands there twice"),
        ({"faults": [{"kinds": ["flood"]}]}, "at `faults[0].kinds[0]`"),
        ({"faults": [{"kinds": []}]}, "at `faults[0].kinds`"),
        (
            {"faults": [{"kinds": ["cut"], "at_s": [1, 99]}]},
            "later than `duration_s`, 12, at `faults[0].at_s`",
        ),
        ({"faults": [{"kinds": ["cut"], "lasts_s": [5, 1]}]}, "at `faults[0].lasts_s`"),
        ({"faults": [{"kinds": ["cut"], "in_turn": True}]}, "only named agents fail in turn"),
        ({"network": {"mib_per_s": 0}}, "more than 0, at `network.mib_per_s`"),
        (service(max_connections=1, listeners=2), "expected at least 2, for as many listeners are tried"),
        (service(max_connections=[3, 2]), "found [3, 2], at `services[0].max_connections`"),
        (service(health_check={"interval_s": 0}), "at least 0.1, at `services[0].health_check.interval_s`"),
        (
            service(health_check={"healthy_after": 0}),
            "1, at `services[0].health_check.healthy_after`",
        ),
        (service(health_check={"interval": 1}), "unknown field `interval`, at `services[0].health_check`"),
        ({"traffic": {"kib": [3, 1]}}, "expected 0 <= least <= most, found [3, 1], at `traffic.kib`"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(load, changes, text):
    with pytest.raises(ScenarioError) as raised:
        load(SMALL, **changes)
    assert text in str(raised.value)
    assert "scenario.yaml: " in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["a: [", "\x00", "- 1"])
def test_what_is_no_scenario_is_refused(tmp_path, text):
    file = tmp_path / "scenario.yaml"
    file.write_text(text)
    with pytest.raises(ScenarioError):
        load_scenario(file)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"services": [{"key": "a", "endpoints": ["nobody"], "listeners": 1}]},
            "no agent is called 'nobody'",
        ),
        ({"faults": [{"kinds": ["crash"], "agents": ["nobody"]}]}, "no agent is called 'nobody'"),
        ({"faults": [{"kinds": ["cut"], "links": [["branch", "hq"]]}]}, "no link between branch and hq"),
    ],
)
def test_what_the_shape_does_not_have_is_refused(load, changes, text):
    with pytest.raises(ScenarioError, match=text):
        draw_script(load(SMALL, **changes), 1)


@pytest.mark.parametrize("shape", LEAST_AGENTS)
@pytest.mark.parametrize("more", [0, 1, 7, 30])
def test_every_shape_of_any_size_hangs_together(load, shape, more):
    agents = LEAST_AGENTS[shape] + more
    services = [{"key": "a", "endpoints": 1, "listeners": 1}]
    scenario = load(SMALL, topology={"shape": shape, "agents": agents}, services=services)
    layout = draw_map(scenario, random.Random(more))
    assert len(set(layout.names)) == agents
    assert len({frozenset(link) for link in layout.links}) == len(layout.links)
    assert all(one != other for one, other in layout.links)
    assert set(hop_counts(layout.neighbours(), layout.names[0], max_hops=99)) == set(layout.names)


def test_hop_counts_end_at_the_limit():
    names = [str(n) for n in range(6)]
    links = {one: {other for other in names if abs(int(one) - int(other)) == 1} for one in names}
    assert hop_counts(links, "0", 3) == {"0": 0, "1": 1, "2": 2, "3": 3}


def test_hop_counts_pass_through_relays_only():
    ring = {"a": {"b", "d"}, "b": {"a", "c"}, "c": {"b", "d"}, "d": {"a", "c"}}
    assert hop_counts(ring, "a", without_relay=["b", "d"]) == {"a": 0, "b": 1, "d": 1}
    assert hop_counts(ring, "b", without_relay=["b", "d"]) == {"b": 0, "a": 1, "c": 1, "d": 2}


def test_of_paths_with_the_fewest_links_the_shortest_counts():
    links = {
        "a": {"b": 9, "c": 4, "d": 30},
        "b": {"a": 9, "e": 1},
        "c": {"a": 4, "d": 4, "e": 7},
        "d": {"a": 30, "c": 4},
        "e": {"b": 1, "c": 7},
    }
    assert distances(links, "a") == {"a": (0, 0), "c": (1, 4), "b": (1, 9), "d": (1, 30), "e": (2, 10)}
    assert distances(links, "a", without_relay=["b"])["e"] == (2, 11)
    assert "e" not in distances(links, "a", 1)


def test_endpoints_are_drawn_one_by_one(load):
    check = {"interval_s": [1, 9], "timeout_s": 0.5, "unhealthy_after": [1, 3], "healthy_after": 2}
    scenario = load(SMALL, **service(endpoints=3, max_connections=[1, 1000], health_check=check))
    shapes = draw_script(scenario, 1).endpoints.values()
    assert len(shapes) == 3
    assert len({shape.max_connections for shape in shapes}) == 3
    assert len({shape.health_check.interval_s for shape in shapes}) == 3
    for shape in shapes:
        assert shape.offered_within_s == 2 * shape.health_check.interval_s + 0.5
    assert not any(shape.health_check for shape in draw_script(load(SMALL), 1).endpoints.values())


def test_listeners_that_reach_no_endpoint_are_not_tried(load):
    topology = {"shape": "chain", "agents": 3, "without_relay": ["relay-1"]}
    assert draw_probes(draw_script(load(SMALL, topology=topology), 1)) == []


def test_one_seed_draws_one_script(load):
    faults = [{"kinds": [kind.value for kind in FaultKind], "count": 20, "at_s": [0, 10]}]
    scenario = load(SMALL, faults=faults, **service(endpoints=2))
    assert draw_script(scenario, 5) == draw_script(scenario, 5)
    assert draw_script(scenario, 5) != draw_script(scenario, 6)
    assert len(draw_probes(draw_script(scenario, 5))) == 1


def test_only_one_of_several_endpoints_can_be_taken_out(load):
    faults = [{"kinds": ["take_out"]}]
    with pytest.raises(ScenarioError, match="no agent of this scenario can have a change of kind take_out"):
        draw_script(load(SMALL, faults=faults), 1)
    draw_script(load(SMALL, faults=faults, **service(endpoints=2)), 1)


def test_whatever_is_done_is_undone_before_the_end(load):
    undoing = {
        "crash": {"start", "start_with_late_clock"},
        "leave": {"start"},
        "pause": {"resume"},
        "cut": {"heal"},
        "cut_one_way": {"heal"},
        "cut_with_reset": {"heal"},
        "slow_down": {"speed_up"},
        "kill_target": {"start_target"},
        "configure": {"configure_back"},
    }
    faults = [{"kinds": [kind.value for kind in FaultKind], "count": 90, "at_s": [0, 10], "lasts_s": [0, 9]}]
    script = draw_script(load(SMALL, faults=faults, **service(endpoints=2)), 5)
    assert script.faults == 90
    assert {action.do for action in script.actions} == set(undoing) | set().union(*undoing.values())
    assert [action.at_s for action in script.actions] == sorted(action.at_s for action in script.actions)
    for index, action in enumerate(script.actions):
        if action.do in undoing:
            what = (action.subject, action.change)
            later = [each for each in script.actions[index:] if (each.subject, each.change) == what]
            assert any(each.do in undoing[action.do] for each in later), action


def test_faults_apart_never_overlap(load):
    group = {"kinds": ["pause"], "count": 9, "at_s": [1, 1], "lasts_s": [0.1, 1], "apart_s": 0.5}
    script = draw_script(load(SMALL, faults=[group], duration_s=40), 3)
    assert [action.do for action in script.actions] == ["pause", "resume"] * 9
    for end, begin in itertools.pairwise(script.actions):
        if begin.do == "pause":
            assert begin.at_s - end.at_s == pytest.approx(0.5)


def test_agents_in_turn_fail_once_each(load):
    names = ["hq", "relay-1", "branch"]
    group = {"kinds": ["leave"], "agents": names, "in_turn": True, "lasts_s": 1, "apart_s": 1, "at_s": [1, 1]}
    script = draw_script(load(SMALL, faults=[group]), 3)
    assert [action.subject[0] for action in script.actions if action.do == "leave"] == names


def test_the_document_names_every_scenario_key_fault_and_option():
    for path in (ROOT / "config" / "scenarios").glob("*.yaml"):
        assert f"`{path.name}`" in DOCUMENT, path.name
    for kind in FaultKind:
        assert f"`{kind.value}`" in DOCUMENT, kind
    for part in (
        Scenario,
        Topology,
        ServiceSpec,
        HealthCheck,
        Settings,
        Traffic,
        FaultGroup,
        Hostility,
        Policies,
    ):
        for field in msgspec.structs.fields(part):
            assert f"`{field.name}`" in DOCUMENT, f"{part.__name__}.{field.name}"
    for expectation in Expectation:
        assert f"`{expectation.value}`" in DOCUMENT, expectation
    for option in ("--seed", "--agents", "--runs", "--jobs", "--real", "--plot", "--trace"):
        assert f"`{option}" in DOCUMENT, option
