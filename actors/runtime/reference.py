"""References to actors of a dispatcher, typed by what their actors take."""

from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import pykka
from pykka import ActorDeadError

from actors.runtime.mailbox import Mailbox, Resident
from actors.runtime.seam import Ref
from actors.runtime.stop_flag import StopFlag

Future: TypeAlias = pykka.Future
"""What somebody outside of the actors waits for."""

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)


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
