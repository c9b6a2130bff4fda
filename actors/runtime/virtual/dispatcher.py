"""A dispatcher in a simulated world: one process on one host, on virtual time and an in-memory network."""

import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from pykka import ActorDeadError

from actors.runtime.actor import Actor
from actors.runtime.mailbox import Mailbox
from actors.runtime.seam import (
    PLAIN_OPTIONS,
    Attempt,
    Connected,
    ConnectFailed,
    ListeningSocket,
    NamesResolved,
    Ref,
    SocketOptions,
    SocketOwner,
    StreamSocket,
    Timer,
)
from actors.runtime.virtual.clock import Trace, VirtualClock
from actors.runtime.virtual.connect import ConnectAttempt
from actors.runtime.virtual.host import VirtualHost
from actors.runtime.virtual.network import VirtualNetwork
from actors.runtime.virtual.os_error import os_error
from mesh.addresses import SocketAddress, TcpAddress

logger = logging.getLogger(__name__)

M = TypeVar("M")

TURN_ENVELOPES: Final = 64
"""Most that an actor handles before others get their turn."""

RESOLVE_S: Final = 0.001
"""What looking up a name takes."""


class World(Protocol):
    """What a dispatcher needs of its world."""

    clock: VirtualClock
    trace: Trace
    network: VirtualNetwork
    read_buffer: memoryview
    unix_start_s: float

    def announce(self, dispatcher: "VirtualDispatcher") -> None:
        """Let ``dispatcher`` run its turns before time moves on."""
        ...

    def report_fatal(self, error: BaseException) -> None:
        """Let whoever runs the world have ``error``."""
        ...


class _SocketTurn:
    """A turn in which an actor hears of a socket."""

    __slots__ = ("_attachment", "_owner", "_report")

    def __init__(self, owner: SocketOwner, report: Callable[[int], None], attachment: int) -> None:
        self._owner = owner
        self._report = report
        self._attachment = attachment

    @property
    def owner_name(self) -> str:
        return type(self._owner).__name__

    def run(self) -> None:
        # Owners are actors: their failure ends them and nothing else; one may have ended meanwhile.
        with contextlib.suppress(ActorDeadError):
            self._owner.socket_turn(self._report, self._attachment)


class VirtualDispatcher:
    """The :class:`~actors.runtime.seam.Dispatcher` of one simulated process; a world makes it.

    Args:
        seed: Where this process's randomness comes from; another one for each start of a host's process.
        clock_skew_s: How far the host's wall clock is ahead.
    """

    def __init__(self, world: World, host: VirtualHost, *, seed: str, clock_skew_s: float) -> None:
        self.clock_skew_s = clock_skew_s
        self._world = world
        self._host = host
        # Two streams: one more draw for jitter must not change all keys after it. Nothing here is secret.
        self._key_stream = random.Random(f"{seed} keys")  # noqa: S311
        self._jitter_stream = random.Random(f"{seed} jitter")  # noqa: S311
        self._ready: deque[Mailbox | _SocketTurn] = deque()
        self._announced = False
        self._paused = False
        self._alive = True
        self._actors: dict[Mailbox, Actor[Any]] = {}
        host.turns = self

    def __repr__(self) -> str:
        return f"<VirtualDispatcher {self._host.name}>"

    @property
    def host_name(self) -> str:
        """The host that this process runs on."""
        return self._host.name

    @property
    def is_alive(self) -> bool:
        """Whether the process runs; it may be paused."""
        return self._alive

    @property
    def actors(self) -> tuple[Actor[Any], ...]:
        """Those that have not ended, in the order of their start; for tests."""
        return tuple(self._actors.values())

    @property
    def open_sockets(self) -> int:
        """Sockets that the process holds open."""
        return self._host.open_sockets

    # The seam.

    @property
    def read_buffer(self) -> memoryview:
        """The buffer to ``recv_into``, valid until the turn ends: the world's, which has one thread."""
        return self._world.read_buffer

    def now(self) -> float:
        """Seconds since the world's start."""
        return self._world.clock.now

    def unix_time(self) -> float:
        """The host's wall clock, in seconds since 1970."""
        return self._world.unix_start_s + self._world.clock.now + self.clock_skew_s

    def random_bytes(self, count: int) -> bytes:
        """The next bytes of this process's seeded stream."""
        return self._key_stream.randbytes(count)

    def uniform(self) -> float:
        """The next draw in [0, 1) of this process's seeded stream."""
        return self._jitter_stream.random()

    def schedule(self, ref: Ref[M], delay_s: float, message: M) -> Timer:
        """Send ``message`` to ``ref`` in ``delay_s`` seconds; a dead actor by then is no error."""
        return self._world.clock.after(delay_s, lambda: self._tell(ref, message))

    def bind(self, address: SocketAddress, options: SocketOptions = PLAIN_OPTIONS) -> ListeningSocket:
        """Bind a socket, parked.

        Raises:
            OSError: the address is taken or not the host's, or the process has too many sockets.
        """
        return self._host.bind(address, options)

    def pair(self) -> tuple[StreamSocket, StreamSocket]:
        """Two ends of a stream inside of this process.

        Raises:
            OSError: the process has too many sockets.
        """
        return self._world.network.pair(self._host)

    def connect(
        self, ref: Ref[Connected | ConnectFailed], address: SocketAddress, token: int, options: SocketOptions
    ) -> Attempt:
        """Connect to ``address``, whose host may also be a simulated host's name."""
        attempt = ConnectAttempt(
            self._world.network,
            self._host,
            address,
            options=options,
            on_connected=lambda socket: self._connected(ref, Connected(token, socket), socket),
            on_failed=lambda number: self._tell(
                ref, ConnectFailed(token, number, os_error(number).strerror or "unknown error")
            ),
        )
        attempt.start()
        return attempt

    def resolve(self, ref: Ref[NamesResolved], host: str, port: int, token: int) -> Attempt:
        """Look up ``host`` among the names that the network knows by then."""
        return self._world.clock.after(RESOLVE_S, lambda: self._resolved(ref, host, port, token))

    # For actors' starts and ends.

    def enqueue_ready(self, mailbox: Mailbox) -> None:
        """Give ``mailbox`` a turn at this instant, after those that are due already."""
        self._ready.append(mailbox)
        self._announce()

    def adopt(self, actor: Actor[Any]) -> None:
        """Keep ``actor``, which starts here.

        Raises:
            RuntimeError: the process has ended.
        """
        if not self._alive:
            raise RuntimeError(f"the process on {self._host.name} has ended")
        self._actors[actor.actor_inbox] = actor

    def forget(self, actor: Actor[Any]) -> None:
        """Let go of ``actor``, which has ended."""
        self._actors.pop(actor.actor_inbox, None)

    def report_fatal(self, actor: Actor[Any], error: BaseException) -> None:
        """Raise ``error`` out of the world's run, at the end of this turn."""
        self._world.trace.note("fatal", self._host.name, f"{type(actor).__name__} {type(error).__name__}")
        self._world.report_fatal(error)

    # For the network and the world.

    def post_turn(self, owner: SocketOwner, report: Callable[[int], None], attachment: int) -> None:
        """Run ``report``, which tells ``owner`` of a socket, as a turn of the owner's."""
        self._ready.append(_SocketTurn(owner, report, attachment))
        self._announce()

    def run_next(self) -> bool:
        """Run one turn; whether another is due at this instant."""
        if self._ready and self._alive and not self._paused:
            turn = self._ready.popleft()
            if isinstance(turn, Mailbox):
                actor = self._actors.get(turn)
                taken = turn.run(TURN_ENVELOPES)
                if actor is not None:
                    self._world.trace.note("turn", self._host.name, f"{type(actor).__name__} {taken}")
            else:
                self._world.trace.note("turn", self._host.name, f"{turn.owner_name} socket")
                turn.run()
        self._announced = bool(self._ready) and self._alive and not self._paused
        return self._announced

    def pause(self) -> None:
        """Run no turns until :meth:`resume`, as on SIGSTOP; the host's kernel goes on."""
        self._world.trace.note("paused", self._host.name)
        self._paused = True

    def resume(self) -> None:
        """Run turns again, those first that have been due."""
        self._world.trace.note("resumed", self._host.name)
        self._paused = False
        if self._ready:
            self._announce()

    def crash(self) -> None:
        """End the process at once, as on SIGKILL: its connections are reset, its actors do nothing more."""
        self._world.trace.note("crashed", self._host.name)
        self._alive = False
        self._host.turns = None
        self._world.network.kill(self._host)
        self._ready.clear()
        for actor in self.actors:
            actor.vanish()

    def stop(self) -> None:
        """End all actors, the last started first, and then the process; not from inside a turn."""
        while self._actors:
            next(reversed(self._actors.values())).terminate()
        if self._alive:
            self._world.trace.note("stopped", self._host.name)
            self._alive = False
            self._host.turns = None
            self._world.network.kill(self._host)
            self._ready.clear()

    def _announce(self) -> None:
        if not self._announced and self._alive and not self._paused:
            self._announced = True
            self._world.announce(self)

    def _tell(self, ref: Ref[M], message: M) -> None:
        if not self._alive:
            return
        self._world.trace.note("told", self._host.name, type(message).__name__)
        try:
            ref.tell(message)
        except ActorDeadError:
            logger.debug("%s came after the end of %s", type(message).__name__, ref)

    def _connected(self, ref: Ref[Connected], message: Connected, socket: StreamSocket) -> None:
        self._world.trace.note("connected", self._host.name, socket.peer_name)
        try:
            ref.tell(message)
        except ActorDeadError:
            socket.close()

    def _resolved(self, ref: Ref[NamesResolved], host: str, port: int, token: int) -> None:
        addresses = tuple(TcpAddress(literal, port) for literal in self._world.network.look_up(host))
        reason = "" if addresses else f"cannot resolve {host!r}: Name or service not known"
        self._tell(ref, NamesResolved(token, addresses, reason))
