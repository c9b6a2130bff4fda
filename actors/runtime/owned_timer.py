"""A timer that its actor knows of, so that none is left when the actor ends."""

from typing import Generic, TypeVar

from actors.runtime.seam import Ref, Timer

M = TypeVar("M")


class OwnedTimer(Generic[M]):
    """A timer that its actor knows of until it fires; the dispatcher sees it as the actor's reference."""

    __slots__ = ("_ref", "_timers", "inner")

    def __init__(self, timers: "set[OwnedTimer[M]]", ref: Ref[M]) -> None:
        self._timers = timers
        self._ref = ref
        self.inner: Timer | None = None
        """The dispatcher's own, which is what is cancelled."""
        timers.add(self)

    @property
    def actor_urn(self) -> str:
        """The actor's unique name."""
        return self._ref.actor_urn

    def is_alive(self) -> bool:
        """Whether the actor has not stopped yet."""
        return self._ref.is_alive()

    def tell(self, message: M) -> None:
        """Send ``message`` to the actor: the time has come.

        Raises:
            pykka.ActorDeadError: the actor has stopped.
        """
        self._timers.discard(self)
        self._ref.tell(message)

    def cancel(self) -> None:
        """Do not send it; nothing happens if it has been sent or cancelled already."""
        self._timers.discard(self)
        if self.inner is not None:
            self.inner.cancel()
            self.inner = None
