"""Which readiness of a descriptor its owner hears of, and what reports it."""

import logging
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from pykka import ActorDeadError

from actors.runtime.descriptors import Descriptors
from actors.runtime.real.poller import READ, WRITE, Poller, Watcher
from actors.runtime.seam import ListeningSocket, SocketOwner, StreamSocket, Timer

logger = logging.getLogger(__name__)

Watched: TypeAlias = StreamSocket | ListeningSocket

CLOSED: Final = -1
"""What Python says of a closed socket's descriptor."""


class Reactor(Protocol):
    """What sockets are watched by: a :class:`~actors.runtime.real.loop.LoopDispatcher`."""

    @property
    def descriptors(self) -> Descriptors:
        """The process's last ones."""
        ...

    @property
    def poller(self) -> Poller:
        """Reports readiness."""
        ...

    def call_later(self, delay_s: float, callback: Callable[..., object], *arguments: object) -> Timer:
        """Call ``callback`` once, in ``delay_s`` seconds."""
        ...


class Readiness(Watcher):
    """Which readiness of one descriptor is reported to its owner, level-triggered."""

    __slots__ = ("_owner", "_reactor", "_socket")

    def __init__(self, reactor: Reactor, fd: int) -> None:
        super().__init__(fd)
        self._reactor = reactor
        self._owner: SocketOwner | None = None
        self._socket: Watched | None = None
        """What the owner knows the descriptor as, once it is watched."""

    @property
    def descriptors(self) -> Descriptors:
        """The process's last ones."""
        return self._reactor.descriptors

    def attach(self, owner: SocketOwner) -> None:
        """Report to ``owner`` from now on; what was watched for an earlier owner is watched no more."""
        self.pause()
        self._owner = owner

    def watch_read(self, enabled: bool, socket_: Watched) -> None:
        """Call the owner's ``on_readable`` with ``socket_``, or stop."""
        self._watch(READ, enabled, socket_)

    def watch_write(self, enabled: bool, socket_: Watched) -> None:
        """Call the owner's ``on_writable`` with ``socket_``, or stop."""
        self._watch(WRITE, enabled, socket_)

    def heard(self, events: int) -> None:
        """Tell the owner, in turns of its own; after the first it may want no other, or have handed over."""
        owner, socket_ = self._owner, self._socket
        if owner is None or socket_ is None:
            return
        try:
            if events & READ:
                owner.socket_turn(owner.on_readable, socket_)
            if events & WRITE and self.wanted & WRITE and self._owner is owner:
                owner.socket_turn(owner.on_writable, socket_)
        except ActorDeadError:  # it would be reported for ever, and nobody would take anything
            self.pause()
            logger.error("%r is watched for an actor that has ended without closing it", socket_)  # noqa: TRY400

    def moved_to(self, fd: int) -> "Readiness":
        """The same owner's readiness for another descriptor; nothing is watched yet."""
        moved = Readiness(self._reactor, fd)
        moved._owner = self._owner
        return moved

    def pause(self) -> None:
        """Watch nothing; needed before the descriptor is closed, whose number another one gets."""
        if self.asked:
            self._reactor.poller.forget(self)

    def close(self) -> None:
        """Watch nothing any more, and let go of the owner."""
        self.pause()
        self._owner = self._socket = None
        self.fd = CLOSED

    def _watch(self, event: int, enabled: bool, socket_: Watched) -> None:
        wanted = self.wanted | event if enabled else self.wanted & ~event
        if wanted != self.wanted and self.fd >= 0:
            if self._owner is None:
                raise RuntimeError("a socket is watched before it is attached to its owner")
            self._socket = socket_
            self._reactor.poller.want(self, wanted)
