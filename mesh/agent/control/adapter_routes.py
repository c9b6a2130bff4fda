"""What existing dashboards of this kind ask for, in the shapes that they know: thin, over what v1 has.

They compare agents by the first eight digits of their IDs.
"""

import platform
import socket
import sys
import time
from collections.abc import Iterable
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Final, Literal

import falcon
import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.machine_paths import forbid_paths
from mesh.agent.control.problem import ProblemDocument, ProblemError
from mesh.agent.control.requests import AGENT_FORWARDS, FORWARDS, NODES, READVERTISE, TOPOLOGY
from mesh.agent.control.route import ALWAYS, Call, Method, Nothing, Route
from mesh.agent.dashboard.status import DashboardSnapshot, MemberView
from mesh.agent.layers import Desired
from mesh.agent.origin import Origin
from mesh.agent.saved_services import read_service
from mesh.agent.software import VERSION
from mesh.config import ConfigError
from mesh.config.schema import ListenerSection
from mesh.remote.wire import MAX_ASKER_CHARACTERS, Answered, Asked
from mesh.rtt_steps import RTT_UNIT_S
from mesh.trust.identity import AgentId, display_id, short_id

MAX_AGENTS: Final = 1_000
"""That a map shows."""

MAX_SERVICES: Final = 64
"""Of an agent."""

CANNOT_BE: Final = frozenset({HTTPStatus.CONFLICT})

AT_ANOTHER: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.BAD_GATEWAY})

_STARTED_AT: Final = time.monotonic()


class ForwardListener(msgspec.Struct, frozen=True):
    """A port for a key."""

    key: str
    address: str


class ForwardEndpoint(msgspec.Struct, frozen=True):
    """A service near an agent."""

    key: str
    target: str | None


class TopologyAgent(msgspec.Struct, frozen=True):
    """An agent as a map shows it; what only it knows of itself is empty for others."""

    id: str
    short_id: str
    display_name: str
    is_local: bool
    is_connected: bool
    """Whether it is within reach."""
    hostname: str
    os: str
    arch: str
    version: str
    uptime_hours: float
    ip_addresses: tuple[str, ...]
    roles: tuple[str, ...]
    """``ingress``, ``transit`` and ``exit``."""
    forward_listeners: tuple[ForwardListener, ...]
    forward_endpoints: tuple[ForwardEndpoint, ...]


class TopologyConnection(msgspec.Struct, frozen=True):
    """A link between two agents, by their short IDs."""

    from_agent: str
    to_agent: str
    is_direct: bool
    """Whether this agent is one of the two."""
    rtt_ms: float | None
    transport: str


class Topology(msgspec.Struct, frozen=True):
    """A map of the mesh."""

    local_agent: TopologyAgent
    agents: tuple[TopologyAgent, ...]
    connections: tuple[TopologyConnection, ...]


class Nodes(msgspec.Struct, frozen=True):
    """The agents of the mesh."""

    nodes: tuple[TopologyAgent, ...]


class Told(msgspec.Struct, frozen=True):
    """What has been done."""

    status: str
    message: str


class ForwardWish(msgspec.Struct, frozen=True):
    """What is to be done with this agent's listeners."""

    action: Literal["add", "remove", "list"]
    key: str = ""
    address: str = ""
    max_connections: Annotated[int, msgspec.Meta(ge=0)] = 0


class ManagedListener(msgspec.Struct, frozen=True):
    """A listener of this agent."""

    key: str
    address: str
    max_connections: int
    dynamic: bool
    """Whether it is beside the configuration file, and may be removed here."""


class ForwardDone(msgspec.Struct, frozen=True):
    """What has been done, and what there is now."""

    status: str
    message: str
    listeners: tuple[ManagedListener, ...]


class AgentPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which agent is meant."""

    id: str
    """Whole, or its first eight digits."""


def adapter_routes(behind: Behind) -> tuple[Route, ...]:
    """What such dashboards ask for."""

    def topology(_: Call[Nothing, Nothing]) -> Topology:
        """Show agents and links as a map, for existing dashboards."""
        snapshot = behind.status().value
        agents = tuple(_agent(snapshot, each) for each in _members(snapshot))
        (local,) = (each for each in agents if each.is_local)
        return Topology(local, agents, tuple(_connections(snapshot)))

    def nodes(_: Call[Nothing, Nothing]) -> Nodes:
        """List agents, for existing dashboards."""
        snapshot = behind.status().value
        return Nodes(tuple(_agent(snapshot, each) for each in _members(snapshot)))

    def readvertise(_: Call[Nothing, Nothing]) -> Told:
        """Tell the mesh of this agent's services, for existing dashboards.

        Changes are told at once anyway.
        """
        behind.steering.advertise()
        return Told("ok", "the mesh is told of what has changed")

    def manage(call: Call[Nothing, ForwardWish]) -> ForwardDone:
        """Add, remove or list this agent's listeners, for existing dashboards."""
        return _managed(behind, call.body, call.caller)

    def manage_at(call: Call[AgentPlace, ForwardWish]) -> ForwardDone:
        """Do the same at an agent, which this one may manage if it is another."""
        own, meant = behind.status().value.agent_id, call.parameters.id.lower()
        if meant in (display_id(own), short_id(own)):
            return _managed(behind, call.body, call.caller)
        wish, asker = msgspec.json.encode(call.body), call.caller[:MAX_ASKER_CHARACTERS]
        asked = Asked("POST", FORWARDS, falcon.MEDIA_JSON, asker=asker, body=wish)
        answered = behind.calling.call(call.parameters.id, asked)
        if answered.status != HTTPStatus.OK:
            raise _problem_in(answered)
        try:
            return msgspec.json.decode(answered.body, type=ForwardDone)
        except (msgspec.DecodeError, UnicodeDecodeError):
            why = "the agent answers what this version does not understand"
            raise ProblemError(HTTPStatus.BAD_GATEWAY, why) from None

    return (
        Route(Method.GET, TOPOLOGY, topology, stamp=behind.stamp),
        Route(Method.GET, NODES, nodes, stamp=behind.stamp),
        Route(Method.POST, READVERTISE, readvertise, changes=True),
        Route(Method.POST, FORWARDS, manage, problems=CANNOT_BE, changes=True),
        Route(Method.POST, AGENT_FORWARDS, manage_at, problems=AT_ANOTHER, changes=True),
    )


def _problem_in(answered: Answered) -> ProblemError:
    """What another agent says is wrong, all of it, with its status if this route has that, too."""
    is_known = answered.status in (*AT_ANOTHER, *ALWAYS)
    status = HTTPStatus(answered.status) if is_known else HTTPStatus.BAD_GATEWAY
    try:
        said = msgspec.json.decode(answered.body, type=ProblemDocument)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ProblemError(status, f"the agent answers with status {answered.status}")
    return ProblemError(status, said.detail, place=said.place, problems=said.problems)


def _managed(behind: Behind, wish: ForwardWish, caller: str) -> ForwardDone:
    steering = behind.steering
    message = ""
    match wish.action:
        case "add":
            entry: dict[str, str | int] = {"key": wish.key, "address": wish.address}
            if wish.max_connections:
                entry["max_connections"] = wish.max_connections
            try:
                service = read_service("listeners", entry)
            except ConfigError as error:
                told = "; ".join(f"{each.path}: expected {each.expected}" for each in error.problems)
                raise ProblemError(HTTPStatus.BAD_REQUEST, told, place="body") from None
            forbid_paths((service,), caller, "body.address")
            added = steering.save(service)
            message = f"{added.name} has been added"
        case "remove":
            steering.remove("listeners", wish.key, wish.address or None)
            message = f"listeners of {wish.key} have been removed"
        case "list":
            pass
    return ForwardDone("ok", message, tuple(_listeners(steering.desired())))


def _listeners(desired: Desired) -> Iterable[ManagedListener]:
    for placed in desired.services:
        if isinstance(section := placed.service, ListenerSection):
            is_dynamic = placed.origin is not Origin.FILE
            yield ManagedListener(section.key, str(section.address), section.max_connections, is_dynamic)


def _members(snapshot: DashboardSnapshot) -> Iterable[MemberView]:
    """This agent and others, as many as are shown."""
    records, own_id = snapshot.routes.records, snapshot.agent_id
    yield records[own_id]
    yield from islice((each for each in records.values() if each.agent_id != own_id), MAX_AGENTS - 1)


def _agent(snapshot: DashboardSnapshot, member: MemberView) -> TopologyAgent:
    is_local = member.agent_id == snapshot.agent_id
    targets = snapshot.own_targets if is_local else {}
    listeners = tuple(
        ForwardListener(each.key, each.address) for each in islice(member.listeners, MAX_SERVICES)
    )
    endpoints = tuple(
        ForwardEndpoint(each.key, targets.get(each.key, each.target))
        for each in islice(member.endpoints, MAX_SERVICES)
    )
    roles = ("ingress", listeners), ("transit", member.carries_transit), ("exit", endpoints)
    return TopologyAgent(
        id=display_id(member.agent_id),
        short_id=short_id(member.agent_id),
        display_name=member.name,
        is_local=is_local,
        is_connected=member.agent_id in snapshot.routes.hop_counts,
        hostname=socket.gethostname() if is_local else "",
        os=sys.platform if is_local else "",
        arch=platform.machine() if is_local else "",
        version=VERSION if is_local else "",
        uptime_hours=round((time.monotonic() - _STARTED_AT) / 3600, 3) if is_local else 0.0,
        ip_addresses=(),
        roles=tuple(name for name, has in roles if has),
        forward_listeners=listeners,
        forward_endpoints=endpoints,
    )


def _connections(snapshot: DashboardSnapshot) -> Iterable[TopologyConnection]:
    records, own_id = snapshot.routes.records, snapshot.agent_id
    shown = {each.agent_id for each in _members(snapshot)}
    measured: dict[AgentId | None, float | None] = {each.agent_id: each.rtt_ms for each in snapshot.peers}
    for agent_id in shown:
        for peer, step in records[agent_id].round_trips.items():
            if peer not in shown or agent_id not in records[peer].round_trips:
                continue
            is_direct = own_id in (agent_id, peer)
            if (is_direct and agent_id == own_id) or (not is_direct and agent_id < peer):
                at_most_ms = RTT_UNIT_S * 2**step * 1000
                yield TopologyConnection(
                    from_agent=short_id(agent_id),
                    to_agent=short_id(peer),
                    is_direct=is_direct,
                    rtt_ms=measured.get(peer, at_most_ms) if is_direct else at_most_ms,
                    transport="tcp",
                )
