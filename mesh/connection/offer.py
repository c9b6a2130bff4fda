"""An agent that offers a key, as a connection's ingress sees it."""

from typing import NamedTuple

from mesh.connection.party import Party
from mesh.rtt_steps import RTT_UNIT_S


class Offer(NamedTuple):
    """An agent that offers the key, as the routes tell."""

    party: Party
    is_draining: bool
    """About to leave, or to be spared: taken only after all others."""
    hop_count: int
    rtt_step: int
    """Round trip of the whole path: 0 up to half a millisecond, one more for each doubling."""
    name: str = ""
    """Display name, from the agent's certificate."""
    groups: tuple[str, ...] = ()
    """As well."""

    @property
    def distance(self) -> tuple[bool, int, int]:
        """What equals have in common; the smaller one is better."""
        return self.is_draining, self.hop_count, self.rtt_step

    @property
    def rtt_s(self) -> float:
        """Round trip of the whole path, in seconds: the upper end of its step."""
        return RTT_UNIT_S * 2.0**self.rtt_step
