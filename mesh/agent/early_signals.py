"""Signals that come before an agent can obey them: while it imports itself and reads its configuration.

They wait in the kernel until :meth:`~mesh.agent.events.Events.signals` takes them. SIGHUP asks an agent to
read a configuration that it is about to read, and would end it. SIGTERM and SIGINT may end it at once, but do
not if it is the first process of a container: the kernel keeps from that one what it does not handle.
"""

import os
import signal
from typing import Final

FIRST_PROCESS: Final = 1
"""Its ID, in a container as on a machine."""


def hold_signals() -> None:
    """Have the kernel hold them back; to be called before anything takes time."""
    held = {signal.SIGHUP}
    if os.getpid() == FIRST_PROCESS:
        held |= {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, held)
