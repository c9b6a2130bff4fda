"""``GET /api/v1/endpoints``, ``listeners`` and ``peers``: what this agent has."""

import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.page_rows import Page, RevisedPage, Window, page_of, revised_page_of
from mesh.agent.control.requests import ENDPOINTS, LISTENERS, PEERS
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.dashboard.status import PeerStatus
from mesh.agent.layers import Desired, Origin
from mesh.config.schema import EndpointSection, ListenerSection
from mesh.trust.identity import display_id, short_id


class EndpointRow(msgspec.Struct, frozen=True):
    """An endpoint of this agent."""

    key: str
    target: str
    max_connections: int
    """At one time; 0 is any number."""
    allow: tuple[str, ...]
    """Agents that may use it; all if there is none."""
    origin: Origin
    problem: str | None
    """Why the key is not offered now; ``null`` if it is."""


class ListenerRow(msgspec.Struct, frozen=True):
    """A listener of this agent."""

    key: str
    address: str
    max_connections: int
    """At one time; 0 is any number."""
    agents: tuple[str, ...]
    """Agents that are believed to offer the key; all if there is none."""
    origin: Origin
    problem: str | None
    """Why it has no port, or which agents are not believed; ``null`` if nothing is wrong."""


class PeerRow(msgspec.Struct, frozen=True):
    """A peer of this agent, or an address that it dials."""

    id: str | None
    short_id: str | None
    name: str
    state: str
    rtt_ms: float | None
    is_dialer: bool
    """Whether this agent dialed the other."""
    address: str
    problem: str | None


def own_routes(behind: Behind) -> tuple[Route, ...]:
    """What tells of this agent."""

    def endpoints(call: Call[Window, Nothing]) -> RevisedPage[EndpointRow]:
        """List the endpoints of this agent."""
        answer, desired = behind.status(), behind.steering.desired()
        withheld = {each.key: each.reason for each in answer.value.withheld}
        rows = _endpoints(desired, withheld)
        return revised_page_of(rows, call.parameters, answer.age_s, desired.revision)

    def listeners(call: Call[Window, Nothing]) -> RevisedPage[ListenerRow]:
        """List the listeners of this agent."""
        answer, desired = behind.status(), behind.steering.desired()
        wrong = {(each.key, each.address): each.reason for each in answer.value.portless}
        rows = _listeners(desired, wrong, dict(answer.value.disbelieved))
        return revised_page_of(rows, call.parameters, answer.age_s, desired.revision)

    def peers(call: Call[Window, Nothing]) -> Page[PeerRow]:
        """List the peers of this agent, and the addresses that it dials."""
        answer = behind.status()
        return page_of([_peer(each) for each in answer.value.peers], call.parameters, answer.age_s)

    return (
        Route(Method.GET, ENDPOINTS, endpoints),
        Route(Method.GET, LISTENERS, listeners),
        Route(Method.GET, PEERS, peers),
    )


def _endpoints(desired: Desired, withheld: dict[str, str]) -> list[EndpointRow]:
    return [
        EndpointRow(
            key=section.key,
            target=str(section.target),
            max_connections=section.max_connections,
            allow=section.allow,
            origin=placed.origin,
            problem=withheld.get(section.key),
        )
        for placed in desired.services
        if isinstance(section := placed.service, EndpointSection)
    ]


def _listeners(
    desired: Desired, portless: dict[tuple[str, str], str], disbelieved: dict[str, str]
) -> list[ListenerRow]:
    return [
        ListenerRow(
            key=section.key,
            address=str(section.address),
            max_connections=section.max_connections,
            agents=section.agents,
            origin=placed.origin,
            problem=portless.get((section.key, str(section.address)), disbelieved.get(section.key)),
        )
        for placed in desired.services
        if isinstance(section := placed.service, ListenerSection)
    ]


def _peer(peer: PeerStatus) -> PeerRow:
    return PeerRow(
        id=None if peer.agent_id is None else display_id(peer.agent_id),
        short_id=None if peer.agent_id is None else short_id(peer.agent_id),
        name=peer.name,
        state=peer.state,
        rtt_ms=peer.rtt_ms,
        is_dialer=peer.is_dialer,
        address=peer.address,
        problem=peer.problem,
    )
