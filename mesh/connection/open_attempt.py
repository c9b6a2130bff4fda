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
    repeat_at: float = inf
    """When to repeat the OPEN, unanswered."""
    hedge_at: float = inf
    """When to try another candidate beside this one."""
    repeats: int = 0
    doubted_at: float = inf
    """When another first hop was asked for."""
    is_asked: bool = False
    """Whether an OPEN has been sent."""
    is_wanted: bool = True
    """Whether it may still be chosen; else its answer is awaited to be declined, and it is asked no more."""

    @property
    def is_silent(self) -> bool:
        """Whether it has had its time, or cannot be reached now."""
        return not self.has_path or self.hedge_at == inf

    def rule_out(self) -> None:
        """It is not to be chosen, whatever it answers."""
        self.is_wanted = False
        self.repeat_at = self.hedge_at = inf

    def is_stale(self, now: float, last_number: int) -> bool:
        """Whether it has waited too long for its client; ``last_number`` is that of the agent's latest."""
        is_old = self.initiator.is_prepared and now - self.made_at > EPHEMERAL_AGE_S
        return is_old or last_number - self.number > STANDBY_NUMBERS
