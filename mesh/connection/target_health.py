"""Whether a target counts as up, from checks that pass and fail.

The first check decides at once. After that it takes several equal results in a row to change the verdict, so
that one lost packet does not withdraw a key and one lucky connect does not bring it back.
"""

import enum
from types import MappingProxyType
from typing import Final


class Health(enum.Enum):
    """What is known of a target."""

    UNKNOWN = "unknown"
    """Not checked yet."""
    PRESUMED = "presumed up"
    """Was up, or was not looked at, before it or its check was changed; not checked since."""
    UP = "up"
    DOWN = "down"


class Outcome(enum.Enum):
    """What a check adds to those before it."""

    PASSED = "passed"
    PASSED_ENOUGH = "passed often enough in a row"
    FAILED = "failed"
    FAILED_ENOUGH = "failed often enough in a row"


TRANSITIONS: Final = MappingProxyType(
    {
        (Health.UNKNOWN, Outcome.PASSED): Health.UP,
        (Health.UNKNOWN, Outcome.PASSED_ENOUGH): Health.UP,
        (Health.UNKNOWN, Outcome.FAILED): Health.DOWN,
        (Health.UNKNOWN, Outcome.FAILED_ENOUGH): Health.DOWN,
        (Health.PRESUMED, Outcome.PASSED): Health.UP,
        (Health.PRESUMED, Outcome.PASSED_ENOUGH): Health.UP,
        (Health.PRESUMED, Outcome.FAILED): Health.DOWN,
        (Health.PRESUMED, Outcome.FAILED_ENOUGH): Health.DOWN,
        (Health.UP, Outcome.PASSED): Health.UP,
        (Health.UP, Outcome.PASSED_ENOUGH): Health.UP,
        (Health.UP, Outcome.FAILED): Health.UP,
        (Health.UP, Outcome.FAILED_ENOUGH): Health.DOWN,
        (Health.DOWN, Outcome.PASSED): Health.DOWN,
        (Health.DOWN, Outcome.PASSED_ENOUGH): Health.UP,
        (Health.DOWN, Outcome.FAILED): Health.DOWN,
        (Health.DOWN, Outcome.FAILED_ENOUGH): Health.DOWN,
    }
)


class HealthMonitor:
    """Keeps the verdict on one target.

    Args:
        unhealthy_after: failures in a row that make it ``DOWN``, at least 1.
        healthy_after: passes in a row that make it ``UP`` again, at least 1.
        state: what is known before the first check.
    """

    __slots__ = ("_healthy_after", "_last_passed", "_run", "_unhealthy_after", "state")

    def __init__(self, *, unhealthy_after: int, healthy_after: int, state: Health = Health.UNKNOWN) -> None:
        self._unhealthy_after = unhealthy_after
        self._healthy_after = healthy_after
        self._last_passed = False
        self._run = 0
        """Equal results in a row, up to the last."""
        self.state = state

    @property
    def lets_in(self) -> bool:
        """Whether connections may go there."""
        return self.state in (Health.UP, Health.PRESUMED)

    def observe(self, *, passed: bool) -> bool:
        """Take the result of a check; return whether the verdict changed."""
        self._run = self._run + 1 if passed is self._last_passed else 1
        self._last_passed = passed
        if passed:
            enough = self._run >= self._healthy_after
            outcome = Outcome.PASSED_ENOUGH if enough else Outcome.PASSED
        else:
            enough = self._run >= self._unhealthy_after
            outcome = Outcome.FAILED_ENOUGH if enough else Outcome.FAILED
        before, self.state = self.state, TRANSITIONS[self.state, outcome]
        return self.state is not before
