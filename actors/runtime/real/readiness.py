"""Which readiness of a descriptor its owner hears of, and what reports it."""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from actors.runtime.descriptors import Descriptors
from actors.runtime.seam import ListeningSocket, SocketOwner, StreamSocket, Timer

Watched: TypeAlias = StreamSocket | ListeningSocket

CLOSED: Final = -1
"""What Python says of a closed socket's descriptor."""


class Reactor(Protocol):
    """What reports readiness of descriptors: a :class:`~actors.runtime.real.loop.LoopDispatcher`."""

    @property
    def descriptors(self) -> Descriptors:
        """The process's last ones."""
        ...

    def add_reader(self, fd: int, callback: Callable[..., None], *arguments: object) -> None:
        """Call ``callback`` whenever ``fd`` can be read."""
        ...

    def add_writer(self, fd: int, callback: Callable[..., None], *arguments: object) -> None:
        """Call ``callback`` whenever ``fd`` can be written."""
        ...

    def remove_reader(self, fd: int) -> None:
        """Undo :meth:`add_reader`."""
        ...

    def remove_writer(self, fd: int) -> None:
        """Undo :meth:`add_writer`."""
        ...

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call ``callback`` once, in the loop's next round."""
        ...

    def call_later(self, delay_s: float, callback: Callable[..., None], *arguments: object) -> Timer:
        """Call ``callback`` once, in ``delay_s`` seconds."""
        ...

    def watch_end(self, fd: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the stream ``fd`` is over, if the loop would not go on reporting it."""
        ...

    def forget_end(self, fd: int) -> None:
        """Undo :meth:`watch_end`; nothing happens if there is nothing to undo."""
        ...


class Readiness:
    """Which readiness of one descriptor is reported to its owner: level-triggered, whatever the loop does.

    A stream that is over, broken or finished both ways, can be read and written for ever without waiting. No
    loop needs to be asked about it any more, and libuv's would not answer: it reports an error only once.
    """

    __slots__ = ("_due", "_ends", "_fd", "_over", "_owner", "_reactor", "_reading", "_socket", "_writing")

    def __init__(self, reactor: Reactor, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self._owner: SocketOwner | None = None
        self._socket: Watched | None = None
        """What the owner knows the descriptor as, once it is watched."""
        self._reading = False
        self._writing = False
        self._ends = False
        """Whether the reactor tells when the stream is over."""
        self._over = False
        self._due = False
        """Whether a report of a stream that is over is on its way."""

    @property
    def descriptors(self) -> Descriptors:
        """The process's last ones."""
        return self._reactor.descriptors

    def attach(self, owner: SocketOwner) -> None:
        """Report to ``owner`` from now on; what was watched for an earlier owner is watched no more."""
        if self._reading or self._writing:
            self.stop()
        self._owner = owner

    def watch_end(self) -> None:
        """Have the reactor tell when the stream is over; for connected sockets."""
        self._ends = True
        self._reactor.watch_end(self._fd, self._ended)

    def watch_read(self, enabled: bool, socket_: Watched | None) -> None:
        """Call the owner's ``on_readable`` with ``socket_``, or stop."""
        if enabled != self._reading and self._fd >= 0:
            self._reading = enabled
            if enabled:
                owner, self._socket = self._attached(), socket_
                if self._over:
                    self._report_soon()
                else:
                    self._reactor.add_reader(self._fd, owner.socket_turn, owner.on_readable, socket_)
            elif not self._over:
                self._reactor.remove_reader(self._fd)

    def watch_write(self, enabled: bool, socket_: Watched | None) -> None:
        """Call the owner's ``on_writable`` with ``socket_``, or stop."""
        if enabled != self._writing and self._fd >= 0:
            self._writing = enabled
            if enabled:
                owner, self._socket = self._attached(), socket_
                if self._over:
                    self._report_soon()
                else:
                    self._reactor.add_writer(self._fd, owner.socket_turn, owner.on_writable, socket_)
            elif not self._over:
                self._reactor.remove_writer(self._fd)

    def moved_to(self, fd: int) -> "Readiness":
        """The same owner's readiness for another descriptor; nothing is watched yet."""
        moved = Readiness(self._reactor, fd)
        moved._owner = self._owner
        return moved

    def stop(self) -> None:
        """Watch nothing and let go of the owner."""
        if self._reading:
            self.watch_read(enabled=False, socket_=None)
        if self._writing:
            self.watch_write(enabled=False, socket_=None)
        self._owner = self._socket = None

    def close(self) -> None:
        """Stop for good; needed before the descriptor is closed, whose number another one gets."""
        self.stop()
        if self._ends:
            self._ends = False
            self._reactor.forget_end(self._fd)
        self._fd = CLOSED

    def _attached(self) -> SocketOwner:
        if self._owner is None:
            self._reading = self._writing = False
            raise RuntimeError("a socket is watched before it is attached to its owner")
        return self._owner

    def _ended(self) -> None:
        """The stream is over: report what is watched from here on."""
        if self._over:
            return
        if self._reading:
            self._reactor.remove_reader(self._fd)
        if self._writing:
            self._reactor.remove_writer(self._fd)
        self._over = True
        if self._reading or self._writing:
            self._report_soon()

    def _report_soon(self) -> None:
        if not self._due:
            self._due = True
            self._reactor.call_soon(self._report)

    def _report(self) -> None:
        """Tell the owner, in a round of the loop, and again in the next while it goes on watching."""
        if self._reading and self._owner is not None and self._socket is not None:
            self._owner.socket_turn(self._owner.on_readable, self._socket)
        if self._writing and self._owner is not None and self._socket is not None:
            self._owner.socket_turn(self._owner.on_writable, self._socket)
        self._due = False
        if self._reading or self._writing:
            self._report_soon()
