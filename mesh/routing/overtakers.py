"""Other runs that speak in this agent's name, as its own record is overtaken by theirs.

A run of before is met with its last record, and so once: one that overtakes again is running, and so is
whoever has a copy of the present instance. It is gone once it has withdrawn, or once all have forgotten its
record because it is not renewed. That it was there is shown for longer, so that who falls silent now and then
is not overlooked.
"""

import math
from typing import Final

from mesh.trust.identity import Instance

OVERTAKEN_FREELY: Final = 3
"""A restart with a clock set back is overtaken once or twice, by what its last run left in the mesh."""

MAX_OVERTAKERS: Final = 8
"""Instances of other runs that are recognised when they overtake again."""

TWIN_SHOWN_S: Final = 600.0
"""How long an agent warns of another with its key after it has heard of it."""


class Overtakers:
    """Those of one run; ``now`` is monotonic seconds.

    Args:
        own: the run's instance.
    """

    __slots__ = ("_heard_at", "_met", "_own", "_running")

    def __init__(self, own: Instance) -> None:
        self._own = own
        self._met: tuple[Instance, ...] = ()
        """Instances of records that overtook this agent's own."""
        self._running: dict[Instance, float] = {}
        """Those that are known to run, and when each was heard of last, the latest at the end."""
        self._heard_at = -math.inf
        """When one that was known to run was heard of last."""

    def met(self, instance: Instance, times: int, now: float) -> bool:
        """A record of ``instance`` has overtaken, one of ``times`` of late.

        Returns:
            Whether this instance had done so before, or is the present one.
        """
        comes_again = instance in self._met or instance == self._own
        self._met = (*self._met, instance)[-MAX_OVERTAKERS:]
        if comes_again or times > OVERTAKEN_FREELY:
            self._heard_at = now
            self._running.pop(instance, None)
            self._running[instance] = now
            if len(self._running) > MAX_OVERTAKERS:
                del self._running[next(iter(self._running))]
        return comes_again

    def left(self, instance: Instance) -> bool:
        """A record by which ``instance`` withdraws has come; whether that is another than the present one."""
        if instance == self._own:
            return False
        self._running.pop(instance, None)
        return True

    def any_runs(self, now: float, renewed_within_s: float) -> bool:
        """Whether one runs that has not withdrawn.

        Args:
            now: monotonic seconds.
            renewed_within_s: the age at which records expire.
        """
        return any(now < at + min(renewed_within_s, TWIN_SHOWN_S) for at in self._running.values())

    def any_ran(self, now: float) -> bool:
        """Whether one has run within ``TWIN_SHOWN_S``."""
        return now < self._heard_at + TWIN_SHOWN_S
