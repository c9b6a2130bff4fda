"""Streams that have ended for good, told to an event loop that reports an error once and then forgets it.

libuv (uvloop) stops watching a descriptor that shows ``EPOLLERR``, after one report. So an owner that leaves
something unread behind a reset would never hear of it. A second epoll instance, which the loop watches, waits
for nothing but the errors and hang-ups of streams: it costs one system call a stream and none a read.
"""

import select
from collections.abc import Callable
from typing import Final

MAX_ENDS: Final = 256
"""Ends taken note of at a time; the rest is told in the loop's next round."""


class StreamEnds:
    """Calls back once a stream is over: broken, or finished both ways. From then on it never blocks."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def fileno(self) -> int:
        """The descriptor to watch; whenever it is readable, :meth:`tell` is due."""
        return self._epoll.fileno()

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call ``callback``, which runs no actor, when the stream is over; until :meth:`forget`."""
        self._epoll.register(fd, select.EPOLLET)  # errors and hang-ups are always included: epoll_ctl(2)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Undo :meth:`watch` of a descriptor that is closed next, which the kernel forgets then: epoll(7)."""
        self._callbacks.pop(fd, None)

    def tell(self) -> None:
        """Call back for every stream that is over since the last time."""
        for fd, _ in self._epoll.poll(0, MAX_ENDS):
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback()

    def close(self) -> None:
        """Watch nothing any more."""
        self._callbacks.clear()
        self._epoll.close()
