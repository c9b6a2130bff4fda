"""The families of ``/metrics`` whose series have labels, or are no figures of the document."""

from typing import Final

from mesh.agent.dashboard.exposition import Family, FamilyKind

_COUNTER: Final = FamilyKind.COUNTER
_GAUGE: Final = FamilyKind.GAUGE
_HISTOGRAM: Final = FamilyKind.HISTOGRAM

BUILD_INFO: Final = Family("mesh_build_info", _GAUGE, "Always 1: the version of the agent and of Python.")
AGENT_INFO: Final = Family("mesh_agent_info", _GAUGE, "Always 1: name and ID of this agent.")
READY: Final = Family("mesh_ready", _GAUGE, "1 if /ready says so, else 0; mesh_problem has the reasons.")
PROBLEM: Final = Family(
    "mesh_problem", _GAUGE, "1 for each kind of thing for which the agent is not ready, 0 for the others."
)
WARNING: Final = Family(
    "mesh_warning", _GAUGE, "1 for each kind of thing that somebody should look at, 0 for the others."
)
DRAINING: Final = Family("mesh_draining", _GAUGE, "1 while the mesh is asked to prefer other agents, else 0.")
START_TIME: Final = Family("mesh_start_time_seconds", _GAUGE, "Unix time at which the agent started.")
SNAPSHOT_AGE: Final = Family(
    "mesh_snapshot_age_seconds",
    _GAUGE,
    "Seconds since the agent gave these figures: 0 unless it is too busy to answer.",
)
ALARMS_BY_MEMBER: Final = Family(
    "mesh_alarms_by_member_total",
    _COUNTER,
    "What members of the mesh have done to others, by its kind and by who did it.",
)

LISTENER_OPEN: Final = Family(
    "mesh_listener_open",
    _GAUGE,
    "1 if a listener lets clients in, 0 if it has no port or nobody to lead them to.",
)
LISTENER_REFUSING: Final = Family(
    "mesh_listener_refused_clients",
    _GAUGE,
    "Latest clients in a row that no exit would serve; 0 once one is served.",
)
LISTENER_ASIDE: Final = Family(
    "mesh_listener_exits_set_aside",
    _GAUGE,
    "Exits that failed and have not served since; 8 stand for any more.",
)
SOCKS_OPEN: Final = Family("mesh_socks_listener_open", _GAUGE, "1 if a SOCKS listener has its port, else 0.")
ENDPOINT_OFFERED: Final = Family(
    "mesh_endpoint_offered", _GAUGE, "1 if an endpoint's key is offered to the mesh, else 0."
)

KEY_CONNECTIONS: Final = Family(
    "mesh_key_open_connections", _GAUGE, "Open connections of a key that end here."
)
KEY_BYTES: Final = Family(
    "mesh_key_bytes_total",
    _COUNTER,
    "Plaintext bytes of a key's connections, to the service and back to clients.",
)
KEY_ENDED: Final = Family(
    "mesh_key_connections_ended_total", _COUNTER, "Connections of a key that have ended, by how they did."
)
KEY_OPENING: Final = Family(
    "mesh_key_opening_seconds",
    _HISTOGRAM,
    "Time from a client's coming, or the exit's being asked, until the connection was open.",
)

PEER_CONNECTED: Final = Family(
    "mesh_peer_connected", _GAUGE, "1 if there is a link to a peer, 0 if it is configured and there is none."
)
PEER_BYTES: Final = Family(
    "mesh_peer_bytes_total", _COUNTER, "Bytes that links to a peer have sent and received."
)
PEER_FORWARDED: Final = Family(
    "mesh_peer_forwarded_bytes_total",
    _COUNTER,
    "Bytes of bodies that a peer brought and that went on to others.",
)
PEER_ROUND_TRIP: Final = Family(
    "mesh_peer_round_trip_seconds", _HISTOGRAM, "Time between a ping of a link to a peer and its answer."
)
