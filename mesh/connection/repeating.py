"""How often an unanswered OPEN or ACCEPT is repeated."""

from typing import Final

FIRST_REPEAT_S: Final = 0.25
"""First repetition of an unanswered OPEN or ACCEPT; each later one waits twice as long."""

MAX_REPEAT_S: Final = 2.0

REPEATS_TO_DOUBT: Final = 2
"""With this repetition of an OPEN another first hop is asked for, three quarters of a second after the first.
By that it is repeated as at first."""

ANSWER_LOST_S: Final = 0.7
"""An OPEN that comes this long after its answer was not sent before that could arrive, even by satellite."""

PROMPT_S: Final = 0.2
"""An answer this soon after a frame took another first hop is the answer to that. It may be chance, if the
target was slow, so it proves nothing alone."""


def repeat_delay_s(repeats: int) -> float:
    """Seconds until an unanswered OPEN or ACCEPT is repeated, after so many repetitions."""
    return min(MAX_REPEAT_S, FIRST_REPEAT_S * 2.0 ** min(repeats, 8))
