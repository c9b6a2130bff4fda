"""A mesh with a hostile member in it: who that is, what it may do, and who types meanwhile."""

import random
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from mesh.addresses import TcpAddress
from scripts.simulation.echoes import Asked, Echo, Typist
from scripts.simulation.faults import LinkShape, Planned, Script
from scripts.simulation.hostile.invention import Inventor
from scripts.simulation.hostile.links import Character, Temper
from scripts.simulation.hostile.loot import Loot
from scripts.simulation.hostile.member import Act, HostileMember, draw_acts
from scripts.simulation.scenario import Hostility, Scenario, ScenarioError, bounds
from scripts.simulation.stage import SimulatedStage
from scripts.simulation.trace import Story
from scripts.simulation.world import SERVICE_PORT, MeshWorld

ECHO_KEY: Final = "echo"
"""The routing key of a service that says everything back; a scenario with a hostile member has it."""

TYPIST_EACH_S: Final = 0.8
TYPES_FOR_S: Final = 1.5
THINK_S: Final = 0.1


class Plot(msgspec.Struct, frozen=True):
    """Everything that was drawn for the hostile member."""

    name: str
    """Of its agent."""
    may_relay: bool
    temper: Temper
    acts: tuple[Act, ...]


def draw_plot(scenario: Scenario, script: Script) -> tuple[Plot, Script]:
    """Draw who is hostile and how, and the script of the mesh in which it is.

    Raises:
        ScenarioError: the scenario leaves no agent for it, or has nothing to type to.
    """
    hostility = scenario.hostile or Hostility()
    draw = random.Random(f"{script.seed} plot")  # noqa: S311 -- to be repeated, not secret
    layout = script.map
    if ECHO_KEY not in layout.endpoints or len(layout.endpoints) < 2:
        raise ScenarioError(f"expected a service with the key {ECHO_KEY!r}, and another, at `services`")
    busy = {name for names in (*layout.endpoints.values(), *layout.listeners.values()) for name in names}
    free = [name for name in layout.names if name not in busy]
    if not free:
        raise ScenarioError("every agent offers or uses a service: none is left to be hostile")
    name = draw.choice(free)
    may_relay = draw.random() < hostility.may_relay
    extra = []
    if draw.random() < hostility.dials_all:
        extra = [(name, other) for other in layout.names if other not in {name, *layout.neighbours()[name]}]
    network = scenario.network
    shapes = {
        pair: LinkShape(
            draw.uniform(*bounds(network.latency_ms)) / 1e3, draw.uniform(*bounds(network.mib_per_s)) * 2**20
        )
        for pair in extra
    }
    without_relay = layout.without_relay if may_relay else (*layout.without_relay, name)
    layout = msgspec.structs.replace(layout, links=(*layout.links, *extra), without_relay=without_relay)
    acts = draw_acts(draw, draw.randint(*map(round, bounds(hostility.acts))), scenario.duration_s)
    plot = Plot(name, may_relay, _draw_temper(draw), tuple(acts))
    return plot, msgspec.structs.replace(
        script,
        map=layout,
        shapes={**script.shapes, **shapes},
        conversations=tuple(_to_a_service(planned, script) for planned in script.conversations),
    )


def _to_a_service(planned: Planned, script: Script) -> Planned:
    """The same conversation with a service that answers as its terms say."""
    if planned.key != ECHO_KEY:
        return planned
    places = [(key, name) for key, names in script.map.listeners.items() for name in names if key != ECHO_KEY]
    key, name = places[planned.terms.number % len(places)]
    return msgspec.structs.replace(planned, key=key, agent=name)


def _draw_temper(draw: random.Random) -> Temper:
    return draw.choice(
        [
            Temper(),
            Temper(drop=1.0),
            Temper(drop=0.2, repeat=0.2, damage=0.2, retype=0.1, mark=0.5),
            Temper(mark=1.0),
        ]
    )


@dataclass
class Typing:
    """Somebody who types, and what came of it."""

    agent: str
    start_s: float
    asked: Asked = field(default_factory=Asked)


class HostileStage(SimulatedStage):
    """A simulated stage with a hostile member and with people who type."""

    def __init__(self, mesh: MeshWorld, scenario: Scenario, script: Script, story: Story, plot: Plot) -> None:
        self.plot = plot
        draw = random.Random(f"{script.seed} hostile")  # noqa: S311
        self.loot = Loot()
        self.character = Character(draw, self.loot, plot.temper)
        self.typing: list[Typing] = []
        self.member: Any = None
        super().__init__(mesh, scenario, script, story)
        self._duration_s = scenario.duration_s

    def _rights(self, name: str) -> dict[str, Any]:
        if name != self.plot.name:
            return {}
        return {"may_register": ["other-*"], "may_relay": self.plot.may_relay}

    def _used_by(self, name: str) -> list[str]:
        # Whatever there is: its certificate says so.
        return self._keys if name == self.plot.name else super()._used_by(name)

    def _serve(self, key: str, host: str) -> None:
        if key == ECHO_KEY:
            Echo.start(self.mesh.world.dispatcher(host), SERVICE_PORT)
        else:
            super()._serve(key, host)

    def play(self) -> None:
        """Let the clients come, and the member begin."""
        super().play()
        mesh, plot = self.mesh, self.plot
        others = [name for name in self.script.map.names if name != plot.name]
        draw = random.Random(f"{self.script.seed} acts")  # noqa: S311
        identity = mesh.plans[plot.name].setup.identity
        inventor = Inventor(draw, identity, [mesh.id_of(name) for name in others], self.loot)
        for act in plot.acts:
            self.story.note(act.name, f"{plot.name}, {act.start_s:.2f} s to {act.stop_s:.2f} s from now")
        HostileMember.start(
            mesh.world.dispatcher(plot.name),
            mesh=mesh,
            name=plot.name,
            inventor=inventor,
            draw=draw,
            acts=plot.acts,
            others=others,
        )
        for agent in self.script.map.listeners[ECHO_KEY]:
            self._type(agent, 0.0, self._duration_s)
            for n in range(int(self._duration_s / TYPIST_EACH_S)):
                self._type(agent, n * TYPIST_EACH_S, TYPES_FOR_S)

    def _type(self, agent: str, start_s: float, lasts_s: float) -> None:
        world = self.mesh.world
        start_s += world.now()
        typing = Typing(agent, start_s)
        self.typing.append(typing)
        world.at(
            start_s,
            lambda: Typist.start(
                world.dispatcher(f"typist.{agent}"),
                address=TcpAddress(agent, self._port(ECHO_KEY)),
                think_s=THINK_S,
                goes_on=lambda: world.now() < start_s + lasts_s,
                asked=typing.asked,
            ),
        )
