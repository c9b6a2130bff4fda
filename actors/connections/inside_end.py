"""The serving end of a stream inside of an agent: an echo or a bench, behind an exit connection."""

from collections.abc import Callable
from typing import Generic, TypeVar, assert_never

from actors.inside_stream import InsideStream
from actors.messages import inside_end as messages
from actors.runtime.seam import Dispatcher
from mesh.diagnostics.talk import Talk

M = TypeVar("M")


class ServingEnd(InsideStream[M], Generic[M]):
    """What serves one connection: it ends with it, and gives its place back.

    Args:
        dispatcher: where it runs.
        talk: what it serves with.
        due: as in :class:`~actors.inside_stream.InsideStream`.
        leave: gives its place back, and hears whether that was of use; called once.
    """

    def __init__(self, dispatcher: Dispatcher, *, talk: Talk, due: M, leave: Callable[[bool], None]) -> None:
        super().__init__(dispatcher, talk=talk, due=due)
        self._leave = leave
        self._was_of_use = True

    def release(self) -> None:
        """Give the place back."""
        self._leave(self._was_of_use)
        super().release()

    def _finished(self) -> None:
        self.stop_now()

    def _broken(self, why: str) -> None:
        del why  # the connection says it
        self.stop_now()


class InsideEnd(ServingEnd[messages.Inbound]):
    """Serves an echo or a bench."""

    def __init__(self, dispatcher: Dispatcher, *, talk: Talk, leave: Callable[[bool], None]) -> None:
        super().__init__(dispatcher, talk=talk, due=messages.ServiceDue(), leave=leave)

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.ServeInside(socket=socket):
                self._begin(socket)
            case messages.EndService():
                self.stop_now()
            case messages.ServiceDue():
                self._go_on()
            case _:
                assert_never(message)
