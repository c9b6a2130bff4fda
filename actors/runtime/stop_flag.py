"""Whether an actor has stopped."""

from threading import Event, Lock
from typing import Final

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
