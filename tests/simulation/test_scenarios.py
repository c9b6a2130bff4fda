"""The scenarios of ``config/scenarios``: each holds, with the same seeds and with new ones."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.simulation.runner import Order, run, run_order
from tests.examples import seeds

ROOT = Path(__file__).resolve().parents[2]
APART = {"hostile_member", "policies"}
"""Have tests of their own."""
SCENARIOS = sorted(path for path in (ROOT / "config" / "scenarios").glob("*.yaml") if path.stem not in APART)
WANTED = {
    "chain",
    "diamond",
    "early_data",
    "everything",
    "flapping_link",
    "ha_pair",
    "new_keys",
    "partition_and_heal",
    "random_graph",
    "reconfiguration",
    "reconfiguration_chain",
    "ring",
    "rolling_restart",
    "slow_link",
    "star_of_stars",
}


def assert_holds(path, seed):
    outcome = run_order(Order(str(path), seed))
    assert not outcome.broken, "\n".join(
        [
            f"{path.stem}, seed {seed}: {outcome.broken}",
            *outcome.story,
            *outcome.events,
            f"python scripts/simulate.py {path} --seed {seed}",
        ]
    )
    return outcome


def test_all_scenarios_are_there():
    assert {path.stem for path in SCENARIOS} == WANTED


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_invariants_hold(path, seed):
    outcome = assert_holds(path, seed)
    fates = outcome.fates
    assert fates.complete + fates.reset + fates.refused + fates.left > 0
    assert outcome.first_converged_s > 0


def test_a_run_before_with_equal_numbers_is_left_behind(tmp_path):
    """An agent restarted with its clock set back comes to the epoch and sequence of its run before."""
    document = yaml.safe_load((ROOT / "config/scenarios/everything.yaml").read_text())
    del document["topology"]["without_relay"], document["faults"][2:]
    for service in document["services"]:
        service.pop("health_check", None)
        del service["max_connections"]
    file = tmp_path / "everything.yaml"
    file.write_text(yaml.safe_dump(document))
    assert_holds(file, 6104)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_invariants_hold_with_a_new_seed(path):
    seed = random.SystemRandom().randrange(1 << 31)
    print(f"{path.stem}: new seed {seed}")  # noqa: T201 -- shown where it fails
    assert_holds(path, seed)


def test_agents_are_as_many_as_wanted():
    outcome = run(Order(str(ROOT / "config/scenarios/ring.yaml"), 1, agents=9))
    assert not outcome.broken


def test_looking_on_changes_nothing():
    order = Order(str(ROOT / "config/scenarios/random_graph.yaml"), 4)
    lines = []
    assert run(order).digest == run(order, wants_events=True, on_event=lines.append).digest
    assert len(lines) > 1000


@pytest.mark.parametrize("name", ["ring", "random_graph"])
def test_the_same_seed_gives_the_same_trace_whatever_the_hash_seed(name):
    program = "import sys; from scripts.simulation.command import main; sys.exit(main(sys.argv[1:]))"
    said = set()
    for hash_seed in ("0", "1", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", program, f"config/scenarios/{name}.yaml", "--seed", "5"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        )
        said.add(done.stdout.split()[-1])
    assert len(said) == 1
    assert said.pop() != run(Order(str(ROOT / f"config/scenarios/{name}.yaml"), 6)).digest
