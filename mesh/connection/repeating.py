"""How often an unanswered OPEN or ACCEPT is repeated."""

from typing import Final

FIRST_REPEAT_S: Final = 0.25
"""First repetition of an unanswered OPEN or ACCEPT; each later one waits twice as long."""

MAX_REPEAT_S: Final = 2.0


def repeat_delay_s(repeats: int) -> float:
    """Seconds until an unanswered OPEN or ACCEPT is repeated, after so many repetitions."""
    return min(MAX_REPEAT_S, FIRST_REPEAT_S * 2.0 ** min(repeats, 8))
