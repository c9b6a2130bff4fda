"""When to ping a peer next, so that its death is noticed when its time is up and not a period later."""

from typing import Final

PINGS_PER_TIMEOUT: Final = 3
"""Pings within the time after which a silent peer is dead: one lost or late answer is no death."""

TIMER_SLACK_S: Final = 0.01
"""Beyond the time at which a silent peer is dead, for timers that are not exact: judged too early, it would
have to be judged again."""


def ping_period_s(timeout_s: float) -> float:
    """Seconds from one ping to the next, where the peer is alive."""
    return timeout_s / PINGS_PER_TIMEOUT


def next_ping_s(timeout_s: float, silence_s: float) -> float:
    """Seconds until a peer is to be judged, and pinged, once more.

    Args:
        timeout_s: silence after which it is dead.
        silence_s: how long it has given no sign of life. More than ``timeout_s`` where that says nothing of
            the peer, because this process itself stood still: then the peer has a period to speak.
    """
    remaining_s = timeout_s - silence_s
    if remaining_s <= 0:
        return ping_period_s(timeout_s)
    return min(ping_period_s(timeout_s), remaining_s + TIMER_SLACK_S)
