"""References to actors of a dispatcher, typed by what their actors take."""

from threading import Event, Lock
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar

import pykka
from pykka import ActorDeadError

from actors.runtime.mailbox import Mailbox, Resident
from actors.runtime.seam import Ref

Future: TypeAlias = pykka.Future
"""What somebody outside of the actors waits for."""

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)

_EVENTS_LOCK: Final = Lock()
"""Two threads that begin to wait for one actor share its event."""


class StopFlag:
    """Stands where Pykka has a ``threading.Event`` for each actor, at a fraction of its cost.

    The event behind :meth:`wait` is made when somebody waits; almost nobody does.
    """

    __slots__ = ("_event", "raised")

    def __init__(self) -> None:
        self.raised = False
        """What :meth:`is_set` says, without a call."""
        self._event: Event | None = None

    def is_set(self) -> bool:
        """Whether the actor has stopped."""
        return self.raised

    def set(self) -> None:
        """Mark the actor stopped, for good."""
        self.raised = True
        event = self._event  # read after the line above: a waiter sees that line, or is woken
        if event is not None:
            event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the actor has stopped, at most ``timeout`` seconds; return whether it has.

        Not on the dispatcher's thread, which the actor needs to stop.
        """
        if self.raised:
            return True
        with _EVENTS_LOCK:
            if self._event is None:
                self._event = Event()
        return self.raised or self._event.wait(timeout)


class ActorRef(pykka.ActorRef[Any], Generic[M]):
    """Pykka's reference, typed by what its actor takes."""

    actor_class: type
    actor_urn: str
    actor_inbox: Mailbox
    actor_stopped: StopFlag  # type: ignore[assignment] # it stands in for the Event

    def __init__(self, actor_class: type, urn: str, inbox: Mailbox, stopped: StopFlag) -> None:
        # Not Pykka's, which makes a weak reference to the actor: native ones have no place for any.
        self.actor_class = actor_class
        self.actor_urn = urn
        self.actor_inbox = inbox
        self.actor_stopped = stopped

    def _actor_weakref(self) -> Resident | None:  # type: ignore[override] # called by the same words
        """The actor, while it lives."""
        return self.actor_inbox.resident

    def tell(self, message: M) -> None:
        """Queue ``message``; any thread may call it.

        Raises:
            pykka.ActorDeadError: the actor has stopped.
        """
        if self.actor_stopped.raised:
            raise ActorDeadError(f"{self} not found")
        mailbox = self.actor_inbox  # what follows is Mailbox.post, without a call: every message passes here
        mailbox.queue.append(message)
        if not mailbox.scheduled:
            mailbox.scheduled = True
            announce = mailbox.announce  # on a line of its own, where Python finds it faster
            announce(mailbox)


def tell_if_alive(ref: Ref[M], message: M) -> None:
    """Queue ``message`` for an actor that may have ended, which is no error."""
    try:
        ref.tell(message)
    except ActorDeadError:
        return


class AskRef(Ref[M_contra], Protocol[M_contra]):
    """A reference for those outside the dispatcher, who may wait for an answer."""

    def ask(self, message: M_contra, *, block: Literal[False]) -> pykka.Future[Any]:
        """Queue ``message``; the future gives what its handler returns, or raises :class:`ActorDeadError`."""
        ...
