"""Scenarios: what a file under ``config/scenarios/`` may say, and what is said where it is wrong."""

import enum
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec
import yaml

from mesh.connection.key_terms import KEY_AGE_S, KEY_BYTE_COUNT
from mesh.connection.pair_sessions import EXIT_GRACE_S, PAIR_AGE_S, PAIR_CONNECTIONS

Range: TypeAlias = float | tuple[float, float]
"""A number, or the two numbers between which one is drawn."""

Placement: TypeAlias = int | list[str]
"""Agents by name, or how many are to be drawn."""

Shape: TypeAlias = Literal["chain", "diamond", "ring", "star_of_stars", "random", "ha_pair"]

LEAST_AGENTS: Final[dict[str, int]] = {
    "chain": 2,
    "diamond": 3,
    "ring": 3,
    "star_of_stars": 3,
    "random": 2,
    "ha_pair": 4,
}
MAX_AGENTS: Final = 5_000


class ScenarioError(ValueError):
    """A scenario's file cannot be used; the text is one line for people."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a scenario; a key that it does not know is an error."""


class FaultKind(enum.StrEnum):
    """What may befall a mesh."""

    CRASH = "crash"
    """An agent's process is killed, and another started after a while."""
    LEAVE = "leave"
    """An agent is told to stop (SIGTERM), and another started after a while."""
    PAUSE = "pause"
    """An agent's process does nothing for a while (SIGSTOP)."""
    CUT = "cut"
    """A link silently loses everything for a while."""
    ONE_WAY = "one_way"
    """A link silently loses everything in one direction for a while."""
    RESET = "reset"
    """All connections over a link break, and new ones are refused for a while."""
    PARTITION = "partition"
    """All links between two halves of the mesh, drawn, are cut for a while."""
    FLAP = "flap"
    """A link breaks and comes back ten times a second for a while."""
    SLOW = "slow"
    """A link's bandwidth falls to a twentieth for a while."""
    CLOCK = "clock"
    """An agent's process is killed, and another started after a while whose clock is 15 minutes behind."""
    TARGET = "target"
    """A service dies, and comes back after a while."""
    ADD_ENDPOINT = "add_endpoint"
    """An agent is configured to offer one more key, and after a while no more; likewise with those below."""
    ADD_LISTENER = "add_listener"
    """It has another listener for a key."""
    ADD_ACCEPTOR = "add_acceptor"
    """It takes peers at another port."""
    ADD_PEER = "add_peer"
    """It dials another agent."""
    RETARGET = "retarget"
    """An endpoint leads to another service."""
    TUNE = "tune"
    """Limits and times are others."""
    CHECK_HEALTH = "check_health"
    """An endpoint looks whether its service is there."""
    TAKE_OUT = "take_out"
    """An endpoint of a key that another agent offers, too, is gone."""


CHANGES: Final = frozenset(
    {
        FaultKind.ADD_ENDPOINT,
        FaultKind.ADD_LISTENER,
        FaultKind.ADD_ACCEPTOR,
        FaultKind.ADD_PEER,
        FaultKind.RETARGET,
        FaultKind.TUNE,
        FaultKind.CHECK_HEALTH,
        FaultKind.TAKE_OUT,
    }
)
"""Faults that are none: changes of a running agent's configuration, which nobody else may notice."""

AGENT_FAULTS: Final = frozenset({FaultKind.CRASH, FaultKind.LEAVE, FaultKind.PAUSE, FaultKind.CLOCK})


class Topology(Part):
    """Who dials whom."""

    shape: Shape
    agents: int
    """How many, unless ``--agents`` says otherwise."""
    links_per_agent: int = 3
    """For a random graph."""
    without_relay: Placement = 0
    """Agents that pass nothing on (``relay: false``)."""


class HealthCheck(Part):
    """How endpoints see whether their service is there, as in their configuration; drawn for each."""

    interval_s: Range = 5.0
    timeout_s: Range = 2.0
    unhealthy_after: Range = 3
    healthy_after: Range = 2


class ServiceSpec(Part):
    """A routing key: where it is offered and where it is used."""

    key: str
    endpoints: Placement
    listeners: Placement
    max_connections: Range = 0
    """Of each endpoint, drawn for each; 0 is unlimited."""
    health_check: HealthCheck | None = None


class Network(Part):
    """What lies between two agents, drawn for each link."""

    latency_ms: Range = (0.2, 10.0)
    """One way."""
    mib_per_s: Range = (4.0, 40.0)


class Settings(Part):
    """Of every agent, as in its configuration."""

    timeout_s: float = 3.0
    open_timeout_s: float = 10.0
    reroute_timeout_s: float = 30.0
    drain_timeout_s: float = 5.0
    relay_mib: float = 64.0
    stream_mib: float = 256.0
    session_key_s: float = KEY_AGE_S
    session_key_kib: float = KEY_BYTE_COUNT / 1024
    """How long the keys of a connection serve, and for how much."""
    pair_s: float = PAIR_AGE_S
    pair_connections: int = PAIR_CONNECTIONS
    """How long a pair session serves, and for how many connections."""
    pair_grace_s: float = EXIT_GRACE_S
    """How much longer exits have it; if less than 0, they have forgotten it before."""


class Traffic(Part):
    """Conversations between clients and services."""

    connections: Range = (6, 12)
    kib: Range = (0.0, 128.0)
    """In each direction; large ones are rare."""
    during_s: tuple[float, float] = (0.0, 10.0)
    """When clients come, in seconds after the mesh has converged."""
    paced: float = 0.5
    """Share of clients that send bit by bit, so that connections are open when something happens."""
    impatient: float = 0.05
    """Share of clients that reset in the midst."""


class FaultGroup(Part):
    """Faults of the same nature."""

    kinds: list[FaultKind]
    count: Range = 1
    at_s: tuple[float, float] = (0.5, 10.0)
    """When they begin."""
    lasts_s: Range = (0.1, 5.0)
    agents: list[str] = []
    """Whom they may befall; all agents where it is empty."""
    links: list[tuple[str, str]] = []
    """Likewise for links."""
    apart_s: float | None = None
    """One after another, with so long between the end of one and the start of the next."""
    in_turn: bool = False
    """Each agent of ``agents`` once, in order, instead of ``count`` that are drawn."""


class Hostility(Part):
    """One member that does whatever its wire allows; drawn among agents without services."""

    acts: Range = (2, 5)
    """How many things it does, each for a while."""
    may_relay: float = 0.4
    """The chance that its certificate lets it carry others' connections."""
    dials_all: float = 0.3
    """The chance that it keeps a link to every agent."""


class Policies(Part):
    """Who may do what changes all the time: see ``scripts/simulation/policies/``."""

    rounds: int = 3
    """After each of so many parts of ``duration_s`` everything is mended, and what is allowed is tried."""
    acts: Range = (15, 40)
    """How many things operators do, beside a rotation."""
    rotation: float = 0.6
    """The chance that another authority takes the place of the first."""
    careless: float = 0.3
    """The chance that a rotation is made in no order."""


class Expectation(enum.StrEnum):
    """What must come of the conversations of clients that do not leave."""

    WHOLE = "whole"
    """Every byte once and in order, or a reset."""
    SERVED = "served"
    """Each reached a service; those that were under way when it failed may be reset."""
    OPENED = "opened"
    """Those that had reached their service complete."""
    COMPLETE = "complete"
    """All complete."""


class Scenario(Part):
    """One file."""

    title: str
    topology: Topology
    services: list[ServiceSpec]
    network: Network = Network()
    settings: Settings = Settings()
    traffic: Traffic = Traffic()
    faults: list[FaultGroup] = []
    duration_s: float = 12.0
    """From convergence until everything is mended."""
    expect: Expectation = Expectation.WHOLE
    hostile: Hostility | None = None
    policies: Policies | None = None


def bounds(value: Range) -> tuple[float, float]:
    """The least and the most of a range."""
    return value if isinstance(value, tuple) else (value, value)


def load_scenario(path: Path, *, agents: int | None = None) -> Scenario:
    """Read a scenario.

    Args:
        path: of the file.
        agents: how many instead of what the file says.

    Raises:
        ScenarioError: it cannot be read, or says what is not possible; the text names file and key.
    """
    try:
        document: Any = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        scenario = msgspec.convert(document, Scenario)
        if agents is not None:
            topology = msgspec.structs.replace(scenario.topology, agents=agents)
            scenario = msgspec.structs.replace(scenario, topology=topology)
        _judge(scenario)
    except msgspec.ValidationError as error:
        text = str(error).replace(" - at `$.", ", at `")
        raise ScenarioError(f"{path}: {text}") from None
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None
    return scenario


def _judge(scenario: Scenario) -> None:
    topology = scenario.topology
    least = LEAST_AGENTS[topology.shape]
    if not least <= topology.agents <= MAX_AGENTS:
        raise ScenarioError(
            f"a {topology.shape} has {least} to {MAX_AGENTS} agents, found {topology.agents}, "
            "at `topology.agents`"
        )
    if not scenario.services:
        raise ScenarioError("expected at least one service, at `services`")
    if len({service.key for service in scenario.services}) != len(scenario.services):
        raise ScenarioError("a key stands there twice, at `services`")
    if not topology.links_per_agent > 0:
        raise ScenarioError("expected at least 1, at `topology.links_per_agent`")
    ranges = {
        "network.latency_ms": scenario.network.latency_ms,
        "network.mib_per_s": scenario.network.mib_per_s,
        "traffic.connections": scenario.traffic.connections,
        "traffic.kib": scenario.traffic.kib,
        "traffic.during_s": scenario.traffic.during_s,
    }
    if scenario.hostile is not None:
        ranges["hostile.acts"] = scenario.hostile.acts
    if scenario.policies is not None:
        ranges["policies.acts"] = scenario.policies.acts
        if scenario.policies.rounds < 1:
            raise ScenarioError("expected at least 1, at `policies.rounds`")
    for number, service in enumerate(scenario.services):
        name = f"services[{number}]"
        ranges[f"{name}.max_connections"] = service.max_connections
        if service.health_check is not None:
            ranges |= _judged(service.health_check, f"{name}.health_check")
        listeners = service.listeners if isinstance(service.listeners, int) else len(service.listeners)
        if service.max_connections != 0 and bounds(service.max_connections)[0] < listeners:
            raise ScenarioError(
                f"expected at least {listeners}, for as many listeners are tried, at `{name}.max_connections`"
            )
    for number, group in enumerate(scenario.faults):
        name = f"faults[{number}]"
        ranges |= {f"{name}.{key}": getattr(group, key) for key in ("count", "at_s", "lasts_s")}
        if not group.kinds:
            raise ScenarioError(f"expected at least one kind of fault, at `{name}.kinds`")
        if group.in_turn and not (group.agents and AGENT_FAULTS.issuperset(group.kinds)):
            raise ScenarioError(f"only named agents fail in turn, at `{name}.in_turn`")
        if group.at_s[1] > scenario.duration_s:
            raise ScenarioError(f"later than `duration_s`, {scenario.duration_s:g}, at `{name}.at_s`")
    for key, value in ranges.items():
        low, high = bounds(value)
        if not 0 <= low <= high:
            raise ScenarioError(f"expected 0 <= least <= most, found [{low:g}, {high:g}], at `{key}`")
    if bounds(scenario.network.mib_per_s)[0] <= 0:
        raise ScenarioError("expected more than 0, at `network.mib_per_s`")


def _judged(check: HealthCheck, name: str) -> dict[str, Range]:
    ranges: dict[str, Range] = {f"{name}.{key}": getattr(check, key) for key in check.__struct_fields__}
    for key, value in ranges.items():
        least = 1 if key.endswith("_after") else 0.1
        if bounds(value)[0] < least:
            raise ScenarioError(f"expected at least {least:g}, at `{key}`")
    return ranges
