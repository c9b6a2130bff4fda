"""What pings tell of a peer: its round trip, and its death as soon as its time is up, not a period later."""

from typing import Final

PINGS_PER_TIMEOUT: Final = 3
"""Pings within the time after which a silent peer is dead: one lost or late answer is no death."""

TIMER_SLACK_S: Final = 0.01
"""Beyond the time at which a peer is to be judged, for timers that are not exact: judged too early, it would
have to be judged again."""


def ping_period_s(timeout_s: float) -> float:
    """Seconds from one ping to the next, if the peer is alive."""
    return timeout_s / PINGS_PER_TIMEOUT


def next_ping_s(timeout_s: float, silence_s: float) -> float:
    """Seconds until a peer is to be judged, and pinged, once more.

    Args:
        timeout_s: silence after which it is dead.
        silence_s: how long it has given no sign of life. If that is more than ``timeout_s``, this process
            itself stood still, which says nothing of the peer: it then has a period to speak.
    """
    remaining_s = timeout_s - silence_s
    if remaining_s <= 0:
        return ping_period_s(timeout_s)
    return min(ping_period_s(timeout_s), remaining_s + TIMER_SLACK_S)


class Pulse:
    """The pings of one link and the peer's silence; ``now`` is monotonic seconds everywhere.

    Args:
        timeout_s: silence after which the peer is dead.
        now: when the link began.
    """

    __slots__ = ("_answered", "_due_at", "_sent_at", "_timeout_s", "_token", "heard_at")

    def __init__(self, timeout_s: float, now: float) -> None:
        self.heard_at = now
        """When something came from the peer; set by whoever reads, without a call for each read."""
        self._timeout_s = timeout_s
        self._due_at = now
        self._token = 0
        self._sent_at = now
        """When the ping ``_token`` was sent."""
        self._answered = 0
        """Token of the last ping that was answered."""

    def begin(self, now: float) -> None:
        """Measure silence from now on: the link has been admitted."""
        self.heard_at = self._due_at = now

    def is_late(self, now: float) -> bool:
        """Whether this process stood still, for its own timer is late: what the peer sent waits unread."""
        return now - self._due_at > ping_period_s(self._timeout_s)

    def cause_of_death(self, now: float, took_at: float) -> str:
        """Why the peer is dead, or an empty text. If the timer is late, there is no telling.

        Args:
            now: monotonic seconds.
            took_at: when the socket last took anything, if it has no room now; else ``now``.
        """
        if now - self.heard_at >= self._timeout_s:
            return f"silent for {now - self.heard_at:.1f} s"
        if now - took_at >= self._timeout_s:
            return f"the peer has taken nothing for {now - took_at:.1f} s"
        return ""

    def ping(self, now: float, took_at: float, *, within_s: float) -> tuple[int, float]:
        """The token of the ping to send now, and the seconds until the next.

        Args:
            now: monotonic seconds.
            took_at: as above.
            within_s: seconds until something else about the peer is to be judged.
        """
        wait_s = next_ping_s(self._timeout_s, now - min(self.heard_at, took_at))
        wait_s = min(wait_s, within_s + TIMER_SLACK_S)
        self._due_at = now + wait_s
        self._token += 1
        self._sent_at = now
        return self._token, wait_s

    def round_trip_s(self, token: int, now: float) -> float | None:
        """Seconds from the newest ping to its pong; ``None`` if ``token`` is another's or has come before."""
        if token != self._token or token == self._answered:
            return None
        self._answered = token
        return now - self._sent_at
