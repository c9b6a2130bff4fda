"""How often one peer's links are let in."""

from typing import Final

from mesh.remembered import Remembered
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

ADMISSION_RATE: Final = 1.0
"""Links a second that one identity is let in with: each costs a digest of all records, and routes."""

ADMISSION_BURST: Final = 30.0
"""At once: a peer that is restarted again and again, and dials several addresses."""


class Arrivals:
    """The links that peers have begun; ``now`` is monotonic seconds."""

    __slots__ = ("_rates",)

    def __init__(self) -> None:
        self._rates: Remembered[AgentId, TokenBucket] = Remembered(
            lambda: TokenBucket(ADMISSION_RATE, ADMISSION_BURST)
        )

    def may_come(self, peer_id: AgentId, now: float) -> bool:
        """Whether a link that ``peer_id`` has begun is let in."""
        return self._rates.of(peer_id, now).take(now)
