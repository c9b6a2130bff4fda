"""One OPEN to one candidate, and how long one that was made ahead is of use."""

from dataclasses import dataclass
from math import inf
from typing import Any, Final

from actors.key_stock import EPHEMERAL_AGE_S
from actors.runtime.seam import Ref
from mesh.session import Party, SessionInitiator

HEDGE_AFTER_S: Final = 0.5
"""Silence after which another candidate is tried beside the silent one: what a client waits for an exit that
hangs. The OPEN has been repeated by then; half a second takes it around the world and on to the target."""

HEDGE_ROUND_TRIPS: Final = 2
"""Silence of so many round trips of the path, where that is longer: one for the OPEN and its answer, one for
the exit to connect to a target that is far away too."""

RESTARTING: Final = "restarting"
"""Code of the REJECT of an exit whose endpoint has crashed and is being started again."""

RESTARTED: Final = "restarted"
"""The ingress's own code for an exit whose agent runs as a new instance since it was chosen."""

RETRY_AFTER_S: Final = 0.1
"""Until such an exit is asked again: a crashed endpoint is back after 50 ms, the first time."""

RESTART_PATIENCE_S: Final = 2.0
"""How long such an exit may take to offer the key again: an agent that starts does so within a second."""

STANDBY_NUMBERS: Final = 16_384
"""How many connections of this agent may have been numbered since an OPEN was made for a client to come: a
quarter of the window in which an exit takes a number that is not the newest."""


@dataclass(slots=True)
class OpenAttempt:
    """What an ingress connection knows of one candidate that it tries."""

    party: Party
    name: str
    """Its agent's display name, for logs."""
    connection: int
    initiator: SessionInitiator | None
    """None once the attempt is chosen: nothing more is to be opened."""
    link: Ref[Any] | None
    made_at: float
    """Of one that was made ahead: when its ephemeral key pair was, too."""
    repeat_at: float = inf
    """When to repeat the OPEN, unanswered."""
    hedge_at: float = inf
    """When another candidate is to be tried beside this one."""
    repeats: int = 0
    is_asked: bool = False
    """Whether an OPEN has been made."""

    def is_stale(self, now: float, last_number: int) -> bool:
        """Whether it has waited too long for its client; ``last_number`` is that of the agent's latest."""
        return now - self.made_at > EPHEMERAL_AGE_S or last_number - self.connection > STANDBY_NUMBERS
