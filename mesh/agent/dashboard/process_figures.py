"""What the kernel says of this process, by the names that Prometheus' own clients give it.

Source: "Writing client libraries", prometheus.io/docs/instrumenting/writing_clientlibs, and proc(5).
"""

import os
import resource
import time
from pathlib import Path
from typing import Final

from mesh.agent.dashboard.exposition import Exposition, Family, FamilyKind

VIRTUAL: Final = Family("process_virtual_memory_bytes", FamilyKind.GAUGE, "Virtual memory size in bytes.")
RESIDENT: Final = Family("process_resident_memory_bytes", FamilyKind.GAUGE, "Resident memory size in bytes.")
START_TIME: Final = Family(
    "process_start_time_seconds", FamilyKind.GAUGE, "Start time of the process since unix epoch in seconds."
)
CPU: Final = Family(
    "process_cpu_seconds_total", FamilyKind.COUNTER, "Total user and system CPU time spent in seconds."
)
OPEN: Final = Family("process_open_fds", FamilyKind.GAUGE, "Number of open file descriptors.")
MAX_OPEN: Final = Family("process_max_fds", FamilyKind.GAUGE, "Maximum number of open file descriptors.")

_PROCESS: Final = Path("/proc/self")

_USER, _SYSTEM, _STARTED, _VIRTUAL, _RESIDENT = 11, 12, 19, 20, 21
"""Places in ``stat`` behind the name, which may have blanks and brackets of its own."""


class ProcessFigures:
    """Memory, CPU time and descriptors of this process; nothing where there is no ``/proc``."""

    def __init__(self) -> None:
        self._ticks_per_s: Final = os.sysconf("SC_CLK_TCK")
        started_s = 0.0
        if fields := _stat():
            started_s = int(fields[_STARTED]) / self._ticks_per_s
        # Once: if the clock is set, or drifts, that is no new start.
        self._started_unix_s: Final = round(
            time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + started_s, 2
        )

    def add_to(self, out: Exposition) -> None:
        """Add them, as of now."""
        fields = _stat()
        if not fields:
            return
        out.add(VIRTUAL, [("", int(fields[_VIRTUAL]))])
        out.add(RESIDENT, [("", int(fields[_RESIDENT]) * resource.getpagesize())])
        out.add(START_TIME, [("", self._started_unix_s)])
        out.add(CPU, [("", (int(fields[_USER]) + int(fields[_SYSTEM])) / self._ticks_per_s)])
        out.add(OPEN, [("", sum(1 for _ in (_PROCESS / "fd").iterdir()))])
        out.add(MAX_OPEN, [("", resource.getrlimit(resource.RLIMIT_NOFILE)[0])])


def _stat() -> list[bytes]:
    """What stands behind the name; nothing if it cannot be read."""
    try:
        return (_PROCESS / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
