"""What befalls a mesh, and who talks through it: all drawn from one seed before anything starts.

The same script is played in a simulated world and on loopback.
"""

import functools
import random
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from mesh.config.schema import HealthCheckSection
from scripts.simulation.changes import Change, draw_change
from scripts.simulation.conversation import Manner, Pace, Terms
from scripts.simulation.scenario import (
    AGENT_FAULTS,
    CHANGES,
    FaultGroup,
    FaultKind,
    Range,
    Scenario,
    ServiceSpec,
    Traffic,
    bounds,
)
from scripts.simulation.topology import Map, Pair, draw_map

FLAP_S: Final = 0.05
"""A flapping link is up for so long and down for so long: ten times a second."""

SLOW_SHARE: Final = 0.05
"""Of a slow link's bandwidth, what is left."""

HUGE_CHANCE: Final = 0.1
"""Of a conversation to be as large as the scenario permits; others are an eighth of that at most."""


PROBES: Final = 20
"""Most listeners that are tried at the end of a run."""

LAST_WORDS_NUMBER: Final = 2_000_000
LAST_WORDS_BYTES: Final = 30_000
"""What a socket that resets at once has sent by then: its buffer takes as much."""

PROBE_NUMBER: Final = 1_000_000
"""Conversations from this number on are probes."""


CLOCK_SKEW_S: Final = -900.0
"""Of a late clock: behind everything that the agent has said before, within what certificates tolerate."""


class LinkShape(msgspec.Struct, frozen=True):
    """What lies between two agents."""

    latency_s: float
    bytes_per_s: float


class EndpointShape(msgspec.Struct, frozen=True):
    """How an endpoint is configured."""

    max_connections: int = 0
    health_check: HealthCheckSection | None = None

    def decided_within_s(self, checks: int) -> float:
        """Seconds from a change at the target until so many checks have seen it."""
        check = self.health_check
        return 0.0 if check is None else checks * check.interval_s + check.timeout_s

    @property
    def offered_within_s(self) -> float:
        """Seconds from the start of a target that was down until its key is offered."""
        return 0.0 if self.health_check is None else self.decided_within_s(self.health_check.healthy_after)

    @property
    def withdrawn_within_s(self) -> float:
        """Seconds from the end of a target until its key is withdrawn."""
        return 0.0 if self.health_check is None else self.decided_within_s(self.health_check.unhealthy_after)


class Action(msgspec.Struct, frozen=True):
    """Something that the simulator does to the mesh."""

    at_s: float
    """Seconds after the mesh has converged."""
    do: str
    """The method of :class:`Stage` to call; of a fault that is simulated only, of the simulated one."""
    subject: tuple[str, ...]
    """Its first arguments: an agent, or two that share a link."""
    change: Change | None = None
    """Its last one, if it changes a configuration."""


class Planned(msgspec.Struct, frozen=True):
    """A conversation to come."""

    at_s: float
    agent: str
    """Whose listener the client connects to."""
    key: str
    terms: Terms
    pace: Pace


class Script(msgspec.Struct, frozen=True):
    """Everything that was drawn for one run."""

    seed: int
    map: Map
    shapes: dict[Pair, LinkShape]
    actions: tuple[Action, ...]
    """In the order of their times."""
    conversations: tuple[Planned, ...]
    faults: int
    """How many faults the actions make up."""
    endpoints: dict[tuple[str, str], EndpointShape]
    """By routing key and agent."""

    @property
    def has_limits(self) -> bool:
        """Whether any endpoint takes so many connections only."""
        return any(shape.max_connections for shape in self.endpoints.values())


class Stage(Protocol):
    """Where a script is played; whatever makes no sense by then (a second crash) is no error."""

    def crash(self, name: str) -> None:
        """Kill an agent's process."""
        ...

    def start(self, name: str) -> None:
        """Start an agent's process; one that is still leaving is killed first."""
        ...

    def start_with_late_clock(self, name: str) -> None:
        """Start an agent's process with a clock that is behind, where the stage can."""
        ...

    def leave(self, name: str) -> None:
        """Tell an agent to stop."""
        ...

    def pause(self, name: str) -> None:
        """Stop an agent's process from doing anything."""
        ...

    def resume(self, name: str) -> None:
        """Let it go on."""
        ...

    def cut(self, one: str, other: str) -> None:
        """Lose everything between two agents."""
        ...

    def cut_one_way(self, one: str, other: str) -> None:
        """Lose everything from one agent to another."""
        ...

    def cut_with_reset(self, one: str, other: str) -> None:
        """Break all connections between two agents and refuse new ones."""
        ...

    def heal(self, one: str, other: str) -> None:
        """Undo every cut between two agents."""
        ...

    def slow_down(self, one: str, other: str) -> None:
        """Leave little of a link's bandwidth."""
        ...

    def speed_up(self, one: str, other: str) -> None:
        """Give it back."""
        ...

    def kill_target(self, name: str) -> None:
        """Kill the service near an agent."""
        ...

    def start_target(self, name: str) -> None:
        """Start it again."""
        ...


def draw_script(scenario: Scenario, seed: int) -> Script:
    """Draw everything of one run.

    Raises:
        ScenarioError: the scenario names what its shape does not have.
    """
    # Streams of their own: one more client must not move all faults.
    mesh = draw_map(scenario, random.Random(f"{seed} map"))  # noqa: S311 -- to be repeated, not secret
    draw = random.Random(f"{seed} network")  # noqa: S311
    network = scenario.network
    shapes = {
        pair: LinkShape(_pick(network.latency_ms, draw) / 1e3, _pick(network.mib_per_s, draw) * 2**20)
        for pair in mesh.links
    }
    actions: list[Action] = []
    faults = 0
    for number, group in enumerate(scenario.faults):
        draw = random.Random(f"{seed} faults {number}")  # noqa: S311
        faults += _draw_group(group, mesh, scenario.duration_s, draw, actions)
    actions.sort(key=lambda action: action.at_s)
    draw = random.Random(f"{seed} traffic")  # noqa: S311
    conversations = tuple(_draw_traffic(scenario.traffic, mesh, draw))
    draw = random.Random(f"{seed} endpoints")  # noqa: S311
    endpoints = {
        (service.key, name): _draw_endpoint(service, draw)
        for service in scenario.services
        for name in mesh.endpoints[service.key]
    }
    return Script(seed, mesh, shapes, tuple(actions), conversations, faults, endpoints)


def draw_probes(script: Script) -> list[Planned]:
    """Small conversations for the end of a run, at every listener or at some."""
    layout = script.map
    reached = {name: layout.hops_from(name) for names in layout.listeners.values() for name in names}
    places = [
        (key, name)
        for key, names in layout.listeners.items()
        for name in names
        if any(exit_ in reached[name] for exit_ in layout.endpoints[key])
    ]
    draw = random.Random(f"{script.seed} probes")  # noqa: S311
    chosen = places if len(places) <= PROBES else draw.sample(places, PROBES)
    return [
        Planned(0.0, name, key, Terms(PROBE_NUMBER + n, 100, 1000), Pace())
        for n, (key, name) in enumerate(chosen)
    ]


def draw_last_words(script: Script) -> list[Planned]:
    """Like the probes, of services and clients that speak and reset at once."""
    planned = []
    for n, probe in enumerate(draw_probes(script)):
        draw = random.Random(f"{script.seed} last words {n}")  # noqa: S311
        size, number = draw.randint(1, LAST_WORDS_BYTES), LAST_WORDS_NUMBER + 2 * n
        service = Terms(number, down=size, manner=Manner.LAST_WORDS)
        client = Terms(number + 1, up=size, down=1)
        planned.append(Planned(0.0, probe.agent, probe.key, service, Pace()))
        planned.append(Planned(0.0, probe.agent, probe.key, client, Pace(last_words=True, finishes=False)))
    return planned


def perform(action: Action, stage: Stage) -> None:
    """Do it."""
    change = () if action.change is None else (action.change,)
    getattr(stage, action.do)(*action.subject, *change)


def mend(script: Script, stage: Stage) -> None:
    """Undo all that may still be wrong."""
    for name in script.map.names:
        stage.resume(name)
    for pair in script.map.links:
        stage.heal(*pair)
        stage.speed_up(*pair)


def _pick(value: Range, draw: random.Random) -> float:
    return draw.uniform(*bounds(value))


def _count(value: Range, draw: random.Random) -> int:
    low, high = bounds(value)
    return draw.randint(round(low), round(high))


def _draw_endpoint(service: ServiceSpec, draw: random.Random) -> EndpointShape:
    check = service.health_check
    return EndpointShape(
        max_connections=_count(service.max_connections, draw),
        health_check=HealthCheckSection(
            interval_s=_pick(check.interval_s, draw),
            timeout_s=_pick(check.timeout_s, draw),
            unhealthy_after=_count(check.unhealthy_after, draw),
            healthy_after=_count(check.healthy_after, draw),
        )
        if check is not None
        else None,
    )


def _draw_group(
    group: FaultGroup, mesh: Map, end_s: float, draw: random.Random, actions: list[Action]
) -> int:
    agents = group.agents if group.in_turn else [None] * _count(group.count, draw)
    free_at = group.at_s[0]
    for agent in agents:
        lasts_s = _pick(group.lasts_s, draw)
        if group.apart_s is None:
            start_s = _pick(group.at_s, draw)
        else:
            start_s, free_at = free_at, free_at + lasts_s + group.apart_s
        stop_s = min(start_s + lasts_s, end_s)
        if start_s < end_s:
            kind = draw.choice(group.kinds)
            number = len(actions)  # of nothing else in this run
            actions += _draw_fault(
                kind, group, mesh, draw, agent=agent, start_s=start_s, stop_s=stop_s, number=number
            )
    return len(agents)


def _draw_fault(
    kind: FaultKind,
    group: FaultGroup,
    mesh: Map,
    draw: random.Random,
    *,
    agent: str | None,
    start_s: float,
    stop_s: float,
    number: int,
) -> list[Action]:
    if kind in CHANGES:
        whom, change = draw_change(kind, mesh, group.agents, draw, number)
        return [
            Action(start_s, "configure", (whom,), change),
            Action(stop_s, "configure_back", (whom,), change),
        ]
    if kind in AGENT_FAULTS or kind is FaultKind.TARGET:
        whom = agent or draw.choice(group.agents or _victims(kind, mesh))
        begin, end = _AGENT_ACTIONS[kind]
        return [Action(start_s, begin, (whom,)), Action(stop_s, end, (whom,))]
    if kind is FaultKind.PARTITION:
        half = set(draw.sample(mesh.names, draw.randint(1, len(mesh.names) - 1)))
        across = [pair for pair in mesh.links if (pair[0] in half) != (pair[1] in half)]
        cuts = [Action(start_s, "cut", pair) for pair in across]
        return [*cuts, *(Action(stop_s, "heal", pair) for pair in across)]
    pair = draw.choice(group.links or mesh.links)
    if draw.random() < 0.5:
        pair = (pair[1], pair[0])
    begin, end = _LINK_ACTIONS[kind]
    if kind is FaultKind.FLAP:
        starts = [start_s + 2 * FLAP_S * n for n in range(int((stop_s - start_s) / (2 * FLAP_S)) + 1)]
        ends = [at_s + FLAP_S for at_s in starts]
    else:
        starts, ends = [start_s], [stop_s]
    return [*(Action(at_s, begin, pair) for at_s in starts), *(Action(at_s, end, pair) for at_s in ends)]


def _victims(kind: FaultKind, mesh: Map) -> Sequence[str]:
    if kind is not FaultKind.TARGET:
        return mesh.names
    return sorted({name for names in mesh.endpoints.values() for name in names})


_AGENT_ACTIONS: Final = {
    FaultKind.CRASH: ("crash", "start"),
    FaultKind.LEAVE: ("leave", "start"),
    FaultKind.PAUSE: ("pause", "resume"),
    FaultKind.CLOCK: ("crash", "start_with_late_clock"),
    FaultKind.TARGET: ("kill_target", "start_target"),
}
_LINK_ACTIONS: Final = {
    FaultKind.CUT: ("cut", "heal"),
    FaultKind.ONE_WAY: ("cut_one_way", "heal"),
    FaultKind.RESET: ("cut_with_reset", "heal"),
    FaultKind.FLAP: ("cut_with_reset", "heal"),
    FaultKind.SLOW: ("slow_down", "speed_up"),
}


def _draw_traffic(traffic: Traffic, mesh: Map, draw: random.Random) -> list[Planned]:
    places = [(key, name) for key, names in mesh.listeners.items() for name in names]
    planned = []
    for number in range(_count(traffic.connections, draw)):
        key, name = draw.choice(places)
        size = functools.partial(_size, traffic.kib, draw)
        manner = draw.choice([Manner.AT_ONCE, Manner.AT_ONCE, Manner.AFTER_END, Manner.FINISH_FIRST])
        terms = Terms(number, size(), size(), manner)
        byte_count, pause_s = 0, 0.0
        if draw.random() < traffic.paced:
            pieces = draw.randint(2, 40)
            byte_count, pause_s = max(100, terms.up // pieces), draw.uniform(0.02, 0.5)
        leaves_at = draw.uniform(0.0, 5.0) if draw.random() < traffic.impatient else -1.0
        pace = Pace(byte_count=byte_count, pause_s=pause_s, leaves_at=leaves_at)
        planned.append(Planned(draw.uniform(*traffic.during_s), name, key, terms, pace))
    return planned


def _size(kib: Range, draw: random.Random) -> int:
    low, high = (round(bound * 1024) for bound in bounds(kib))
    kind = draw.random()
    if kind < HUGE_CHANCE:
        return draw.randint(low, high)
    if kind < 2 * HUGE_CHANCE:
        return low
    return draw.randint(low, low + (high - low) // 8)
