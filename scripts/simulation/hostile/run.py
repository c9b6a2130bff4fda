"""A run with a hostile member, and what must be so in it: nobody else notices anything."""

from typing import Final

from mesh.trust.identity import AgentId
from scripts.simulation import invariants
from scripts.simulation.conversation import Conversation
from scripts.simulation.faults import Planned, Script, draw_probes
from scripts.simulation.hostile.links import HostileLink, hostile_links
from scripts.simulation.hostile.stage import ECHO_KEY, HostileStage, Plot, Typing, draw_plot
from scripts.simulation.invariants import InvariantError
from scripts.simulation.scenario import Scenario
from scripts.simulation.trace import Story
from scripts.simulation.watch import RelayWatch
from scripts.simulation.world import MeshWorld

LOOK_S: Final = 0.25
OPENS_WITHIN_S: Final = 2.0
ANSWERS_WITHIN_S: Final = 1.0
CONVERGE_LIMIT_S: Final = 30.0
END_LIMIT_S: Final = 120.0
LEAK_LIMIT_S: Final = 120.0
PROBES_WITHIN_S: Final = 5.0

MAX_CONTROL_BYTES: Final = 33 * 1024 * 1024
"""What the control lane of a link may hold before the link is broken off, and one frame."""
MAX_ACTORS: Final = 2_000
"""On one agent: far more than its services and the clients of a run need."""


class HostileRun:
    """One run: the mesh converges, the member does its worst, and is killed; then all is as it was."""

    def __init__(self, mesh: MeshWorld, scenario: Scenario, script: Script, story: Story) -> None:
        self.mesh, self.scenario, self.story = mesh, scenario, story
        self.plot: Plot
        self.plot, self.script = draw_plot(scenario, script)
        self.first_converged_s = self.mended_s = 0.0
        self._started_at: dict[int, float] = {}

    def go(self) -> str:
        """Everything from start to end; the invariant that broke, empty where none did."""
        try:
            stage = HostileStage(self.mesh, self.scenario, self.script, self.story, self.plot)
            self.story.note("hostile", f"{self.plot.name}, {self.plot}")
            with hostile_links(self.plot.name, self.mesh.id_of(self.plot.name), stage.character):
                self._play(stage)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it has a seed
            return self.story.broken(error)
        return ""

    def _play(self, stage: HostileStage) -> None:
        mesh = self.mesh
        mesh.start()
        invariants.graph_is(mesh, self.script.map, CONVERGE_LIMIT_S)
        self.first_converged_s = mesh.world.now()
        mesh.run(1.0)
        began_at = mesh.world.now()
        stage.play()
        watch = _Watch(stage, began_at)
        while mesh.world.now() < began_at + self.scenario.duration_s:
            mesh.run(LOOK_S)
            watch.look()
        mesh.run(OPENS_WITHIN_S)
        watch.look()
        watch.judge_typists_at_the_end()
        self.story.note("killed", self.plot.name)
        mesh.crash(self.plot.name)
        mended_at = mesh.world.now()
        self._honest_agree()
        self.mended_s = mesh.world.now() - mended_at
        invariants.conversations_end(mesh, END_LIMIT_S)
        mesh.run(2.0)
        watch.judge_conversations()
        invariants.nothing_is_left(mesh, LEAK_LIMIT_S)
        self._probe(stage)
        invariants.nothing_is_left(mesh, LEAK_LIMIT_S)
        invariants.streams_are_whole(mesh)

    def _probe(self, stage: HostileStage) -> None:
        wanted: list[Planned] = [probe for probe in draw_probes(self.script) if probe.key != ECHO_KEY]
        probes: list[Conversation] = [stage.converse(planned) for planned in wanted]
        invariants.probes_complete(self.mesh, probes, PROBES_WITHIN_S)

    def _honest_agree(self) -> None:
        """All that are left hold the graph of those that are left."""
        mesh = self.mesh
        deadline = mesh.world.now() + CONVERGE_LIMIT_S
        while (problem := self._differs()) is not None:
            if mesh.world.now() >= deadline:
                raise InvariantError("agents hold the graph", f"after {CONVERGE_LIMIT_S:g} s: {problem}")
            mesh.run(0.1)

    def _differs(self) -> str | None:
        mesh, hostile = self.mesh, self.plot.name
        truth = {
            name: peers - {hostile} for name, peers in self.script.map.neighbours().items() if name != hostile
        }
        names = {mesh.id_of(name): name for name in truth}
        for viewer in truth:
            snapshot = mesh.routes(viewer)
            if snapshot is None:
                return f"{viewer} has no route table"
            for name, peers in truth.items():
                record = snapshot.records.get(mesh.id_of(name))
                if record is None:
                    return f"{viewer} has no record of {name}"
                found = {
                    names.get(each.id, "a stranger")
                    for each in record.body.neighbours
                    if each.id != mesh.id_of(hostile)
                }
                if found != peers:
                    return (
                        f"in the view of {viewer}, {name} has links to {sorted(found)}, not {sorted(peers)}"
                    )
        return None


class _Watch:
    """Judges what must be so at any time."""

    def __init__(self, stage: HostileStage, began_at: float) -> None:
        self._stage, self._mesh, self._began_at = stage, stage.mesh, began_at
        self._relays = RelayWatch(stage.mesh)
        self._hostile_id = stage.mesh.id_of(stage.plot.name)

    def look(self) -> None:
        """Look now.

        Raises:
            InvariantError: something is not so.
        """
        invariants.streams_are_whole(self._mesh)
        self._relays.look()
        self._judge_memory()
        for typing in self._stage.typing:
            self._judge_typist(typing)

    def _judge_memory(self) -> None:
        for name in self._mesh.running:
            if name == self._stage.plot.name:
                continue
            for link in self._mesh.actors_on(name, invariants.PeerLink):
                if link._output.queue.control_bytes > MAX_CONTROL_BYTES:
                    text = f"{link._output.queue.control_bytes} bytes of control wait at {name}"
                    raise InvariantError("memory is bounded", text)
            actors = len(self._mesh.actors_on(name))
            if actors > MAX_ACTORS:
                raise InvariantError("memory is bounded", f"{actors} actors at {name}")
            snapshot = self._mesh.routes(name)
            if snapshot is not None and len(snapshot.records) > len(self._mesh.plans):
                raise InvariantError("memory is bounded", f"{len(snapshot.records)} records at {name}")

    # -- who types -------------------------------------------------------------------------------------------

    def _judge_typist(self, typing: Typing) -> None:
        asked, now = typing.asked, self._mesh.world.now()
        problem = ""
        if asked.broken:
            problem = asked.broken
        elif asked.waits_since is not None and now - asked.waits_since > self._limit_s(asked.round_trips_s):
            problem = f"no answer for {now - asked.waits_since:.2f} s, after {len(asked.round_trips_s)}"
        else:
            for number, took_s in enumerate(asked.round_trips_s):
                if took_s > self._limit_s(asked.round_trips_s[:number]):
                    problem = f"keystroke {number} was answered after {took_s:.2f} s"
                    break
        if problem and not self._has_met(typing.agent, ECHO_KEY, typing.start_s):
            who = f"typist at {typing.agent} from {typing.start_s - self._began_at:.2f} s"
            raise InvariantError("nobody else notices", f"{who}: {problem}")

    @staticmethod
    def _limit_s(before: list[float]) -> float:
        return ANSWERS_WITHIN_S if before else OPENS_WITHIN_S

    def judge_typists_at_the_end(self) -> None:
        """All of them are through."""
        for typing in self._stage.typing:
            if not typing.asked.is_over and not self._has_met(typing.agent, ECHO_KEY, typing.start_s):
                raise InvariantError("nobody else notices", f"typist at {typing.agent} hangs: {typing.asked}")

    # -- conversations ---------------------------------------------------------------------------------------

    def judge_conversations(self) -> None:
        """Those that had nothing to do with the member are complete, the others whole."""
        stage, mesh = self._stage, self._mesh
        for planned, conversation in zip(stage.script.conversations, mesh.conversations, strict=True):
            start_s = self._began_at + planned.at_s
            if not conversation.heard.left and not self._has_met(planned.agent, planned.key, start_s):
                invariants.is_complete(mesh, conversation)

    def _has_met(self, agent: str, key: str, since_s: float) -> bool:
        """Whether the member was given frames to pass on between ``agent`` and an exit in that time."""
        now, own = self._mesh.world.now(), self._mesh.id_of(agent)
        exits: list[AgentId] = [self._mesh.id_of(each) for each in self._stage.script.map.endpoints[key]]
        return any(self._stage.loot.was_given(own, exit_, since_s, now) for exit_ in exits)


__all__ = ["HostileLink", "HostileRun"]
