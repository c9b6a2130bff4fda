"""Connections that get new keys all the time, in meshes in which everything fails."""

from pathlib import Path

import msgspec
import pytest

from actors.runtime.registry import install_ordered_registry
from scripts.simulation.faults import draw_script
from scripts.simulation.one_run import Run
from scripts.simulation.scenario import load_scenario
from scripts.simulation.trace import Story
from scripts.simulation.world import MeshWorld, simulated_mesh
from tests.examples import seeds

PAIRS = {"pair_s": 3.0, "pair_connections": 6, "pair_grace_s": -2.5}
"""Exits forget pair sessions before ingresses do, and say so."""
SCENARIOS = Path(__file__).resolve().parents[2] / "config" / "scenarios"


def totals(mesh):
    """Of all agents: changes of keys, bodies that counted as forged, pair sessions that were not known."""
    meters = [plan.meters for plan in mesh.plans.values()]
    return tuple(
        sum(getattr(each, name) for each in meters)
        for name in ("connections_rekeyed", "frames_forged", "opens_unknown_pair")
    )


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize(
    ("name", "least"),
    # Where everything fails, no connection may last long enough.
    [("new_keys", 6), ("ha_pair", 6), ("slow_link", 6), ("everything", 0)],
)
def test_no_byte_is_lost_and_no_frame_counts_as_forged(name, least, seed):
    scenario = load_scenario(SCENARIOS / f"{name}.yaml")
    often = msgspec.structs.replace(scenario.settings, session_key_s=1.0, session_key_kib=64.0, **PAIRS)
    scenario = msgspec.structs.replace(scenario, settings=often)
    install_ordered_registry()
    mesh = MeshWorld(seed)
    story = Story(mesh.world.now)
    run = Run(mesh, scenario, draw_script(scenario, seed), story)
    with simulated_mesh(mesh):
        broken = run.go()
        rekeyed, forged, unknown = totals(mesh)
    assert not broken, "\n".join([broken, *story.lines()])
    assert rekeyed >= least
    assert forged == 0
    assert unknown or seed or name not in {"new_keys", "ha_pair"}  # in the first run of these some come late
