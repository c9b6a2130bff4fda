"""The JSON document of ``GET /api/dashboard``, made from a snapshot."""

import threading
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final, TypeAlias, TypeVar

import msgspec

from mesh.agent.dashboard.findings_shown import findings_shown, shown_time
from mesh.agent.dashboard.revocations_shown import lists_shown, newest_first, revocations_shown
from mesh.agent.dashboard.states import CONNECTED
from mesh.agent.dashboard.status import DashboardSnapshot, PeerStatus, RouteView, ServiceStatus
from mesh.agent.expiry import DAY_S
from mesh.alarms import AlarmCount, AlarmKind
from mesh.routing.pairings import (
    Pairing,
    Pairings,
    UnmatchedEndpoint,
    UnmatchedListener,
    endpoint_order,
    find_pairings,
    listener_order,
)
from mesh.trust.identity import display_id, short_id

MAX_ROWS: Final = 1_000
"""Of each list in one document, some 500 KiB of the longest; the others are in the documents that follow."""

_T = TypeVar("_T")

_Unannounced: TypeAlias = tuple[tuple[UnmatchedListener, ...], tuple[UnmatchedEndpoint, ...]]
"""Listeners and endpoints that the mesh is not told of."""


class Page:
    """The rows of each list that one document has, and how many there are in all.

    Args:
        offset: rows of each list that are in documents before this one.
    """

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset
        self.totals: dict[str, int] = {}
        """Rows of each list, by its name."""

    def of(self, name: str, rows: Sequence[_T]) -> Sequence[_T]:
        """Those of ``rows`` that belong here."""
        self.totals[name] = len(rows)
        return rows[self._offset : self._offset + MAX_ROWS]

    def described(self) -> dict[str, object]:
        """Where this page is, and the offset of the next; for a JSON encoder."""
        end = self._offset + MAX_ROWS
        is_last = max(self.totals.values(), default=0) <= end
        return {"offset": self._offset, "next_offset": None if is_last else end, "totals": self.totals}


class DocumentEncoder:
    """Encodes documents; keeps what follows from the routes, which change less often than they are read.

    With 10,000 keys that part takes a tenth of a second, and the rest next to nothing.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._lock = threading.Lock()  # one works, and others have what it made
        self._routes: RouteView | None = None
        self._own_targets: Mapping[str, str] = {}
        self._unannounced: _Unannounced = ((), ())
        self._pairings = Pairings()
        self._first: dict[str, msgspec.Raw] = {}
        self._totals: dict[str, int] = {}

    def encode(self, snapshot: DashboardSnapshot, offset: int = 0) -> dict[str, msgspec.Raw]:
        """The fields of the document whose lists begin at ``offset``, each encoded."""
        page = Page(offset)
        own = _raw(agent_part(snapshot, self._version, page))
        with self._lock:
            self._follow(snapshot)
            if offset:
                routes = _raw(routes_part(self._pairings, *self._unannounced, page))
            else:
                routes = self._first
                page.totals |= self._totals
        return {**own, **routes, **_raw({"rows": page.described()})}

    def pairings(self, snapshot: DashboardSnapshot) -> Pairings:
        """Who reaches whom, and who does not, with what the mesh is not told of."""
        with self._lock:
            self._follow(snapshot)
            pairings, (portless, withheld) = self._pairings, self._unannounced
        return msgspec.structs.replace(
            pairings,
            unmatched_listeners=(*pairings.unmatched_listeners, *portless),
            unmatched_endpoints=(*pairings.unmatched_endpoints, *withheld),
        )

    def _follow(self, snapshot: DashboardSnapshot) -> None:
        routes = snapshot.routes
        targets = snapshot.own_targets
        is_new = routes is not self._routes or targets != self._own_targets
        if is_new:
            pairings = find_pairings(routes.own_id, routes.records, routes.paths_from_each, targets)
            self._pairings = _without_disbelieved(pairings, snapshot)
        unannounced = (snapshot.portless, snapshot.withheld)
        if is_new or unannounced != self._unannounced:
            page = Page()
            self._first = _raw(routes_part(self._pairings, *unannounced, page))
            self._routes, self._own_targets = routes, targets
            self._unannounced, self._totals = unannounced, page.totals


def _without_disbelieved(pairings: Pairings, snapshot: DashboardSnapshot) -> Pairings:
    """The same, but what this agent's listeners ignore is no route: whom others believe it cannot know."""
    reasons = snapshot.disbelieved
    if not reasons:
        return pairings
    matched: list[Pairing] = []
    idle: dict[tuple[str, str], UnmatchedListener] = {}
    for pairing in pairings.matched:
        key, address = pairing.key, pairing.listener_address
        if pairing.ingress_id == snapshot.agent_id and key in reasons:
            idle[key, address] = UnmatchedListener(
                key, pairing.ingress_id, pairing.ingress_name, address, reasons[key]
            )
        else:
            matched.append(pairing)
    listeners = (*pairings.unmatched_listeners, *idle.values())
    return msgspec.structs.replace(pairings, matched=tuple(matched), unmatched_listeners=listeners)


MAX_ALARMS_SHOWN: Final = 32
"""Members named for each kind of alarm; the rest is one number."""


def shown_alarms(alarms: Sequence[AlarmCount]) -> list[AlarmCount]:
    """``alarms``, the most frequent of each kind first, with one entry for all beyond the limit."""
    shown: list[AlarmCount] = []
    for kind, each in groupby(alarms, key=lambda alarm: alarm.kind):
        found = sorted(each, key=lambda alarm: (-alarm.times, alarm.member))
        shown += found[:MAX_ALARMS_SHOWN]
        if rest := found[MAX_ALARMS_SHOWN:]:
            shown.append(AlarmCount(kind, f"{len(rest):,} more", _times(rest)))
    return shown


def _times(alarms: Sequence[AlarmCount]) -> int:
    return sum(alarm.times for alarm in alarms)


def stats_of(snapshot: DashboardSnapshot) -> dict[str, int]:
    """Every figure by its name, as JSON and metrics show them.

    ``route_count`` counts (key, exit agent) pairs that this agent reaches and may use.
    """
    alarms = {f"alarms_{kind.value}_total": 0 for kind in AlarmKind}
    for alarm in snapshot.alarms:
        alarms[f"alarms_{alarm.kind.value}_total"] += alarm.times
    return {
        **snapshot.stats.counters,
        **alarms,
        "peer_count": sum(peer.state == CONNECTED for peer in snapshot.peers),
        "stream_count": snapshot.stats.stream_count,
        "route_count": snapshot.routes.usable_count,
        "open_connections": snapshot.stats.open_connections,
        "actors": snapshot.stats.actors,
        "unacknowledged_segments": snapshot.stats.unacknowledged_segments,
    }


def _raw(fields: dict[str, object]) -> dict[str, msgspec.Raw]:
    return {field: msgspec.Raw(msgspec.json.encode(value)) for field, value in fields.items()}


def agent_part(snapshot: DashboardSnapshot, version: str, page: Page) -> dict[str, object]:
    """What the document says of this agent, for a JSON encoder. IDs are lower-case hexadecimal."""
    return {
        "agent": {
            "id": display_id(snapshot.agent_id),
            "short_id": short_id(snapshot.agent_id),
            "display_name": snapshot.name,
            "instance": snapshot.instance.hex(),
            "version": version,
            "phase": snapshot.phase,
            "since": shown_time(snapshot.started_unix_s),
            "certificate_ends": shown_time(snapshot.certificate_ends_unix_s),
            "certificate_days_left": round(
                (snapshot.certificate_ends_unix_s - snapshot.now_unix_s) / DAY_S, 2
            ),
            "awaits_at": snapshot.awaits_at,
        },
        "ready": not snapshot.problems,
        "draining": snapshot.draining,
        "problems": [problem.text for problem in page.of("problems", snapshot.problems)],
        "warnings": [warning.text for warning in page.of("warnings", snapshot.warnings)],
        "findings": findings_shown(
            page.of("problems", snapshot.problems), page.of("warnings", snapshot.warnings)
        ),
        "listeners": [_service(each) for each in page.of("listeners", snapshot.listeners)],
        "endpoints": [_service(each) for each in page.of("endpoints", snapshot.endpoints)],
        "stats": stats_of(snapshot),
        "alarms": [
            {"kind": alarm.kind.value, "member": alarm.member, "times": alarm.times}
            for alarm in shown_alarms(snapshot.alarms)
        ],
        "revocations": revocations_shown(page.of("revocations", newest_first(snapshot.revocations))),
        "revocation_lists": lists_shown(snapshot.revocations),
        "socks": [{"address": each.address, "problem": each.problem} for each in snapshot.socks],
        "peers": [_peer(peer) for peer in page.of("peers", snapshot.peers)],
    }


def routes_part(
    pairings: Pairings,
    portless: tuple[UnmatchedListener, ...],
    withheld: tuple[UnmatchedEndpoint, ...],
    page: Page,
) -> dict[str, object]:
    """What the document says of the mesh, for a JSON encoder; ``portless`` and ``withheld`` are unmatched."""
    listeners = sorted((*pairings.unmatched_listeners, *portless), key=listener_order)
    endpoints = sorted((*pairings.unmatched_endpoints, *withheld), key=endpoint_order)
    return {
        "forward_routes": [_pairing(pairing) for pairing in page.of("forward_routes", pairings.matched)],
        "forward_routes_left_out": pairings.left_out,
        "unmatched_listeners": [
            {
                "key": listener.key,
                "agent": listener.agent_name,
                "agent_id": display_id(listener.agent_id),
                "listener_address": listener.address,
                "reason": listener.reason,
            }
            for listener in page.of("unmatched_listeners", listeners)
        ],
        "unmatched_endpoints": [
            {
                "key": endpoint.key,
                "agent": endpoint.agent_name,
                "agent_id": display_id(endpoint.agent_id),
                "target": endpoint.target,
                "reason": endpoint.reason,
            }
            for endpoint in page.of("unmatched_endpoints", endpoints)
        ],
    }


def _peer(peer: PeerStatus) -> dict[str, object]:
    return {
        "id": None if peer.agent_id is None else display_id(peer.agent_id),
        "short_id": None if peer.agent_id is None else short_id(peer.agent_id),
        "display_name": peer.name,
        "state": peer.state,
        "rtt_ms": None if peer.rtt_ms is None else round(peer.rtt_ms, 3),
        "is_dialer": peer.is_dialer,
        "address": peer.address,
        "problem": peer.problem,
        "since": shown_time(peer.since_unix_s),
    }


def _service(service: ServiceStatus) -> dict[str, object]:
    return {
        "key": service.key,
        "address": service.address,
        "state": service.state,
        "since": shown_time(service.since_unix_s),
        "reason": service.reason,
        "set_aside": [
            {
                "agent": exit_.name,
                "agent_id": display_id(exit_.agent_id),
                "reason": exit_.reason,
                "since": shown_time(exit_.since_unix_s),
                "until": shown_time(exit_.until_unix_s),
            }
            for exit_ in service.aside
        ],
    }


def _pairing(pairing: Pairing) -> dict[str, object]:
    """With short IDs, by which existing front ends compare; the API under ``/api/v1/`` has whole ones."""
    return {
        "key": pairing.key,
        "ingress_agent": pairing.ingress_name,
        "ingress_agent_id": short_id(pairing.ingress_id),
        "listener_address": pairing.listener_address,
        "exit_agent": pairing.exit_name,
        "exit_agent_id": short_id(pairing.exit_id),
        "target": pairing.target,
        "hop_count": pairing.hop_count,
        "path_display": list(pairing.path_names),
        "path_ids": [short_id(step) for step in pairing.path_ids],
    }
