"""Changes of a running agent's configuration, each of which can be taken back whatever else has changed."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from mesh.addresses import TcpAddress
from mesh.config.schema import (
    AcceptSection,
    Config,
    EndpointSection,
    HealthCheckSection,
    ListenerSection,
    PeerSection,
)
from scripts.simulation.scenario import FaultKind, ScenarioError
from scripts.simulation.topology import Map

FIRST_PORT: Final = 10_000
"""Of listeners and acceptors that are added; a change's number is added to it."""

NOBODY_PORT: Final = 9
"""Where no service is."""

MIB: Final = 1 << 20


class Change(msgspec.Struct, frozen=True, order=True):
    """What is different for a while."""

    number: int
    """No two changes of a run have the same."""
    kind: FaultKind
    key: str
    """Which of the services it is about, where it is about one."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a change may lead to."""

    agents: Sequence[str]
    """Agents that can be dialed, as hosts."""
    peer_port: int
    other_target: Callable[[str], TcpAddress]
    """By key: the service that an endpoint leads to once it leads to another."""


def draw_change(
    kind: FaultKind, mesh: Map, among: Sequence[str], draw: random.Random, number: int
) -> tuple[str, Change]:
    """An agent, one ``among`` these if there are any, and a change of it.

    Raises:
        ScenarioError: no agent can have such a change.
    """
    if kind in (FaultKind.RETARGET, FaultKind.TUNE, FaultKind.CHECK_HEALTH):
        places = [(name, key) for key, names in mesh.endpoints.items() for name in names]
    elif kind is FaultKind.TAKE_OUT:
        places = [(name, key) for key, names in mesh.endpoints.items() if len(names) > 1 for name in names]
    else:
        places = [(name, key) for key in mesh.endpoints for name in mesh.names]
    places = [place for place in places if not among or place[0] in among]
    if not places:
        raise ScenarioError(f"no agent of this scenario can have a change of kind {kind.value}")
    name, key = draw.choice(places)
    return name, Change(number, kind, key)


def changed(config: Config, changes: Iterable[Change], around: Surroundings) -> Config:
    """``config`` with all ``changes``, in the order of their numbers."""
    for change in sorted(changes):
        config = _changed(config, change, around)
    return config


def _changed(config: Config, change: Change, around: Surroundings) -> Config:
    forward, added_port = config.forward, FIRST_PORT + change.number
    match change.kind:
        case FaultKind.ADD_ENDPOINT:
            target = TcpAddress("localhost", NOBODY_PORT)
            endpoint = EndpointSection(key=f"extra-{change.number}", target=target)
            return _with_endpoints(config, (*forward.endpoints, endpoint))
        case FaultKind.ADD_LISTENER:
            listener = ListenerSection(key=change.key, address=TcpAddress("", added_port))
            forward = replace(forward, listeners=(*forward.listeners, listener))
            return replace(config, forward=forward)
        case FaultKind.ADD_ACCEPTOR:
            return replace(config, accept=(*config.accept, AcceptSection(address=TcpAddress("", added_port))))
        case FaultKind.ADD_PEER:
            agent = around.agents[change.number % len(around.agents)]
            address = TcpAddress(agent, around.peer_port)
            if any(peer.address == address for peer in config.peers):
                return config
            return replace(config, peers=(*config.peers, PeerSection(address=address)))
        case FaultKind.RETARGET:
            return _each_endpoint(config, change.key, target=around.other_target(change.key))
        case FaultKind.TUNE:
            config = _each_endpoint(config, change.key, max_connections=1_000 + change.number)
            timeout_s = config.connections.reroute_timeout_s + 1 + change.number % 10
            byte_count = config.limits.stream_buffer_bytes + change.number * MIB
            return replace(
                config,
                connections=replace(config.connections, reroute_timeout_s=timeout_s),
                limits=replace(config.limits, stream_buffer_bytes=byte_count),
            )
        case FaultKind.CHECK_HEALTH:
            return _each_endpoint(config, change.key, health_check=HealthCheckSection(interval_s=0.5))
        case FaultKind.TAKE_OUT:
            left = tuple(section for section in forward.endpoints if section.key != change.key)
            return _with_endpoints(config, left)
        case _:
            raise ValueError(f"no change: {change.kind}")


def _each_endpoint(config: Config, key: str, **values: object) -> Config:
    sections = tuple(
        replace(section, **values) if section.key == key else section for section in config.forward.endpoints
    )
    return _with_endpoints(config, sections)


def _with_endpoints(config: Config, sections: tuple[EndpointSection, ...]) -> Config:
    return replace(config, forward=replace(config.forward, endpoints=sections))
