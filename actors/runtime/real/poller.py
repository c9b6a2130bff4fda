"""Readiness of descriptors, level-triggered: who hears of which, by Linux's epoll."""

import select
from typing import Final

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
_BOTH: Final = READ | WRITE

_OVER: Final = select.EPOLLERR | select.EPOLLHUP
"""Always reported, wanted or not: an error, or a stream that both ends have finished. Reading and writing do
not wait from then on. Source: epoll_ctl(2)."""

MAX_WAIT_S: Final = 3600.0
"""The kernel counts milliseconds in 31 bits: 24 days."""

MAX_REPORTS: Final = 256
"""Descriptors told of at a time; the kernel begins with the others the next time."""


class Watcher:
    """What hears of one descriptor's readiness; a poller keeps it while anything is wanted."""

    __slots__ = ("added_at", "asked", "fd", "wanted")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.wanted = 0
        """``READ``, ``WRITE``, both or 0; the poller's."""
        self.asked = 0
        """What the kernel was asked to report: all that is wanted, and perhaps more."""
        self.added_at = 0
        """In which round the poller has added it."""

    def heard(self, events: int) -> None:
        """Hear that the descriptor can be read, written, or both without waiting; what is wanted of it."""
        raise NotImplementedError


class Poller:
    """An epoll instance, and the watchers of what it reports.

    A descriptor that nobody reads any more stays with the kernel until that reports something: a pause costs
    no system call. Room to write is reported nearly always, so the kernel is told at once.
    """

    __slots__ = ("_epoll", "_watchers", "round")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watchers: dict[int, Watcher] = {}
        self.round = 0
        """How often reports have been told."""

    def want(self, watcher: Watcher, events: int) -> None:
        """Tell ``watcher`` from now on of ``events``, and of nothing else.

        Raises:
            OSError: the kernel takes no more (``ENOSPC``, ``ENOMEM``); the watcher hears what it did before.
        """
        if events & ~watcher.asked or watcher.asked & ~events & WRITE:
            self._ask(watcher, events)
        watcher.wanted = events

    def forget(self, watcher: Watcher) -> None:
        """Tell ``watcher`` nothing any more; needed before its descriptor is closed."""
        watcher.wanted = 0
        if watcher.asked:
            self._ask(watcher, 0)

    def wait(self, timeout_s: float) -> list[tuple[int, int]]:
        """What is ready, once something is, the time is over, or an hour has passed."""
        return self._epoll.poll(min(timeout_s, MAX_WAIT_S), MAX_REPORTS)

    def tell(self, reports: list[tuple[int, int]]) -> None:
        """Tell the watchers of what :meth:`wait` gave."""
        self.round += 1
        watchers = self._watchers
        for fd, seen in reports:
            watcher = watchers.get(fd)
            # Added since: the report is of another descriptor of that number, which has been closed.
            if watcher is None or watcher.added_at == self.round:
                continue
            events = _BOTH if seen & _OVER else seen
            if events & watcher.asked & ~watcher.wanted:
                self._ask(watcher, watcher.wanted)
            wanted = events & watcher.wanted
            if wanted:
                watcher.heard(wanted)

    def close(self) -> None:
        """Tell nobody anything any more; a watcher may still be forgotten."""
        for watcher in self._watchers.values():
            watcher.asked = 0
        self._watchers.clear()
        self._epoll.close()

    def _ask(self, watcher: Watcher, events: int) -> None:
        """Have the kernel report ``events`` and no more."""
        fd = watcher.fd
        if not events:
            watcher.asked = 0
            del self._watchers[fd]
            self._drop(fd)
            return
        if watcher.asked:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
            self._watchers[fd] = watcher
            watcher.added_at = self.round
        watcher.asked = events

    def _drop(self, fd: int) -> None:
        try:
            self._epoll.unregister(fd)
        except OSError:  # the kernel has forgotten it: the descriptor or this instance has been closed
            return
