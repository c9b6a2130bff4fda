"""Keys stay in memory: no core dump of this process, and no other process of this user looks into it."""

import contextlib
import ctypes
import os
import resource
from typing import Final

DEBUGGABLE_VARIABLE: Final = "MESH_DEBUGGABLE"
"""Of the environment: ``1`` lets processes of the same user look into an agent, as debuggers and tests do."""

_PR_SET_DUMPABLE: Final = 4
"""prctl(2)"""


def forbid_core_dumps() -> None:
    """Let no file have this process's memory, whatever it dies of.

    Both are needed: the kernel hands dumps to a program (systemd-coredump) whatever the limit of their size.
    Without ``PR_SET_DUMPABLE`` a debugger of the same user could attach as well.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.environ.get(DEBUGGABLE_VARIABLE) == "1":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
