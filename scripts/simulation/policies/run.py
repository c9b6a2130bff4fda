"""A run in which policies change: in parts, after each of which what is allowed must work."""

from collections.abc import Iterator
from typing import Final

from scripts.simulation import invariants
from scripts.simulation.conversation import Conversation, Heard, Manner, Pace, Terms
from scripts.simulation.faults import Planned, mend
from scripts.simulation.invariants import InvariantError
from scripts.simulation.one_run import Run
from scripts.simulation.policies.knowledge import of_one_mind
from scripts.simulation.policies.plot import draw_plot
from scripts.simulation.policies.stage import PolicyStage
from scripts.simulation.policies.watch import LOOK_S, PolicyWatch
from scripts.simulation.scenario import Policies
from scripts.simulation.topology import Pair, hop_counts
from scripts.simulation.watch import LinkWatch, RelayWatch

LINKED_WITHIN_S: Final = 12.0
"""From the last repair until all are linked that may be: a dead link is found, and some redials."""

KNOWN_WITHIN_S: Final = 2.0
"""From then until every agent has heard of everything."""

WORKS_WITHIN_S: Final = 10.0
"""For a connection that is allowed to be opened and to carry its bytes, once nothing is changed any more."""

HORIZON_S: Final = 60.0
"""What is to be tried must be allowed for so long."""

STAYS_S: Final = 10.0
"""How long a client stays that is there at each listener, most of the time."""

STAYING_NUMBER: Final = 3_000_000
TRYING_NUMBER: Final = 4_000_000
"""Conversations from these numbers on are those of such clients, and those that try what is allowed."""

_EACH_S: Final = 0.2
"""From one thing that such a client says to the next."""

_AGAIN_S: Final = 0.5
"""From the end of one to the next."""

_WHOLE_EACH: Final = 5
"""Streams are judged with each look of so many."""


class PolicyRun(Run):
    """One run of a scenario with ``policies``."""

    def _set_up(self) -> PolicyStage:
        policies = self.scenario.policies or Policies()
        plot = draw_plot(policies, self.script, self.scenario.duration_s)
        return PolicyStage(self.mesh, self.scenario, self.script, self.story, plot)

    def _befall(self, stage: PolicyStage) -> None:
        mesh, scenario = self.mesh, self.scenario
        policies = scenario.policies or Policies()
        stage.began()
        watch = PolicyWatch(stage)
        stage.look = watch.look
        self._watches = [watch, RelayWatch(mesh), LinkWatch(stage, scenario.settings.timeout_s)]
        self._looks = 0
        self._staying: dict[tuple[str, str], Conversation] = {}
        part_s = scenario.duration_s / policies.rounds
        for number in range(policies.rounds):
            stage.play_part(number * part_s, (number + 1) * part_s)
            self._look_on(stage, part_s)
            mend(self.script, stage)
            stage.start_all_stopped()
            self.story.note("mended")
            stage.renew_all(2 * HORIZON_S)
            self._try_what_is_allowed(stage, watch, number)
        stage.restore()
        self._look_on(stage, 2.0, clients_come=False)

    def _look_on(self, stage: PolicyStage, for_s: float, *, clients_come: bool = True) -> None:
        mesh = self.mesh
        until_s = mesh.world.now() + for_s
        while mesh.world.now() < until_s:
            mesh.run(min(LOOK_S, until_s - mesh.world.now()))
            self._looks += 1
            if not self._looks % _WHOLE_EACH:
                invariants.streams_are_whole(mesh)
            for watch in self._watches:
                watch.look()
            if clients_come:
                self._keep_clients(stage)

    def _keep_clients(self, stage: PolicyStage) -> None:
        """Have somebody at each listener who says a little all the time."""
        now = self.mesh.world.now()
        for key, names in self.script.map.listeners.items():
            for name in names:
                staying = self._staying.get((key, name))
                if staying is None or (staying.heard.is_over and now > staying.heard.finished_at + _AGAIN_S):
                    size = round(STAYS_S / _EACH_S) * 100
                    terms = Terms(STAYING_NUMBER + len(self.mesh.conversations), size, size, Manner.IN_STEP)
                    planned = Planned(0.0, name, key, terms, Pace(byte_count=100, pause_s=_EACH_S))
                    self._staying[key, name] = stage.converse(planned)

    # -- what is allowed -------------------------------------------------------------------------------------

    def _try_what_is_allowed(self, stage: PolicyStage, watch: PolicyWatch, number: int) -> None:
        """Try every listener; those that may and can reach an exit have to.

        Raises:
            InvariantError: one does not.
        """
        inside = self._settle(stage, watch)
        wanted: dict[tuple[str, str], Conversation] = {}
        for place, (key, name) in enumerate(self._places()):
            terms = Terms(TRYING_NUMBER + 1_000 * number + place, 500, 500)
            wanted[key, name] = stage.converse(Planned(0.0, name, key, terms, Pace()))
        works = {place for place in wanted if self._works(stage, inside, *place)}
        self.story.note("tried", f"{len(works)} of {len(wanted)} must work: {sorted(works)}")
        self._look_on(stage, 1.0)
        until_s = self.mesh.world.now() + WORKS_WITHIN_S
        while not all(self._is_served(wanted[place]) for place in works):
            if self.mesh.world.now() >= until_s:
                failed = [place for place in sorted(works) if not self._is_served(wanted[place])]
                found = [(place, wanted[place].heard) for place in failed[:3]]
                raise InvariantError("what is allowed works", f"not after {WORKS_WITHIN_S:g} s: {found}")
            self._look_on(stage, LOOK_S)

    def _settle(self, stage: PolicyStage, watch: PolicyWatch) -> set[str]:
        """Wait until all are linked that let each other in; who they are, if they are of one mind.

        Raises:
            InvariantError: two of them are not linked, or one has not heard of another.
        """
        mesh, law = self.mesh, stage.law
        linked_by = mesh.world.now() + LINKED_WITHIN_S
        while missing := self._not_linked(stage, watch):
            if mesh.world.now() >= linked_by:
                certain = [pair for pair in missing if not self._may_refuse(stage, *pair)]
                if certain:
                    text = f"after {LINKED_WITHIN_S:g} s not linked: {certain}"
                    raise InvariantError("what is allowed works", text)
                break
            self._look_on(stage, LOOK_S)
        self._look_on(stage, KNOWN_WITHIN_S)
        return of_one_mind(law, watch.links(), mesh.world.now(), HORIZON_S)

    def _not_linked(self, stage: PolicyStage, watch: PolicyWatch) -> list[Pair]:
        """Agents that are to be linked, and would be if they had heard of everything."""
        law, later, links = stage.law, self.mesh.world.now() + HORIZON_S, watch.links()
        return [
            (one, other)
            for one, other in self.script.map.links
            if other not in links.get(one, {})
            and law.lets_in(one, other, later)
            and law.lets_in(other, one, later)
        ]

    def _may_refuse(self, stage: PolicyStage, one: str, other: str) -> bool:
        """Whether one of two has perhaps not heard of something that would have it let in the other."""
        law, now = stage.law, self.mesh.world.now()
        return law.may_refuse(one, law.newest(other), now) or law.may_refuse(other, law.newest(one), now)

    def _works(self, stage: PolicyStage, inside: set[str], key: str, ingress: str) -> bool:
        """Whether an exit of a key can be reached by those who are of one mind, and both ends let it be."""
        law = stage.law
        neighbours = {name: peers & inside for name, peers in self.script.map.neighbours().items()}
        idle = [name for name in inside if not law.newest(name).relays]
        reached = hop_counts(neighbours, ingress, without_relay=idle) if ingress in inside else {ingress: 0}
        return any(
            exit_ in reached and law.opens(ingress, exit_, key) for exit_ in self.script.map.endpoints[key]
        )

    def _places(self) -> Iterator[tuple[str, str]]:
        return ((key, name) for key, names in self.script.map.listeners.items() for name in names)

    @staticmethod
    def _is_served(conversation: Conversation) -> bool:
        heard: Heard = conversation.heard
        return heard.is_complete and heard.byte_count == conversation.terms.down
