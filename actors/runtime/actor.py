"""The base actor: a Pykka actor that runs on a dispatcher and leaves nothing behind, however it ends."""

import contextlib
import itertools
import logging
import sys
from collections.abc import Callable
from typing import Any, ClassVar, Generic, ParamSpec, Protocol, TypeVar

import pykka
from mypy_extensions import mypyc_attr
from pykka import ActorDeadError
from pykka._envelope import Envelope

from actors.runtime.class_checks import checks_for_itself
from actors.runtime.fatal import raise_fatal
from actors.runtime.mailbox import PYKKA_MESSAGES, Mailbox, TurnOver, Watch
from actors.runtime.owned_timer import OwnedTimer
from actors.runtime.reference import ActorRef
from actors.runtime.registry import register, unregister
from actors.runtime.seam import AnyRef, Dispatcher, ListeningSocket, Ref, StreamSocket, Timer
from actors.runtime.stop_flag import StopFlag

logger = logging.getLogger(__name__)

M = TypeVar("M")
P = ParamSpec("P")
N = TypeVar("N")
S = TypeVar("S", bound=StreamSocket | ListeningSocket)

_numbers = itertools.count(1)


class ActorDispatcher(Dispatcher, Protocol):
    """What a dispatcher is to the runtime itself, beyond the seam that actors see.

    A dispatcher gives turns by calling :meth:`Mailbox.run` on its own thread, never from inside another turn,
    and ends what is left with :meth:`Actor.terminate` when it stops. Its sockets report readiness through
    :meth:`Actor.socket_turn`.
    """

    def enqueue_ready(self, mailbox: Mailbox) -> None:
        """Give ``mailbox`` a turn soon, in order of calls. Any thread may call it."""
        ...

    def adopt(self, actor: "Actor[Any]") -> None:
        """Keep ``actor``, which starts here, until :meth:`forget`. Any thread may call it.

        Raises:
            RuntimeError: the dispatcher has stopped.
        """
        ...

    def forget(self, actor: "Actor[Any]") -> None:
        """Let go of ``actor``, which has ended."""
        ...

    def report_fatal(self, actor: "Actor[Any]", error: BaseException) -> None:
        """Ask whoever owns the process to shut down: ``actor`` met an error that no actor may survive."""
        ...


@mypyc_attr(allow_interpreted_subclasses=True)
class Actor(pykka.Actor, Generic[M]):
    """An actor on a dispatcher that takes messages of type ``M``.

    Subclasses implement :meth:`on_receive` and, for what they must tidy up, :meth:`release`. Handlers, socket
    readiness and hooks run on the dispatcher's thread, one at a time. What Pykka says of ``on_start``,
    ``on_stop`` and ``on_failure`` holds, after an ``Exception``; an error in socket readiness counts as one
    under ``tell``. Other than in Pykka, an ``actor_urn`` counts up and is no UUID, and what is no
    ``Exception`` (``SystemExit``, for one) ends its actor without ``on_stop``, reaches ``on_failure`` under
    ``tell`` like an error, and makes the whole process shut down in order; Pykka's ``on_stop`` runs then, on
    every actor.
    """

    # Python is fast with objects that have up to 30 attributes, those in slots aside. A class that would have
    # more puts its own into slots, too: else each call of a method looks for it from the start.
    __slots__ = (
        "_actor_ref",
        "_dispatcher",
        "_flag",
        "_has_ended",
        "_is_set_up",
        "_mailbox",
        "_own_socket",
        "_sockets",
        "_timers",
        "_watches",
        "actor_inbox",
        "actor_stopped",
        "actor_urn",
        "dispatcher",
        "now",
        "ref",
    )

    # Of these Pykka's class tells, too; named here they have places of their own where this is compiled.
    actor_urn: str
    actor_inbox: Mailbox
    actor_stopped: StopFlag  # type: ignore[assignment] # it stands in for the Event
    _ends_turns: ClassVar[bool] = False
    """Whether :meth:`on_turn_over` does anything."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        checks_for_itself(cls)
        cls._ends_turns = cls.on_turn_over is not Actor.on_turn_over

    def __init__(self, dispatcher: Dispatcher) -> None:
        # Not Pykka's constructor: its uuid4 and Event cost more than all the rest of an actor's start, and a
        # random name makes two runs of one simulation differ.
        self.actor_urn = f"urn:actor:{next(_numbers)}"
        self.actor_inbox = self._mailbox = self._create_actor_inbox()
        self._mailbox.resident = self  # from now on proxies may be made of it
        self._flag = StopFlag()
        self.actor_stopped = self._flag
        self._actor_ref: ActorRef[M] = ActorRef(type(self), self.actor_urn, self._mailbox, self._flag)
        self.ref: Ref[M] = self._actor_ref
        """This actor's own reference, to give to others."""
        self.dispatcher = dispatcher
        """Where this actor runs, and what it starts its children on."""
        # Actors, which pass it on, know it as the seam has it; what it is to the runtime is more.
        self._dispatcher: ActorDispatcher = _to_the_runtime(dispatcher)
        self.now = dispatcher.now
        """Monotonic seconds, since an arbitrary start."""
        self._is_set_up = self._has_ended = False
        self._timers: set[OwnedTimer[M]] | None = None
        self._own_socket: StreamSocket | ListeningSocket | None = None
        """The only one, as most actors have: a dictionary takes 240 bytes."""
        self._sockets: dict[StreamSocket | ListeningSocket, None] | None = None
        """All, of an actor that has had several."""
        self._watches: dict[Watch[M], None] | None = None

    @classmethod
    def start(cls: "Callable[P, Actor[M]]", *args: P.args, **kwargs: P.kwargs) -> "ActorRef[M]":
        """Create the actor at once and run it on its dispatcher; any thread may call it.

        Raises:
            RuntimeError: the dispatcher has stopped.
        """
        # Not Pykka's: it formats two lines of log for each actor, whether or not anybody reads them.
        actor = cls(*args, **kwargs)
        register(actor._actor_ref)
        actor._start_actor_loop()
        return actor._actor_ref

    def on_receive(self, message: M) -> Any:
        """Handle one message; what it returns answers an ``ask``."""
        return super().on_receive(message)

    def release(self) -> None:
        """Let go of what this actor holds. Called exactly once, however it ends, after Pykka's own hooks.

        Own sockets are still open and others can still be told; sockets, timers, watches end right after it.
        """

    def schedule(self, delay_s: float, message: M) -> Timer:
        """Send ``message`` to this actor in ``delay_s`` seconds, unless it has ended by then.

        A message that already waits in the mailbox cannot be cancelled any more: put a generation into it.
        """
        timers = self._timers
        if timers is None:
            timers = self._timers = set()
        timer = OwnedTimer(timers, self._actor_ref)
        timer.inner = self._dispatcher.schedule(timer, delay_s, message)
        return timer

    def stop_now(self) -> None:
        """End after this handler, without the rest of the mailbox; nothing happens if it has ended."""
        if not self.actor_stopped.raised:
            self._stop()

    def own(self, socket: S) -> S:
        """Hear of this socket's readiness, close it at this actor's end at the latest; return the socket."""
        own = self._own_socket
        if self._sockets is None and (own is None or own is socket):
            self._own_socket = socket
        else:
            if self._sockets is None:
                self._sockets = {}
            if own is not None:
                self._sockets[own] = None
                self._own_socket = None
            self._sockets[socket] = None
        socket.attach(self)
        return socket

    def disown(self, socket: StreamSocket | ListeningSocket) -> None:
        """Let go of a socket that is closed, or that another actor will own."""
        if self._own_socket is socket:
            self._own_socket = None
        elif self._sockets is not None:
            self._sockets.pop(socket, None)

    def tell(self, ref: Ref[N], message: N) -> bool:
        """Send ``message`` to another actor; return whether it was alive. Never raises."""
        try:
            ref.tell(message)
        except ActorDeadError:
            return False
        return True

    def watch(self, ref: AnyRef, message: M) -> Watch[M]:
        """Send this actor ``message`` when ``ref``'s actor ends, however it does; at once if it has ended.

        Raises:
            TypeError: ``ref`` is no reference to an actor of a dispatcher.
        """
        mailbox = getattr(ref, "actor_inbox", None)
        if not isinstance(mailbox, Mailbox):
            raise TypeError(f"expected a reference to an actor of a dispatcher, found {ref!r}")
        if self._watches is None:
            self._watches = {}
        return mailbox.watch(self._actor_ref, message, self._watches)

    def on_readable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Handle a socket that can be read; an actor that watches for that overrides this."""
        raise NotImplementedError(f"{self} watches {socket.local_name} for reading")

    def on_writable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Handle a socket that can be written; an actor that watches for that overrides this."""
        raise NotImplementedError(f"{self} watches {socket.local_name} for writing")

    def on_turn_over(self) -> None:
        """Do what waits for the end of a turn: once for all messages of it, and after each readiness.

        An error counts as one under ``tell``.
        """

    # What follows is for dispatchers.

    @property
    def socket_turn(self) -> Callable[[Callable[[N], None], N], None]:
        """Runs a socket's report of its readiness, and what it is told of, as a turn of its own."""
        return self._mailbox.socket_turn

    def terminate(self) -> None:
        """End the actor now, with ``on_stop`` where it ran; for a dispatcher that stops. Never raises."""
        try:
            if self._is_set_up and not self.actor_stopped.is_set():
                self._stop()
        except BaseException as error:  # noqa: BLE001
            self._fatal(error)
        self._end_life()

    def vanish(self) -> None:
        """End the actor now without any hook; for a dispatcher that simulates the death of a process."""
        self._has_ended = True
        self._mark_stopped()
        self._detach()

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        dispatcher = self._dispatcher
        try:
            dispatcher.adopt(self)
        except RuntimeError:
            self._end_life()
            raise
        self._mailbox.bind(self, dispatcher.enqueue_ready)

    def _handle_receive(self, message: Any) -> Any:
        try:
            if isinstance(message, PYKKA_MESSAGES):
                return super()._handle_receive(message)
            return self.on_receive(message)
        except Exception:
            raise
        except BaseException as error:  # noqa: BLE001 - raised as another
            # Pykka's loop would stop every actor and wait for them, on the thread that they need.
            self._fatal(error)
            raise_fatal(error, str(self))

    def _stop(self) -> None:
        self._mark_stopped()
        try:
            self.on_stop()
        except Exception:  # noqa: BLE001 - logged by Pykka's handler
            self._handle_failure(*sys.exc_info())

    def _set_up(self) -> None:
        self._is_set_up = True
        try:
            self._actor_loop_setup()
        except BaseException as error:  # noqa: BLE001 - Pykka lets it end its thread
            self._fatal(error)

    def _let_pykka_handle(self, message: Any) -> None:
        self._mailbox.hand_over(message if isinstance(message, Envelope) else Envelope(message))
        with contextlib.suppress(TurnOver):
            self._actor_loop_running()

    def _crash(self) -> None:
        """What Pykka's loop does about an error under ``tell``."""
        try:
            self._handle_failure(*sys.exc_info())
            self.on_failure(*sys.exc_info())
        except Exception:  # noqa: BLE001
            self._handle_failure(*sys.exc_info())
        except BaseException as error:  # noqa: BLE001
            self._fatal(error)

    def _fatal(self, error: BaseException) -> None:
        self._mark_stopped()
        self._dispatcher.report_fatal(self, error)

    def _end_life(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        if not self.actor_stopped.raised:
            self._mark_stopped()
        self._guard(self.release)
        if self._timers:
            for timer in list(self._timers):
                timer.cancel()
        if self._watches:
            for watch in list(self._watches):
                watch.cancel()
        if self._own_socket is not None:
            self._guard(self._own_socket.close)
        if self._sockets:
            for socket in list(self._sockets):
                self._guard(socket.close)
        self._timers = self._sockets = self._own_socket = self._watches = None
        self._detach()

    def _mark_stopped(self) -> None:
        unregister(self._actor_ref)
        self.actor_stopped.set()

    def _detach(self) -> None:
        # Not str(self), which names peers and exits: every connection ends here, and hardly anybody asks one.
        self._mailbox.close(f"{type(self).__name__} ({self.actor_urn})")
        self._dispatcher.forget(self)

    def _guard(self, action: Callable[[], None]) -> None:
        """One part of the end that must not keep the others from happening."""
        try:
            action()
        except Exception:
            logger.exception("Unhandled exception at the end of %s:", self)
        except BaseException as error:  # noqa: BLE001
            self._fatal(error)


checks_for_itself(Actor)


def _to_the_runtime(dispatcher: Any) -> ActorDispatcher:
    """What a dispatcher is to actors, as what it is to the runtime."""
    known: ActorDispatcher = dispatcher
    return known
