"""One run of a scenario, and what came of it."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from actors.runtime.registry import install_ordered_registry
from scripts.simulation.conversation import Conversation
from scripts.simulation.faults import draw_script
from scripts.simulation.hostile.run import HostileRun
from scripts.simulation.one_run import Run
from scripts.simulation.plot import Recorder
from scripts.simulation.policies.run import PolicyRun
from scripts.simulation.scenario import Scenario, load_scenario
from scripts.simulation.trace import Story
from scripts.simulation.world import MeshWorld, simulated_mesh


class Fates(msgspec.Struct, frozen=True):
    """What became of conversations, seen by the clients."""

    complete: int = 0
    reset: int = 0
    refused: int = 0
    left: int = 0
    """Clients that reset of their own accord."""
    byte_count: int = 0
    """In both directions."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of one run."""

    scenario: str
    seed: int
    digest: str
    broken: str = ""
    """The invariant that broke and what was found; empty where all held."""
    story: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    """The last ones before the invariant broke."""
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    first_converged_s: float = 0.0
    """From the start of all agents until all hold the graph."""
    mended_s: float = 0.0
    """From the last repair until all hold the graph."""
    faults: int = 0
    fates: Fates = Fates()


class Order(msgspec.Struct, frozen=True):
    """One run to do."""

    path: str
    seed: int
    agents: int | None = None


def run_order(order: Order) -> Outcome:
    """Do one run; where an invariant breaks, do it again to see more."""
    outcome = run(order)
    if outcome.broken:
        again = run(order, wants_events=True)
        if again.digest != outcome.digest:
            text = f"{outcome.broken}\nAND THE RUN WAS NOT REPEATED: {outcome.digest}, then {again.digest}"
            again = msgspec.structs.replace(again, broken=text)
        return again
    return outcome


def run(
    order: Order,
    *,
    wants_events: bool = False,
    on_event: Callable[[str], None] | None = None,
    recorder: Recorder | None = None,
) -> Outcome:
    """Do one run in this process.

    Args:
        order: which.
        wants_events: keep the last events.
        on_event: hears every event's line.
        recorder: sees what a plot needs.

    Raises:
        ScenarioError: the scenario cannot be used.
    """
    path = Path(order.path)
    scenario = load_scenario(path, agents=order.agents)
    script = draw_script(scenario, order.seed)
    install_ordered_registry()
    cpu_s = time.process_time()
    mesh = MeshWorld(order.seed)
    story = Story(mesh.world.now, wants_events=wants_events, on_event=on_event)
    mesh.log.listener = story.logged
    if story.wants_events:
        mesh.world.trace.listener = story.event
    kind = _kind_of(scenario)
    one_run = kind(mesh, scenario, script, story)
    broken = digest = ""
    try:
        with simulated_mesh(mesh), _no_collections():
            if recorder is not None:
                recorder.watch(mesh, script, story)
            broken = one_run.go()
            digest = mesh.world.trace_digest()
    except Exception as error:  # noqa: BLE001 -- of taking the world down: it has a seed, too
        broken = broken or story.broken(error)
    return Outcome(
        scenario=path.stem,
        seed=order.seed,
        digest=digest,
        broken=broken,
        story=story.lines() if broken else (),
        events=tuple(story.events),
        virtual_s=mesh.world.now(),
        cpu_s=time.process_time() - cpu_s,
        first_converged_s=one_run.first_converged_s,
        mended_s=one_run.mended_s,
        faults=script.faults,
        fates=count_fates(mesh.conversations[: len(script.conversations)]),
    )


def _kind_of(scenario: Scenario) -> type[Run | HostileRun]:
    if scenario.policies is not None:
        return PolicyRun
    return Run if scenario.hostile is None else HostileRun


def count_fates(conversations: Sequence[Conversation]) -> Fates:
    """What became of conversations."""
    heard = [conversation.heard for conversation in conversations]
    return Fates(
        complete=sum(each.is_complete for each in heard),
        reset=sum(bool(each.error) for each in heard),
        refused=sum(bool(each.refused) for each in heard),
        left=sum(each.left for each in heard),
        byte_count=sum(each.byte_count + each.sent for each in heard),
    )


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Collect garbage after a run instead of in it: worlds are short-lived."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
        gc.collect()
