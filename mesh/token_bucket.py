"""A token bucket: at most ``rate`` events a second in the long run, ``burst`` at once."""

from math import inf


class TokenBucket:
    """Counts down from ``burst``, refills at ``rate`` a second; a clock that steps back refills nothing."""

    __slots__ = ("_burst", "_rate", "_tokens", "_updated_at")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._updated_at = -inf

    def has(self, now: float, amount: float = 1.0) -> bool:
        """Whether there are ``amount`` tokens at monotonic time ``now`` (s)."""
        self._refill(now)
        return self._tokens >= amount

    def take(self, now: float, amount: float = 1.0, *, keep: float = 0.0) -> bool:
        """Take ``amount`` tokens at monotonic time ``now`` (s); False if that leaves less than ``keep``."""
        elapsed_s = now - self._updated_at
        if elapsed_s > 0:  # as in _refill(), without a call for each OPEN and record
            self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate)
            self._updated_at = now
        if self._tokens < amount + keep:
            return False
        self._tokens -= amount
        return True

    def spend(self, now: float, amount: float = 1.0) -> None:
        """Take ``amount`` tokens at monotonic time ``now`` (s); what is not there is owed."""
        self._refill(now)
        self._tokens -= amount

    def give_back(self) -> None:
        """Put back a token that was taken for nothing."""
        self._tokens = min(self._burst, self._tokens + 1.0)

    def wait_s(self, now: float) -> float:
        """Seconds from monotonic time ``now`` (s) until there is a token; 0 if there is one."""
        self._refill(now)
        return max(0.0, (1.0 - self._tokens) / self._rate)

    def _refill(self, now: float) -> None:
        elapsed_s = now - self._updated_at
        if elapsed_s > 0:
            self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate)
            self._updated_at = now
