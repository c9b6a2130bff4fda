"""One OPEN to one candidate, and how long one that was made ahead is of use."""

from dataclasses import dataclass
from math import inf
from typing import Final

from mesh.connection.initiating import Initiator
from mesh.connection.key_stock import EPHEMERAL_AGE_S
from mesh.connection.party import Party

STANDBY_NUMBERS: Final = 16_384
"""How many connections of this agent may have been numbered since an OPEN was made for a client to come: a
quarter of the window in which an exit takes a number that is not the newest."""


@dataclass(slots=True)
class OpenAttempt:
    """What is known of one candidate that is tried."""

    party: Party
    name: str
    """Its agent's display name, for logs."""
    number: int
    initiator: Initiator
    has_path: bool
    made_at: float
    """When what could be made ahead was made."""
    rtt_s: float
    """Of the path, as the routes tell."""
    early: bytes = b""
    """The client's first bytes that its OPEN carries."""
    repeat_at: float = inf
    """When to repeat the OPEN, unanswered."""
    hedge_at: float = inf
    """When to try another candidate beside this one."""
    repeats: int = 0
    doubted_at: float = inf
    """When another first hop was asked for."""
    asked_at: float = inf
    """When the OPEN was sent first."""
    is_wanted: bool = True
    """Whether it may still be chosen; else its answer is awaited to be declined, and it is asked no more."""

    @property
    def is_silent(self) -> bool:
        """Whether it has had its time, or cannot be reached now."""
        return not self.has_path or self.hedge_at == inf

    @property
    def is_asked(self) -> bool:
        """Whether an OPEN has been sent."""
        return self.asked_at < inf

    @property
    def may_hold_bytes(self) -> bool:
        """Whether its target may have the client's first bytes, for all that is known."""
        return self.is_asked and bool(self.early)

    def rule_out(self) -> None:
        """It is not to be chosen, whatever it answers."""
        self.is_wanted = False
        self.repeat_at = self.hedge_at = inf

    def is_stale(self, now: float, last_number: int) -> bool:
        """Whether it has waited too long for its client; ``last_number`` is that of the agent's latest."""
        is_old = self.initiator.is_prepared and now - self.made_at > EPHEMERAL_AGE_S
        return is_old or last_number - self.number > STANDBY_NUMBERS
