"""What the control socket takes: places and bodies, for both of its ends."""

from typing import Final

import msgspec

PREFIX: Final = "/api/v1/"
RELOAD: Final = f"{PREFIX}reload"
PLANS: Final = f"{PREFIX}plans"


class PlanRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/v1/plans``."""

    file: str | None = None
    """Absolute path of a configuration file on the agent's machine; its own without it."""
