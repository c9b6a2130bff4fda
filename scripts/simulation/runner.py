"""One run of a scenario."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from actors.runtime.registry import install_ordered_registry
from scripts.simulation import invariants
from scripts.simulation.conversation import Conversation
from scripts.simulation.faults import Script, draw_last_words, draw_probes, draw_script, mend
from scripts.simulation.hostile.run import HostileRun
from scripts.simulation.plot import Recorder
from scripts.simulation.scenario import Scenario, load_scenario
from scripts.simulation.stage import SimulatedStage
from scripts.simulation.trace import Story
from scripts.simulation.watch import watches
from scripts.simulation.world import MeshWorld, simulated_mesh

LOOK_S: Final = 0.5
"""Virtual seconds between two looks at invariants that must hold at any time."""

CONVERGE_LIMIT_S: Final = 30.0
"""For all agents to agree: a link that has to be found dead first, and some redials, 5 s apart at most."""

END_LIMIT_S: Final = 200.0
"""For conversations to end once everything is mended."""

LEAK_LIMIT_S: Final = 120.0
"""For what connections took to be given back: an idle one probes each 60 s, and 30 s later it is reset."""


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
    kind = _Run if scenario.hostile is None else HostileRun
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


class _Run:
    def __init__(self, mesh: MeshWorld, scenario: Scenario, script: Script, story: Story) -> None:
        self.mesh, self.scenario, self.script, self.story = mesh, scenario, script, story
        self.first_converged_s = self.mended_s = 0.0

    def go(self) -> str:
        """Everything from start to end; the invariant that broke, empty where none did."""
        try:
            self._play()
        except Exception as error:  # noqa: BLE001 -- whatever it is, it has a seed
            return self.story.broken(error)
        return ""

    def _play(self) -> None:
        mesh, scenario, story = self.mesh, self.scenario, self.story
        stage = SimulatedStage(mesh, scenario, self.script, story)
        mesh.start()
        self.first_converged_s = self._converge()
        mesh.run(1.0)  # what greeted its peers and was one too many is gone
        before = invariants.census(mesh)
        stage.play()
        end_s = mesh.world.now() + scenario.duration_s
        watching = watches(stage, scenario)
        while mesh.world.now() < end_s:
            mesh.run(min(LOOK_S, end_s - mesh.world.now()))
            invariants.streams_are_whole(mesh)
            for watch in watching:
                watch.look()
        mend(self.script, stage)
        stage.start_all_stopped()
        story.note("mended")
        self.mended_s = self._converge()
        stage.configuring.judge()
        offered_s = max(shape.offered_within_s for shape in self.script.endpoints.values())
        invariants.candidates_are_nearest_first(mesh, self.script.map, offered_s)
        invariants.conversations_end(mesh, END_LIMIT_S)
        mesh.run(2.0)
        invariants.as_expected(mesh, scenario.expect)
        if self.script.has_limits:
            invariants.nothing_is_left(mesh, LEAK_LIMIT_S)  # places for all probes
        self._probe(stage)
        invariants.nothing_is_left(mesh, LEAK_LIMIT_S)
        self._converge()
        invariants.agents_agree(mesh, CONVERGE_LIMIT_S)
        invariants.no_actor_is_left(mesh, before)
        invariants.streams_are_whole(mesh)

    def _converge(self) -> float:
        start = self.mesh.world.now()
        invariants.graph_is(self.mesh, self.script.map, CONVERGE_LIMIT_S)
        took_s = self.mesh.world.now() - start
        self.story.note("converged", f"after {took_s:.2f} s")
        return took_s

    def _probe(self, stage: SimulatedStage) -> None:
        probes = [stage.converse(planned) for planned in draw_probes(self.script)]
        invariants.probes_complete(self.mesh, probes, END_LIMIT_S)
        # One after the other: an endpoint may have places for few.
        for planned in draw_last_words(self.script):
            invariants.last_words_arrive(self.mesh, [stage.converse(planned)], END_LIMIT_S)


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
