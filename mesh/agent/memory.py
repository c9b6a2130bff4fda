"""How the C library's allocator treats what an agent frees."""

import contextlib
import ctypes
from typing import Final

TRIM_THRESHOLD_BYTES: Final = 64 * 1024 * 1024
"""Freed memory that glibc keeps instead of giving it back to the kernel.

Every 64 KiB segment allocates its bytes and frees them soon. With the default threshold of 128 KiB each one
costs about ten page faults: 110 us to seal and open a segment, against 81 us with this.
"""

_M_TRIM_THRESHOLD: Final = -1
"""mallopt(3)"""


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory at hand; nothing happens with another C library."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
