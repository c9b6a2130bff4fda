"""One run from start to end; kinds of runs differ in what befalls the mesh."""

from typing import Any, Final

from scripts.simulation import invariants
from scripts.simulation.faults import Script, draw_last_words, draw_probes, mend
from scripts.simulation.scenario import Scenario
from scripts.simulation.stage import SimulatedStage
from scripts.simulation.trace import Story
from scripts.simulation.watch import watches
from scripts.simulation.world import MeshWorld

LOOK_S: Final = 0.5
"""Virtual seconds between two looks at invariants that must hold at any time."""

CONVERGE_LIMIT_S: Final = 30.0
"""For all agents to agree: a link that has to be found dead first, and some redials, 5 s apart at most."""

END_LIMIT_S: Final = 200.0
"""For conversations to end once everything is mended."""

LEAK_LIMIT_S: Final = 120.0
"""For what connections took to be given back: an idle one probes each 60 s, and 30 s later it is reset."""


class Run:
    """The mesh converges, everything befalls it, and once all is mended all must be as it was."""

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
        mesh = self.mesh
        stage = self._set_up()
        mesh.start()
        self.first_converged_s = self._converge()
        mesh.run(1.0)  # what greeted its peers and was one too many is gone
        before = invariants.census(mesh)
        self._befall(stage)
        self.mended_s = self._converge()
        stage.judge_configurations()
        offered_s = max(shape.offered_within_s for shape in self.script.endpoints.values())
        invariants.candidates_are_nearest_first(mesh, self.script.map, offered_s)
        invariants.conversations_end(mesh, END_LIMIT_S)
        mesh.run(2.0)
        invariants.as_expected(mesh, self.scenario.expect)
        if self.script.has_limits:
            invariants.nothing_is_left(mesh, LEAK_LIMIT_S)  # places for all probes
        self._probe(stage)
        invariants.nothing_is_left(mesh, LEAK_LIMIT_S)
        self._converge()
        invariants.agents_agree(mesh, CONVERGE_LIMIT_S)
        invariants.no_actor_is_left(mesh, before)
        invariants.streams_are_whole(mesh)

    def _set_up(self) -> SimulatedStage:
        return SimulatedStage(self.mesh, self.scenario, self.script, self.story)

    def _befall(self, stage: Any) -> None:
        """Play the script on the stage that was set up, and mend everything."""
        mesh, scenario = self.mesh, self.scenario
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
        self.story.note("mended")

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
