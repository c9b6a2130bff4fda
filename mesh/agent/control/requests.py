"""What the control socket takes: places and bodies, for both of its ends."""

from typing import Annotated, Final

import msgspec

PREFIX: Final = "/api/v1/"
OPENAPI: Final = f"{PREFIX}openapi.json"
RELOAD: Final = f"{PREFIX}reload"
PLANS: Final = f"{PREFIX}plans"
LISTENERS: Final = f"{PREFIX}listeners"
ENDPOINTS: Final = f"{PREFIX}endpoints"
LEASES: Final = f"{PREFIX}leases"


class PlanRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/plans``."""

    file: str | None = None
    """Absolute path of a configuration file on the agent's machine; its own without it."""


class ServiceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/listeners`` and ``/api/v1/endpoints``."""

    service: dict[str, str | int | list[str]]
    """An entry as a configuration file has it under ``forward:``."""
    save: bool = False
    """Keep it for good; otherwise it goes when its lease is not renewed."""
    hold_s: Annotated[float, msgspec.Meta(ge=1.0, le=3600.0)] = 15.0
    """How long it is held, and how long each renewal lasts."""


class RenewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``PUT /api/v1/leases/{lease}``."""

    hold_s: Annotated[float, msgspec.Meta(ge=1.0, le=3600.0)] = 15.0
