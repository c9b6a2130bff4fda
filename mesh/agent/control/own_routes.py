"""``GET /api/v1/status``, ``endpoints``, ``listeners`` and ``peers``: how this agent is, and what it has."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from mesh.agent.audit.standing import TrailStanding
from mesh.agent.control.behind import Behind
from mesh.agent.control.mesh_view import MeshView, MeshViews
from mesh.agent.control.own_rows import (
    AsideRow,
    AuditRow,
    EndpointRow,
    FindingRow,
    ListenerRow,
    OwnAgent,
    PeerRow,
    SocksRow,
    Status,
)
from mesh.agent.control.page_rows import Page, RevisedPage, Window, page_of, revised_page_of
from mesh.agent.control.requests import ENDPOINTS, LISTENERS, PEERS, STATUS
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.dashboard.findings_shown import shown_time
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.dashboard.status import AsideExit, DashboardSnapshot, PeerStatus, ServiceStatus
from mesh.agent.descriptor_watch import descriptor_use
from mesh.agent.expiry import DAY_S
from mesh.agent.findings import Finding, Severity, time_of
from mesh.agent.layers import Desired, Placed
from mesh.agent.own_services import NOT_YET
from mesh.agent.software import VERSION, software_build
from mesh.config.schema import EndpointSection, ListenerSection
from mesh.trust.identity import display_id, short_id

MAX_FINDINGS: Final = 1_000


def own_routes(behind: Behind, views: MeshViews) -> tuple[Route, ...]:
    """What tells of this agent."""

    def status(_: Call[Nothing, Nothing]) -> Status:
        """Say who this agent is, whether it is ready, and what is wrong."""
        answer = behind.status()
        snapshot, descriptors = answer.value, descriptor_use()
        return Status(
            agent=_agent(snapshot),
            ready=not snapshot.problems,
            draining=snapshot.draining,
            as_of=time_of(answer.unix_s),
            age_s=round(answer.age_s, 3),
            findings=tuple(_findings(snapshot))[:MAX_FINDINGS],
            socks=tuple(SocksRow(each.address, each.problem) for each in snapshot.socks),
            audit=tuple(_audit(each) for each in snapshot.audit),
            descriptors=descriptors.in_use,
            descriptor_limit=descriptors.limit,
            revocation_lists_missing=snapshot.stats.counters.get("revocation_lists_missing", 0),
        )

    def endpoints(call: Call[Window, Nothing]) -> RevisedPage[EndpointRow]:
        """List the endpoints of this agent."""
        answer, desired = behind.status(), behind.steering.desired()
        rows = tuple(_endpoints(desired, answer.value, views.of(answer.value)))
        return revised_page_of(rows, call.parameters, answer.age_s, desired.revision)

    def listeners(call: Call[Window, Nothing]) -> RevisedPage[ListenerRow]:
        """List the listeners of this agent."""
        answer, desired = behind.status(), behind.steering.desired()
        rows = tuple(_listeners(desired, answer.value, views.of(answer.value)))
        return revised_page_of(rows, call.parameters, answer.age_s, desired.revision)

    def peers(call: Call[Window, Nothing]) -> Page[PeerRow]:
        """List the peers of this agent, and the addresses that it dials."""
        answer = behind.status()
        return page_of([_peer(each) for each in answer.value.peers], call.parameters, answer.age_s)

    return (
        Route(Method.GET, STATUS, status, stamp=behind.stamp),
        Route(Method.GET, ENDPOINTS, endpoints, stamp=behind.stamp),
        Route(Method.GET, LISTENERS, listeners, stamp=behind.stamp),
        Route(Method.GET, PEERS, peers, stamp=behind.stamp),
    )


def _agent(snapshot: DashboardSnapshot) -> OwnAgent:
    left_s = snapshot.certificate_ends_unix_s - snapshot.now_unix_s
    return OwnAgent(
        id=display_id(snapshot.agent_id),
        short_id=short_id(snapshot.agent_id),
        name=snapshot.name,
        version=VERSION,
        phase=snapshot.phase,
        since=time_of(snapshot.started_unix_s),
        certificate_ends=time_of(snapshot.certificate_ends_unix_s),
        certificate_days_left=round(left_s / DAY_S, 2),
        awaits_at=snapshot.awaits_at,
        build=software_build(),
    )


def _audit(standing: TrailStanding) -> AuditRow:
    head = f"{standing.trail}:{standing.head}" if standing.head.number else ""
    return AuditRow(standing.trail, head, standing.written, standing.lost)


def _findings(snapshot: DashboardSnapshot) -> Iterator[FindingRow]:
    both: tuple[tuple[Severity, tuple[Finding, ...]], ...] = (
        (Severity.PROBLEM, snapshot.problems),
        (Severity.WARNING, snapshot.warnings),
    )
    for severity, found in both:
        for each in found:
            yield FindingRow(severity, each.what, each.remedy, shown_time(each.since_unix_s))


def _endpoints(desired: Desired, snapshot: DashboardSnapshot, view: MeshView) -> Iterator[EndpointRow]:
    statuses = {each.key: each for each in snapshot.endpoints}
    for placed in desired.services:
        if isinstance(section := placed.service, EndpointSection):
            target = str(section.target)
            now = statuses.get(section.key) or ServiceStatus(
                section.key, target, ServiceState.WITHHELD, reason=NOT_YET
            )
            yield EndpointRow(
                key=section.key,
                target=target,
                max_connections=section.max_connections,
                allow=section.allow,
                visibility=section.visibility,
                origin=placed.origin,
                state=now.state,
                since=shown_time(now.since_unix_s),
                problem=now.reason or None,
                listeners=view.own_users.get(section.key, 0),
            )


def _listeners(desired: Desired, snapshot: DashboardSnapshot, view: MeshView) -> Iterator[ListenerRow]:
    statuses: defaultdict[tuple[str, str], list[ServiceStatus]] = defaultdict(list)
    for each in reversed(snapshot.listeners):
        statuses[each.key, each.configured].append(each)
    for placed, section in _listener_sections(desired.services):
        key, address = section.key, str(section.address)
        if found := statuses[key, address]:
            now = found.pop()
        else:
            now = ServiceStatus(key, address, ServiceState.CLOSED, reason=NOT_YET)
        yield ListenerRow(
            key=key,
            address=address,
            opened_at=now.address,
            max_connections=section.max_connections,
            agents=section.agents,
            visibility=section.visibility,
            origin=placed.origin,
            state=now.state,
            since=shown_time(now.since_unix_s),
            problem=now.reason or None,
            exits=view.own_exits.get((key, now.address), ()),
            set_aside=tuple(map(_aside, now.aside)),
        )


def _listener_sections(services: Iterable[Placed]) -> Iterator[tuple[Placed, ListenerSection]]:
    for placed in services:
        if isinstance(section := placed.service, ListenerSection):
            yield placed, section


def _aside(exit_: AsideExit) -> AsideRow:
    return AsideRow(
        agent_id=display_id(exit_.agent_id),
        agent=exit_.name,
        reason=exit_.reason,
        since=time_of(exit_.since_unix_s),
        until=time_of(exit_.until_unix_s),
    )


def _peer(peer: PeerStatus) -> PeerRow:
    return PeerRow(
        id=None if peer.agent_id is None else display_id(peer.agent_id),
        short_id=None if peer.agent_id is None else short_id(peer.agent_id),
        name=peer.name,
        state=peer.state,
        since=shown_time(peer.since_unix_s),
        rtt_ms=peer.rtt_ms,
        is_dialer=peer.is_dialer,
        address=peer.address,
        problem=peer.problem,
        clock_ahead_s=None if peer.clock_ahead_s is None else round(peer.clock_ahead_s, 3),
    )
