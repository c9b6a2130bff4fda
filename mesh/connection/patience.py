"""How long an ingress waits for an exit before it looks further."""

from typing import Final

HEDGE_AFTER_S: Final = 0.5
"""Silence after which another candidate is tried beside the silent one: what a client waits for an exit that
hangs. The OPEN has been repeated by then; half a second takes it around the world and on to the target."""

HEDGE_ROUND_TRIPS: Final = 2
"""Silence of so many round trips of the path, if that is longer: one for the OPEN and its answer, one for the
exit to connect to a target that is far away too."""

RETRY_AFTER_S: Final = 0.1
"""Pause before an exit whose endpoint or agent is being started again is asked again. An endpoint that has
crashed for the first time is back after 50 ms."""

RESTART_PATIENCE_S: Final = 2.0
"""How long an exit that is being started again may take to offer the key: an agent that starts does so within
a second."""

_HEDGE_SHARE: Final = 4
"""No candidate is waited for alone longer than this part of the time budget, so that even in a short one
several get a turn."""


def patience_s(rtt_s: float, open_timeout_s: float) -> float:
    """Seconds of silence that are normal for an exit at the end of a path.

    Args:
        rtt_s: round trip of the path, in seconds.
        open_timeout_s: the whole time for opening, in seconds.
    """
    return min(max(HEDGE_AFTER_S, HEDGE_ROUND_TRIPS * rtt_s), open_timeout_s / _HEDGE_SHARE)
