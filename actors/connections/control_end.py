"""The asked end of a connection to ``mesh:control`` or ``mesh:enrol``: has others than actors answer."""

from collections.abc import Callable
from typing import TypeAlias, assert_never

from actors.connections.inside_end import ServingEnd
from actors.messages import control_end as messages
from actors.messages import inside_end as inside_messages
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Dispatcher, Ref
from mesh.connection.reserved import Caller
from mesh.remote.talks import Answering
from mesh.remote.wire import Answered, write_answered

UNAVAILABLE = 503
"""Of HTTP."""

ServeControl: TypeAlias = Callable[[Caller, bytes, Ref[messages.AnswerFound]], None]
"""Answers the latter the question of an agent that may ask it. It blocks not, and does not fail."""


def serve_nobody(caller: Caller, question: bytes, reply_to: Ref[messages.AnswerFound]) -> None:
    """A :data:`ServeControl` that has no API."""
    del caller, question
    tell_if_alive(reply_to, messages.AnswerFound(write_answered(Answered(UNAVAILABLE))))


class ControlEnd(ServingEnd[messages.Inbound]):
    """Serves one connection.

    Args:
        dispatcher: where it runs.
        caller: who asks.
        serve: answers.
        leave: gives its place back, and hears whether there was a question; called once.
    """

    def __init__(
        self, dispatcher: Dispatcher, *, caller: Caller, serve: ServeControl, leave: Callable[[bool], None]
    ) -> None:
        self._answering = Answering(dispatcher.now())
        super().__init__(dispatcher, talk=self._answering, due=inside_messages.ServiceDue(), leave=leave)
        self._caller = caller
        self._serve = serve
        self._was_of_use = False

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case inside_messages.ServeInside(socket=socket):
                self._begin(socket)
            case inside_messages.EndService():
                self.stop_now()
            case inside_messages.ServiceDue():
                self._go_on()
            case messages.AnswerFound(data=data):
                self._answering.answer(data)
                self._go_on()
            case _:
                assert_never(message)

    def _progressed(self) -> None:
        question = self._answering.question(self.now())
        if question is not None:
            self._was_of_use = True
            self._serve(self._caller, question, self.ref)
