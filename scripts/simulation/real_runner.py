"""Runs of the same scenarios on loopback, in real time: two runs of one seed are alike, but not equal."""

import resource
import tempfile
import time
from pathlib import Path
from typing import Final

from scripts.lab.agent_processes import LOG_FILE
from scripts.simulation import invariants
from scripts.simulation.conversation import Conversation
from scripts.simulation.faults import Script, draw_probes, draw_script, mend
from scripts.simulation.real_stage import RealStage
from scripts.simulation.runner import Order, Outcome, count_fates
from scripts.simulation.scenario import CHANGES, Scenario, ScenarioError, load_scenario
from scripts.simulation.trace import Story

MAX_REAL_AGENTS: Final = 40
CONVERGE_LIMIT_S: Final = 60.0
END_LIMIT_S: Final = 120.0
QUIET_LIMIT_S: Final = 100.0
LOG_LINES: Final = 15
"""Of each agent's log, shown with a broken invariant."""


def log_tails(folder: Path) -> tuple[str, ...]:
    """The last lines of the log of every agent under ``folder``."""
    lines: list[str] = []
    for log in sorted(folder.glob(f"**/{LOG_FILE}")):
        text = log.read_text(errors="replace").splitlines()
        lines += [f"{log.parent.name}: {line}" for line in text[-LOG_LINES:]]
    return tuple(lines)


def run_real(order: Order) -> Outcome:
    """Run a scenario on loopback, in real time.

    Raises:
        ScenarioError: the scenario cannot be used, or is too large for this.
    """
    scenario = load_scenario(Path(order.path), agents=order.agents)
    if scenario.hostile is not None:
        raise ScenarioError(f"{order.path}: a hostile member is found in simulated runs only")
    if scenario.policies is not None:
        raise ScenarioError(f"{order.path}: policies change in simulated runs only")
    if any(CHANGES.intersection(group.kinds) for group in scenario.faults):
        raise ScenarioError(f"{order.path}: configurations are changed in simulated runs only")
    script = draw_script(scenario, order.seed)
    if len(script.map.names) > MAX_REAL_AGENTS:
        raise ScenarioError(f"{len(script.map.names)} processes; --real takes {MAX_REAL_AGENTS} at most")
    start = time.monotonic()
    story = Story(lambda: time.monotonic() - start)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    broken, times = "", (0.0, 0.0)
    conversations: list[Conversation] = []
    events: tuple[str, ...] = ()
    with tempfile.TemporaryDirectory(prefix="mesh-simulation-") as folder:
        try:
            stage = RealStage(scenario, script, Path(folder), story)
            conversations = stage.conversations
            with stage.running():
                times = _play(stage, scenario, script)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it has a seed
            broken = story.broken(error)
            events = log_tails(Path(folder))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Outcome(
        scenario=Path(order.path).stem,
        seed=order.seed,
        digest="real",
        broken=broken,
        story=story.lines() if broken else (),
        events=events,
        virtual_s=time.monotonic() - start,
        cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        first_converged_s=times[0],
        mended_s=times[1],
        faults=script.faults,
        fates=count_fates(conversations[: len(script.conversations)]),
    )


def _play(stage: RealStage, scenario: Scenario, script: Script) -> tuple[float, float]:
    """Everything from convergence to the end of all agents; how long converging took, first and last."""
    first_s = stage.wait_for("agents hold the graph", stage.routes_differ, CONVERGE_LIMIT_S)
    stage.play(scenario.duration_s)
    mend(script, stage)
    stage.start_all_stopped()
    mended_s = stage.wait_for("agents hold the graph", stage.routes_differ, CONVERGE_LIMIT_S)
    stage.wait_for("conversations end", stage.open_conversations, END_LIMIT_S)
    time.sleep(1.0)
    invariants.as_expected(stage, scenario.expect)
    if script.has_limits:
        stage.wait_for("nothing is left", stage.leftovers, QUIET_LIMIT_S)  # places for all probes
    probes = [stage.converse(planned) for planned in draw_probes(script)]
    stage.wait_for("conversations end", stage.open_conversations, END_LIMIT_S)
    time.sleep(0.5)
    for probe in probes:
        invariants.is_complete(stage, probe)
    stage.wait_for("nothing is left", stage.leftovers, QUIET_LIMIT_S)
    stage.leave_all()
    return first_s, mended_s
