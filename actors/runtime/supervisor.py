"""A supervisor: starts its children in order, restarts those that end, stops them in reverse."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, assert_never

import msgspec
import pykka
from pykka import ActorDeadError

from actors.runtime import supervisor_messages as messages
from actors.runtime.actor import Actor
from actors.runtime.seam import Dispatcher, Timer
from mesh.backoff import retry_delay_s

logger = logging.getLogger(__name__)


class Backoff(msgspec.Struct, frozen=True):
    """How long a child that ended waits for its next start."""

    first_s: float = 0.1
    cap_s: float = 30.0
    stable_s: float = 60.0
    """A child that ran this long starts over at ``first_s``."""


class ChildSpec(msgspec.Struct, frozen=True):
    """A child that shall always run."""

    name: str
    start: Callable[[], pykka.ActorRef[Any]]
    """Start it anew and return its reference; an error counts as a run that ended at once."""
    ask_to_stop: Callable[[pykka.ActorRef[Any]], None] | None = None
    """Ask it to finish and then stop itself; without it, it gets Pykka's stop at once."""
    stop_timeout_s: float = 5.0
    """How long it may take, once for ``ask_to_stop`` and once for Pykka's stop."""


class _Child:
    """Where one child stands."""

    __slots__ = ("index", "quick_ends", "ref", "run", "spec", "started_at", "timer")

    def __init__(self, index: int, spec: ChildSpec) -> None:
        self.index = index
        self.spec = spec
        self.ref: pykka.ActorRef[Any] | None = None
        self.run = 0
        self.quick_ends = 0
        self.started_at = 0.0
        self.timer: Timer | None = None


class Supervisor(Actor[messages.Inbound]):
    """Keeps ``specs`` running, each on its own: one child's end does not touch the others.

    An agent lives on without a child that cannot start; the log says so at each attempt.
    """

    def __init__(
        self, dispatcher: Dispatcher, specs: Sequence[ChildSpec], backoff: Backoff | None = None
    ) -> None:
        super().__init__(dispatcher)
        self._children = tuple(_Child(index, spec) for index, spec in enumerate(specs))
        self._backoff = backoff or Backoff()
        self._left = list(self._children)
        """What has not been seen to have ended during the shutdown; the last one is stopped next."""
        self._stopping: _Child | None = None
        self._shutting_down = False
        self._given_up: list[str] = []
        self._replies: list[Callable[[messages.ChildrenStopped], object]] = []
        self._answer: pykka.Future[messages.ChildrenStopped] | None = None

    def on_start(self) -> None:
        """Start the children, in order."""
        for child in self._children:
            self._start(child)

    def on_receive(self, message: messages.Inbound) -> pykka.Future[messages.ChildrenStopped] | None:
        """Handle one message; a ``ShutDown`` answers with the future of its completion."""
        match message:
            case messages.ShutDown():
                return self._shut_down(message)
            case messages.ChildEnded(index=index, run=run):
                child = self._children[index]
                if child.run == run and child.ref is not None:
                    self._ended(child)
            case messages.RestartDue(index=index, run=run):
                child = self._children[index]
                if child.run == run and child.ref is None and not self._shutting_down:
                    self._start(child)
            case messages.StopOverdue(index=index, forced=forced):
                if self._stopping is self._children[index]:
                    self._overdue(self._children[index], forced=forced)
            case _:
                assert_never(message)
        return None

    def release(self) -> None:
        """Leave no child behind: stop what still runs, in reverse, without waiting."""
        for child in reversed(self._children):
            if child.ref is not None:
                child.ref.stop(block=False)
        if self._answer is not None:
            error = ActorDeadError(f"{self} ended before its children had stopped")
            self._answer.set_exception((ActorDeadError, error, None))

    def _start(self, child: _Child) -> None:
        child.run += 1
        child.timer = None
        child.started_at = self.now()
        try:
            child.ref = child.spec.start()
        except Exception as error:
            logger.exception("%s cannot start", child.spec.name, exc_info=error)
            self._restart_later(child)
        else:
            self.watch(child.ref, messages.ChildEnded(child.index, child.run))

    def _ended(self, child: _Child) -> None:
        child.ref = None
        if self._shutting_down:
            if self._stopping is child:
                self._stop_next()
            return
        if self.now() - child.started_at >= self._backoff.stable_s:
            child.quick_ends = 0
        self._restart_later(child)

    def _restart_later(self, child: _Child) -> None:
        delay_s = retry_delay_s(
            child.quick_ends,
            self.dispatcher.uniform(),
            first_s=self._backoff.first_s,
            cap_s=self._backoff.cap_s,
        )
        child.quick_ends += 1
        logger.warning("%s has ended; starting it again in %.2f s", child.spec.name, delay_s)
        child.timer = self.schedule(delay_s, messages.RestartDue(child.index, child.run))

    def _shut_down(self, message: messages.ShutDown) -> pykka.Future[messages.ChildrenStopped]:
        if message.reply_to is not None:
            reply_to = message.reply_to
            self._replies.append(lambda reply: self.tell(reply_to, reply))
        if self._answer is None:
            self._answer = self._create_future()
        answer = self._answer
        if not self._shutting_down:
            self._shutting_down = True
            for child in self._children:
                if child.timer is not None:
                    child.timer.cancel()
            self._stop_next()
        return answer

    def _stop_next(self) -> None:
        while self._left and self._left[-1].ref is None:
            self._left.pop()
        child = self._left[-1] if self._left else None
        self._cancel_stop_timer()
        self._stopping = child
        if child is None:
            self._complete()
        elif child.spec.ask_to_stop is None or not self._asked_to_stop(child, child.spec.ask_to_stop):
            self._force(child)
        else:
            self._allow_time(child, forced=False)

    def _asked_to_stop(self, child: _Child, ask_to_stop: Callable[[pykka.ActorRef[Any]], None]) -> bool:
        if child.ref is None:
            return False
        try:
            ask_to_stop(child.ref)
        except ActorDeadError:
            return True  # its end is on the way here
        except Exception:
            logger.exception("%s cannot be asked to stop", child.spec.name)
            return False
        return True

    def _force(self, child: _Child) -> None:
        if child.ref is not None:
            child.ref.stop(block=False)
            self._allow_time(child, forced=True)

    def _allow_time(self, child: _Child, *, forced: bool) -> None:
        overdue = messages.StopOverdue(child.index, forced)
        child.timer = self.schedule(child.spec.stop_timeout_s, overdue)

    def _overdue(self, child: _Child, *, forced: bool) -> None:
        if forced:
            logger.error("%s does not stop; going on without it", child.spec.name)
            self._given_up.append(child.spec.name)
            child.ref = None
            self._stop_next()
        else:
            logger.warning("%s has not finished in %.1f s", child.spec.name, child.spec.stop_timeout_s)
            self._force(child)

    def _cancel_stop_timer(self) -> None:
        if self._stopping is not None and self._stopping.timer is not None:
            self._stopping.timer.cancel()

    def _complete(self) -> None:
        reply = messages.ChildrenStopped(tuple(self._given_up))
        for send in self._replies:
            send(reply)
        if self._answer is not None:
            self._answer.set(reply)
            self._answer = None
        self.stop()
