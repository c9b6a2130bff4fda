"""``GET /metrics``: the figures of the dashboard, and those of each key and peer, in Prometheus' text format.

Series with labels are as many as what this agent has itself: its listeners, endpoints, keys and peers.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar

from actors.key_meters import KeyMeter
from actors.links.absent_peers import LEFT, LOST
from actors.links.dialer import State
from mesh.agent.dashboard import families
from mesh.agent.dashboard.document import stats_of
from mesh.agent.dashboard.exposition import Exposition, Family, FamilyKind, labels
from mesh.agent.dashboard.metric_help import HELP
from mesh.agent.dashboard.process_figures import ProcessFigures
from mesh.agent.dashboard.states import CONNECTED, ServiceState
from mesh.agent.dashboard.status import DashboardSnapshot, PeerStatus, ServiceStatus
from mesh.agent.findings import FindingKind
from mesh.alarms import AlarmCount
from mesh.connection.endings import End, Ending
from mesh.trust.identity import display_id

PYTHON: Final = sys.version.partition(" ")[0]

PREFIX: Final = "mesh_"
COUNTER_SUFFIX: Final = "_total"

EXPOSED_AS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bytes_forwarded_total": "forwarded_bytes_total",
        "bytes_received_total": "received_bytes_total",
        "bytes_sent_total": "sent_bytes_total",
        "peer_count": "peers_connected",
        "route_count": "routes",
        "stream_count": "streams",
    }
)
"""Figures that have another name here: Prometheus wants units last, and ``_count`` is for histograms."""

TO_SERVICE: Final = "to_service"
TO_CLIENT: Final = "to_client"
SENT: Final = "sent"
RECEIVED: Final = "received"

LETS_IN: Final = (ServiceState.OPEN, ServiceState.REFUSING)

_ENDINGS: Final = tuple(
    (ending, labels({"ending": ending.name.lower()})) for ending in Ending if ending is not Ending.OPEN
)

_KINDS: Final = tuple(kind for kind in FindingKind if kind is not FindingKind.STATUS)
"""Without actors that answer there are no metrics either."""

_MISSED_BY_NOBODY: Final = (LOST, LEFT, State.ITSELF.value)
"""States of peers that nobody dials from here, and of this agent itself behind one of the names dialed."""

_T = TypeVar("_T")
_Labelled = tuple[str, _T]


class MetricsRenderer:
    """Renders snapshots, and what the kernel says of this process (memory, CPU time, open descriptors).

    Args:
        version: of this program.
    """

    def __init__(self, version: str) -> None:
        build = {"version": version, "python": PYTHON}
        self._build = labels(build)
        self._process = ProcessFigures()

    def render(self, snapshot: DashboardSnapshot, age_s: float, alarms: Sequence[AlarmCount] = ()) -> bytes:
        """The exposition of what ``snapshot`` has.

        Args:
            snapshot: what the actors have said.
            age_s: since they did.
            alarms: those that have series.
        """
        out = Exposition()
        out.add(families.BUILD_INFO, [(self._build, 1)])
        _add_agent(out, snapshot, age_s)
        for name, value in sorted(stats_of(snapshot).items()):
            out.add(family_of(name), [("", value)])
        out.add(
            families.ALARMS_BY_MEMBER,
            [(labels({"kind": each.kind.value, "member": each.member}), each.times) for each in alarms],
        )
        _add_services(out, snapshot)
        _add_keys(out, snapshot)
        _add_peers(out, snapshot)
        self._process.add_to(out)
        return out.text()


def family_of(figure: str) -> Family:
    """The family that shows a figure of the document; names that end in ``_total`` only rise."""
    name = EXPOSED_AS.get(figure, figure)
    kind = FamilyKind.COUNTER if name.endswith(COUNTER_SUFFIX) else FamilyKind.GAUGE
    fallback = name.removesuffix(COUNTER_SUFFIX).replace("_", " ").capitalize() + "."
    return Family(PREFIX + name, kind, HELP.get(figure, fallback))


def _add_agent(out: Exposition, snapshot: DashboardSnapshot, age_s: float) -> None:
    agent = labels({"agent": snapshot.name, "agent_id": display_id(snapshot.agent_id)})
    out.add(families.AGENT_INFO, [(agent, 1)])
    out.add(families.START_TIME, [("", snapshot.started_unix_s)])
    out.add(families.SNAPSHOT_AGE, [("", age_s)])
    out.add(families.READY, [("", not snapshot.problems)])
    out.add(families.DRAINING, [("", snapshot.draining)])
    for family, findings in (
        (families.PROBLEM, snapshot.problems),
        (families.WARNING, snapshot.warnings),
    ):
        found = {each.kind for each in findings}
        out.add(family, [(labels({"kind": kind}), kind in found) for kind in _KINDS])


def _add_services(out: Exposition, snapshot: DashboardSnapshot) -> None:
    listeners = [(_listener(each), each) for each in (*snapshot.listeners, *snapshot.named)]
    out.add(families.LISTENER_OPEN, [(each, one.state in LETS_IN) for each, one in listeners])
    out.add(families.LISTENER_REFUSING, [(each, one.refused_clients) for each, one in listeners])
    out.add(families.LISTENER_ASIDE, [(each, len(one.aside)) for each, one in listeners])
    socks = snapshot.socks
    out.add(
        families.SOCKS_OPEN, [(labels({"address": each.address}), each.problem is None) for each in socks]
    )
    out.add(
        families.ENDPOINT_OFFERED,
        [(labels({"key": each.key}), each.state is ServiceState.OFFERED) for each in snapshot.endpoints],
    )


def _listener(service: ServiceStatus) -> str:
    return labels({"key": service.key, "address": service.address})


def _add_keys(out: Exposition, snapshot: DashboardSnapshot) -> None:
    measured = snapshot.measured
    ends = ((End.INGRESS, measured.listened), (End.EXIT, measured.served))
    found = [
        (labels({"key": key, "end": end.value}), end, meter)
        for end, meters in ends
        for key, meter in meters.items()
    ]
    out.add(families.KEY_CONNECTIONS, [(each, meter.open_connections) for each, _, meter in found])
    out.add(families.KEY_BYTES, _key_bytes(found))
    out.add(families.KEY_ENDED, _endings(found))
    out.add_histograms(families.KEY_OPENING, [(each, meter.opening) for each, _, meter in found])


def _key_bytes(found: Sequence[tuple[str, End, KeyMeter]]) -> Iterator[_Labelled[int]]:
    for each, end, meter in found:
        sent_to, received_from = (TO_SERVICE, TO_CLIENT) if end is End.INGRESS else (TO_CLIENT, TO_SERVICE)
        yield f'{each},direction="{sent_to}"', meter.sent_bytes
        yield f'{each},direction="{received_from}"', meter.received_bytes


def _endings(found: Sequence[tuple[str, End, KeyMeter]]) -> Iterator[_Labelled[int]]:
    for each, _, meter in found:
        for ending, label in _ENDINGS:
            yield f"{each},{label}", meter.endings[ending]


def _add_peers(out: Exposition, snapshot: DashboardSnapshot) -> None:
    linked_ids = {each.agent_id for each in snapshot.peers if each.state == CONNECTED}
    shown = [
        each
        for each in snapshot.peers
        if each.state == CONNECTED
        or (each.state not in _MISSED_BY_NOBODY and each.agent_id not in linked_ids)
    ]
    out.add(families.PEER_CONNECTED, [(_peer(each), each.state == CONNECTED) for each in shown])
    meters = snapshot.measured.peers
    linked = [
        (_peer(each), meters[each.agent_id])
        for each in shown
        if each.agent_id is not None and each.agent_id in meters
    ]
    out.add(
        families.PEER_BYTES,
        [
            (f'{each},direction="{direction}"', byte_count)
            for each, meter in linked
            for direction, byte_count in ((SENT, meter.sent_bytes), (RECEIVED, meter.received_bytes))
        ],
    )
    out.add(families.PEER_FORWARDED, [(each, meter.forwarded_bytes) for each, meter in linked])
    out.add_histograms(families.PEER_ROUND_TRIP, [(each, meter.round_trips) for each, meter in linked])


def _peer(peer: PeerStatus) -> str:
    peer_id = "" if peer.agent_id is None else display_id(peer.agent_id)
    return labels({"peer": peer.name or peer.address, "peer_id": peer_id})
