"""Which epochs are believed."""

from typing import Final

EPOCH_AHEAD_S: Final = 86_400.0
"""An epoch that is further ahead of the clock is refused: else one signature, by somebody who had an agent's
key for a moment, would bury the agent for good. Clocks that differ by less than this do no harm."""


def within_a_day(epoch: int, unix_now: float) -> bool:
    """Whether an epoch is one that an agent may have by now, by a clock that shows ``unix_now``."""
    return epoch <= (unix_now + EPOCH_AHEAD_S) * 1000
