"""How many descriptors this process has left, in words for its operator, before new connections suffer."""

import logging
import os
import resource
from pathlib import Path
from typing import Final, NamedTuple

from actors.runtime.descriptors import spare_descriptors

SCARCE_SHARE: Final = 5
"""Few are left when they are less than this part of those that connections may take."""

LOOK_S: Final = 10.0
"""How often it is looked for the log."""

REMIND_S: Final = 3_600.0
"""How often the log says it again."""

REMEDY: Final = "allow it more: LimitNOFILE= of its systemd unit, or `ulimit -Hn` of the shell that starts it"

_OPEN: Final = Path("/proc/self/fd")


class DescriptorUse(NamedTuple):
    """As of now."""

    in_use: int
    limit: int
    """``resource.RLIM_INFINITY`` for none."""
    lowest_free: int
    """The number that the next one gets: what new connections are judged by."""

    @property
    def for_connections(self) -> int:
        """So many may be in use while another connection is let in."""
        return self.limit - spare_descriptors(self.limit)

    def shortage(self) -> str | None:
        """What is wrong if new connections are not served."""
        if self.limit == resource.RLIM_INFINITY or self.lowest_free < self.for_connections:
            return None
        return (
            f"no descriptors are left for new connections, which are reset: "
            f"{self.in_use:,} of {self.limit:,} are in use; {REMEDY}"
        )

    def scarcity(self) -> str | None:
        """What an operator should do while new connections are still served, but not many more."""
        few = self.for_connections // SCARCE_SHARE
        is_plenty = self.limit == resource.RLIM_INFINITY or self.for_connections - self.in_use >= few
        if is_plenty or self.shortage():
            return None
        return (
            f"{self.in_use:,} of {self.limit:,} descriptors are in use; from {self.for_connections:,} on "
            f"new connections are reset; {REMEDY}"
        )


def descriptor_use() -> DescriptorUse:
    """That of this process."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        lowest_free = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.close(lowest_free)
        # Linux 6.2 and later say how many there are without a list of them.
        in_use = _OPEN.stat().st_size or len(list(_OPEN.iterdir())) - 1
    except OSError:  # not one is left
        return DescriptorUse(limit, limit, limit)
    return DescriptorUse(in_use, limit, lowest_free)


class DescriptorReminder:
    """When the log is to speak of it: at most once in ``REMIND_S``, unless it gets worse."""

    def __init__(self) -> None:
        self._level = 0
        self._told_at = 0.0

    def due(self, now_unix_s: float) -> tuple[int, str] | None:
        """The level and line to log now, if any."""
        use = descriptor_use()
        if line := use.shortage():
            level = logging.ERROR
        elif line := use.scarcity():
            level = logging.WARNING
        else:
            return None
        if level <= self._level and 0 <= now_unix_s - self._told_at < REMIND_S:
            return None
        self._level, self._told_at = level, now_unix_s
        return level, line

    def wait_s(self, now_unix_s: float) -> float:
        """Seconds until the next look, whenever it is."""
        return LOOK_S
