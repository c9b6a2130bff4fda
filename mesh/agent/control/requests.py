"""What the control socket takes: places and bodies, for both of its ends."""

from typing import Annotated, Final, TypeAlias

import msgspec

PREFIX: Final = "/api/v1/"

CONTROL_SOCKET: Final = "control socket"
"""Who calls by it, for the log."""

TOPOLOGY: Final = "/api/topology"
NODES: Final = "/api/nodes"
MESH_TEST: Final = "/api/mesh-test"
READVERTISE: Final = "/routes/advertise"
FORWARDS: Final = "/forward/manage"
AGENT_FORWARDS: Final = "/agents/{id}/forward/manage"
"""What existing dashboards ask for."""

PLACES: Final = (PREFIX, TOPOLOGY, NODES, MESH_TEST, "/routes/", "/forward/", "/agents/")
"""With what the paths of the API begin."""

BESIDE: Final = "/api/"
DASHBOARD: Final = f"{BESIDE}dashboard"
"""Everything at once, for the page and ``mesh status``; it is asked of other agents as if of the API."""

OPENAPI: Final = f"{PREFIX}openapi.json"
STATUS: Final = f"{PREFIX}status"
RELOAD: Final = f"{PREFIX}reload"
PLANS: Final = f"{PREFIX}plans"
LISTENERS: Final = f"{PREFIX}listeners"
ENDPOINTS: Final = f"{PREFIX}endpoints"
AGENTS: Final = f"{PREFIX}agents"
REMOTE: Final = f"{AGENTS}/{{id}}/{{place}}"
"""Any place of another agent's API."""
SERVICES: Final = f"{PREFIX}services"
PEERS: Final = f"{PREFIX}peers"
LINKS: Final = f"{PREFIX}links"
ROUTES: Final = f"{PREFIX}routes"
CERTIFICATES: Final = f"{PREFIX}certificates"
ACCESS: Final = f"{PREFIX}access"
AUDIT: Final = f"{PREFIX}audit"
AUDIT_CHECKS: Final = f"{AUDIT}/checks"
AUTHORITIES: Final = f"{PREFIX}authorities"
RENEWALS: Final = f"{PREFIX}renewals"
REVOCATIONS: Final = f"{PREFIX}revocations"
REVOCATION_LISTS: Final = f"{REVOCATIONS}/lists"
LEASES: Final = f"{PREFIX}leases"
EVENTS: Final = f"{PREFIX}events"
INVITATIONS: Final = f"{PREFIX}invitations"
CONNECTIONS: Final = f"{PREFIX}connections"
DRAIN: Final = f"{PREFIX}drain"
PINGS: Final = f"{PREFIX}pings"
TRACES: Final = f"{PREFIX}traces"
TESTS: Final = f"{PREFIX}tests"
BENCHES: Final = f"{PREFIX}benches"


Entry: TypeAlias = dict[str, str | int | list[str] | dict[str, str | int]]
"""A service as a configuration file has it under ``forward:``."""


class PlanPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a plan is meant."""

    dry_run: bool = False
    """Only say what it would do."""


class ForwardWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Services that are to be saved, and no others: what ``services.yaml`` has under ``forward:``."""

    endpoints: list[Entry] = []
    listeners: list[Entry] = []


class PlanRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/plans``: one of the three, or none for the agent's own file."""

    file: str | None = None
    """Absolute path of a configuration file on the agent's machine; with ``dry_run``, and by the control
    socket, only."""
    forward: ForwardWish | None = None
    """What is to be saved in the place of what is."""
    config: str | None = None
    """A whole configuration, as the text of its file; with ``dry_run`` only. Nothing of the agent's
    environment is filled in: what takes a variable, as a password does, cannot be planned so."""


class ListsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/revocations/lists``."""

    lists: Annotated[list[Annotated[str, msgspec.Meta(max_length=65_536)]], msgspec.Meta(max_length=16)]
    """Signed revocation lists, each in base64."""


class RevokeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/revocations``."""

    agents: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...],
        msgspec.Meta(min_length=1, max_length=64),
    ]
    """By name or ID. One whose record the mesh has no more is named by its ID."""
    reason: Annotated[str, msgspec.Meta(max_length=128)] = ""
    """Why, for people: every agent shows it."""
    for_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """After this time they are left out of the list; ``null``: never."""
    undo: bool = False
    """They are revoked no more."""
    dry_run: bool = False
    """Only say what would be."""


class ServiceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/listeners`` and ``/api/v1/endpoints``."""

    service: Entry
    """An entry as a configuration file has it under ``forward:``."""
    save: bool = False
    """Keep it for good; otherwise it goes when its lease is not renewed."""
    hold_s: Annotated[float, msgspec.Meta(ge=1.0, le=3600.0)] = 15.0
    """How long it is held, and how long each renewal lasts."""


class RenewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``PUT /api/v1/leases/{lease}``."""

    hold_s: Annotated[float, msgspec.Meta(ge=1.0, le=3600.0)] = 15.0
