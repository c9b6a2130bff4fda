"""The JSON document of ``GET /api/dashboard``, made from a snapshot."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import msgspec

from mesh.agent.dashboard.status import CONNECTED, DashboardSnapshot, PeerStatus, RouteView
from mesh.alarms import AlarmCount, AlarmKind
from mesh.routing.pairings import Pairing, Pairings, UnmatchedListener, find_pairings, listener_order
from mesh.trust.identity import display_id, short_id


class DocumentEncoder:
    """Encodes documents; keeps what follows from the routes, which change less often than they are read.

    With 10,000 keys that part takes a tenth of a second, and the rest next to nothing. Not for several
    threads at once.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._routes: RouteView | None = None
        self._portless: tuple[UnmatchedListener, ...] = ()
        self._encoded: dict[str, msgspec.Raw] = {}

    def encode(self, snapshot: DashboardSnapshot) -> dict[str, msgspec.Raw]:
        """The fields of the document, each encoded."""
        if snapshot.routes is not self._routes or snapshot.portless != self._portless:
            routes = snapshot.routes
            pairings = find_pairings(routes.own_id, routes.records, routes.paths_from)
            self._encoded = _raw(routes_part(pairings, snapshot.portless))
            self._routes, self._portless = routes, snapshot.portless
        return {**_raw(agent_part(snapshot, self._version)), **self._encoded}


MAX_ALARMS_SHOWN: Final = 32
"""Members named for each kind of alarm; the rest is one number. A kind has a metric of its own as well."""


def shown_alarms(alarms: Sequence[AlarmCount]) -> list[AlarmCount]:
    """``alarms``, the most frequent of each kind first, with one entry for all beyond the limit."""
    shown: list[AlarmCount] = []
    for kind, each in groupby(alarms, key=lambda alarm: alarm.kind):
        found = list(each)
        shown += found[:MAX_ALARMS_SHOWN]
        if rest := found[MAX_ALARMS_SHOWN:]:
            more = sum(alarm.times for alarm in rest)
            shown.append(AlarmCount(kind, f"{len(rest):,} more", more))
    return shown


def stats_of(snapshot: DashboardSnapshot) -> dict[str, int]:
    """Every figure by its name, as JSON and metrics show them.

    ``route_count`` counts (key, exit agent) pairs that this agent can use.
    """
    alarms = {f"alarms_{kind.value}_total": 0 for kind in AlarmKind}
    for alarm in snapshot.alarms:
        alarms[f"alarms_{alarm.kind.value}_total"] += alarm.times
    return {
        **snapshot.stats.counters,
        **alarms,
        "peer_count": sum(peer.state == CONNECTED for peer in snapshot.peers),
        "stream_count": snapshot.stats.stream_count,
        "route_count": sum(len(candidates) for candidates in snapshot.routes.candidates.values()),
        "open_connections": snapshot.stats.open_connections,
        "actors": snapshot.stats.actors,
        "unacknowledged_segments": snapshot.stats.unacknowledged_segments,
    }


def _raw(fields: dict[str, object]) -> dict[str, msgspec.Raw]:
    return {field: msgspec.Raw(msgspec.json.encode(value)) for field, value in fields.items()}


def agent_part(snapshot: DashboardSnapshot, version: str) -> dict[str, object]:
    """What the document says of this agent, for a JSON encoder. IDs are lower-case hexadecimal."""
    return {
        "agent": {
            "id": display_id(snapshot.agent_id),
            "short_id": short_id(snapshot.agent_id),
            "display_name": snapshot.name,
            "instance": snapshot.instance.hex(),
            "version": version,
        },
        "ready": not snapshot.problems,
        "problems": list(snapshot.problems),
        "stats": stats_of(snapshot),
        "alarms": [
            {"kind": alarm.kind.value, "member": alarm.member, "times": alarm.times}
            for alarm in shown_alarms(snapshot.alarms)
        ],
        "peers": [_peer(peer) for peer in snapshot.peers],
    }


def routes_part(pairings: Pairings, portless: tuple[UnmatchedListener, ...]) -> dict[str, object]:
    """What the document says of the mesh, for a JSON encoder; ``portless`` are unmatched listeners, too."""
    return {
        "forward_routes": [_pairing(pairing) for pairing in pairings.matched],
        "forward_routes_left_out": pairings.left_out,
        "unmatched_listeners": [
            {
                "key": listener.key,
                "agent": listener.agent_name,
                "agent_id": display_id(listener.agent_id),
                "listener_address": listener.address,
                "reason": listener.reason,
            }
            for listener in sorted((*pairings.unmatched_listeners, *portless), key=listener_order)
        ],
        "unmatched_endpoints": [
            {
                "key": endpoint.key,
                "agent": endpoint.agent_name,
                "agent_id": display_id(endpoint.agent_id),
                "target": endpoint.target,
                "reason": endpoint.reason,
            }
            for endpoint in pairings.unmatched_endpoints
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
    }


def _pairing(pairing: Pairing) -> dict[str, object]:
    return {
        "key": pairing.key,
        "ingress_agent": pairing.ingress_name,
        "ingress_agent_id": display_id(pairing.ingress_id),
        "listener_address": pairing.listener_address,
        "exit_agent": pairing.exit_name,
        "exit_agent_id": display_id(pairing.exit_id),
        "target": pairing.target,
        "hop_count": pairing.hop_count,
        "path_display": list(pairing.path_names),
        "path_ids": [display_id(step) for step in pairing.path_ids],
    }
