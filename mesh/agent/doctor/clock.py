"""Whether anything keeps this machine's clock right, as far as the kernel knows."""

import ctypes
from collections.abc import Iterator
from typing import Final

from mesh.agent.doctor.check import About, Check, Level

TIME_ERROR: Final = 5
"""What adjtimex(2) answers if the clock is not synchronised."""

TIMEX_BYTES: Final = 512
"""More than ``struct timex`` has; zeros ask, and change nothing."""


def kernel_clock_checks() -> Iterator[Check]:
    """A note if nothing does; nothing if something does, or nobody knows."""
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return
    if answer == TIME_ERROR:
        what = "the kernel does not know of anything that keeps this machine's clock right"
        remedy = "timedatectl set-ntp true, unless the machine's host keeps the time"
        yield Check(About.CLOCK, Level.NOTE, what, remedy)
