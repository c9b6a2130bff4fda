"""Many actors on one thread: a dispatcher over an event loop of its own."""

import enum
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from actors.runtime.actor import Actor
from actors.runtime.descriptors import Descriptors
from actors.runtime.real.binding import Binder
from actors.runtime.real.connecting import ConnectAttempt
from actors.runtime.real.event_loop import EventLoop
from actors.runtime.real.look_up import LookUp
from actors.runtime.real.pairs import stream_pair
from actors.runtime.real.resolver import RESOLVER_THREADS, Resolver
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import (
    PLAIN_OPTIONS,
    READ_BUFFER_BYTES,
    Attempt,
    Connected,
    ConnectFailed,
    ListeningSocket,
    NamesResolved,
    Ref,
    SocketOptions,
    StreamSocket,
    Timer,
)
from mesh.addresses import SocketAddress

logger = logging.getLogger(__name__)

M = TypeVar("M")


class _Life(enum.Enum):
    OPEN = "has not been stopped"
    STOPPING = "ends the actors that are left"
    STOPPED = "no actor is left, and none can start"


class LoopDispatcher:
    """An :class:`~actors.runtime.actor.ActorDispatcher` on a thread of its own.

    Args:
        name: the thread's name.
        on_fatal: called once, on the dispatcher's thread, when a handler raised what is no ``Exception`` or
            the loop itself broke. It must not block, and it shuts nothing down itself: it wakes whoever may.
        resolver_threads: how many look-ups may be under way at a time.
    """

    def __init__(
        self,
        name: str = "dispatcher",
        *,
        on_fatal: Callable[[BaseException], None] | None = None,
        resolver_threads: int = RESOLVER_THREADS,
    ) -> None:
        self._on_fatal = on_fatal
        self._fatal_reported = False
        self._loop = EventLoop()
        self.poller = self._loop.poller
        """Reports readiness; for sockets."""
        self.call_later = self._loop.call_later
        """Call a callback once, in so many seconds; for sockets."""
        self._thread = threading.Thread(target=self._run, name=name)
        self._resolver = Resolver(resolver_threads)
        self.descriptors = Descriptors()
        """The process's last ones."""
        self._binder = Binder(self)
        self.read_buffer = memoryview(bytearray(READ_BUFFER_BYTES))
        """The shared buffer to ``recv_into``, valid until the turn ends."""
        self.enqueue_ready = self._loop.turns.enqueue
        """Give a mailbox a turn soon. Any thread may call it."""
        self._actors: dict[Actor[Any], None] = {}
        self._connects: set[ConnectAttempt] = set()
        self._lock = threading.Lock()  # guards what follows, and joining
        self._life = _Life.OPEN

    # Lifecycle, for the composition root; any thread.

    def start(self) -> None:
        """Start the dispatcher's thread.

        Raises:
            RuntimeError: it was started or stopped before.
        """
        if self._life is not _Life.OPEN:
            raise RuntimeError(f"{self._thread.name} has stopped")
        self.descriptors.open()
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """End every actor that is left, last started first, and the thread; return whether that is done.

        Args:
            timeout_s: how long to wait; ``None`` waits for as long as it takes. On the dispatcher's own
                thread this only asks and never waits.
        """
        with self._lock:
            first = self._life is _Life.OPEN
            if first:
                self._life = _Life.STOPPING
        if first:
            if self._thread.ident is None:  # never started: nobody else will tidy up
                self._shut_down()
            else:
                self._loop.stop()
        return self.join(timeout_s)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the thread has ended; return whether it has."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return self._life is _Life.STOPPED and not self._thread.is_alive()

    # The seam; on the dispatcher's thread.

    now = staticmethod(time.monotonic)
    """Monotonic seconds; every handler asks, so there is no call around the call."""

    unix_time = staticmethod(time.time)
    """Wall-clock seconds since 1970."""

    random_bytes = staticmethod(os.urandom)
    """Bytes of the system's generator."""

    uniform = staticmethod(random.random)
    """A draw in [0, 1), not for keys."""

    def schedule(self, ref: Ref[M], delay_s: float, message: M) -> Timer:
        """Send ``message`` to ``ref`` in ``delay_s`` seconds."""
        return self._loop.call_later(max(0.0, delay_s), tell_if_alive, ref, message)

    def bind(self, address: SocketAddress, options: SocketOptions = PLAIN_OPTIONS) -> ListeningSocket:
        """Bind a socket, parked; :mod:`mesh.addresses` says which places an address means.

        Raises:
            OSError: the address is taken or not ours, or the host is neither an IP literal nor ``localhost``.
        """
        return self._binder.bind(address, options)

    def pair(self) -> tuple[StreamSocket, StreamSocket]:
        """Two ends of a stream inside of this process.

        Raises:
            OSError: no descriptor is left for a connection.
        """
        return stream_pair(self)

    def connect(
        self, ref: Ref[Connected | ConnectFailed], address: SocketAddress, token: int, options: SocketOptions
    ) -> Attempt:
        """Connect to a resolved address; ``ref`` hears ``Connected`` or ``ConnectFailed``."""
        attempt = ConnectAttempt(self, ref, address, token, self._connects)
        attempt.begin(options)
        return attempt

    def resolve(self, ref: Ref[NamesResolved], host: str, port: int, token: int) -> Attempt:
        """Look up ``host``, on a resolver thread where need be; ``ref`` hears ``NamesResolved``."""
        look_up = LookUp(ref, token)
        look_up.begin(self._resolver, self._loop, host, port)
        return look_up

    # For the runtime itself.

    def adopt(self, actor: Actor[Any]) -> None:
        """Keep ``actor`` until it ends. Any thread may call it.

        Raises:
            RuntimeError: the dispatcher has stopped.
        """
        with self._lock:
            if self._life is _Life.STOPPED:
                raise RuntimeError(f"{self._thread.name} has stopped and takes no {actor}")
            self._actors[actor] = None

    def forget(self, actor: Actor[Any]) -> None:
        """Let go of ``actor``."""
        self._actors.pop(actor, None)

    def report_fatal(self, actor: Actor[Any], error: BaseException) -> None:
        """Ask the outside to shut down: ``actor`` met an error that no actor may survive."""
        logger.critical("%r in %s: asking for a shutdown", error, actor)
        self._report(error)

    def _run(self) -> None:
        try:
            self._loop.run()
        except BaseException as error:
            logger.critical("%s broke", self._thread.name, exc_info=error)
            self._report(error)
        finally:
            self._shut_down()

    def _shut_down(self) -> None:
        while left := self._left_actors():
            for actor in reversed(left):
                actor.terminate()
        for attempt in list(self._connects):
            attempt.cancel()
        self._resolver.stop()
        self.descriptors.close()
        self._loop.close()

    def _left_actors(self) -> list[Actor[Any]]:
        """The actors to end; once there is none, none can start any more."""
        with self._lock:
            self._life = _Life.STOPPING if self._actors else _Life.STOPPED
            return list(self._actors)

    def _report(self, error: BaseException) -> None:
        if self._fatal_reported or self._on_fatal is None:
            return
        self._fatal_reported = True
        try:
            self._on_fatal(error)
        except Exception:
            logger.exception("Unhandled exception in the fatal error's callback")
