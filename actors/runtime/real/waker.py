"""Wakes a loop that waits for sockets and timers, from any thread."""

import os
import threading
from typing import Final

from actors.runtime.real.poller import READ, Poller, Watcher

_CLOSED: Final = -1


class Waker(Watcher):
    """A counter of the kernel's (eventfd(2)) that a loop watches.

    The loop sets ``asleep`` and then looks whether there is work; whoever brings work does that
    first, and then looks at ``asleep``. So one of the two sees the other, without a lock.
    """

    __slots__ = ("_lock", "asleep")

    def __init__(self, poller: Poller) -> None:
        super().__init__(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        self.asleep = False
        """Whether the loop waits, or is about to: then whoever brings work calls :meth:`wake`."""
        self._lock = threading.Lock()
        """Guards the descriptor, whose number another file may get."""
        poller.want(self, READ)

    def wake(self) -> None:
        """Let the loop go on, unless it has ended. Any thread may call it, but no signal handler."""
        self.asleep = False
        with self._lock:
            if self.fd != _CLOSED:
                os.eventfd_write(self.fd, 1)

    def heard(self, events: int) -> None:
        """Be awake."""
        os.eventfd_read(self.fd)

    def close(self) -> None:
        """Wake nobody any more."""
        self.asleep = False
        with self._lock:
            if self.fd != _CLOSED:
                os.close(self.fd)
                self.fd = _CLOSED
