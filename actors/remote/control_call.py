"""A call: opens one connection to what another agent serves by itself, asks by it, and reports the answer."""

from typing import Final, assert_never

from actors.connections.opener import StartIngress, open_inside
from actors.inside_stream import InsideStream
from actors.messages import control_call as messages
from actors.messages import listener as listener_messages
from actors.messages import steward as steward_messages
from actors.runtime.seam import Dispatcher, Ref
from mesh.diagnostics.refusals import NOT_OPENED, sentence_of
from mesh.remote.talks import Asking
from mesh.remote.wire import MAX_ANSWER_BYTES

UNANSWERED: Final = "it has ended the connection without an answer: is it leaving?"


class ControlCall(InsideStream[messages.Inbound]):
    """Asks one question.

    Args:
        dispatcher: where it runs.
        number: of the call, for the steward.
        wanted: whom to ask what, and by which reserved key.
        start_ingress: starts its connection.
        steward: hears what has come of it.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        number: int,
        wanted: steward_messages.StartCall,
        start_ingress: StartIngress,
        steward: Ref[steward_messages.CallEnded],
    ) -> None:
        self._asking = Asking(wanted.question, dispatcher.now())
        super().__init__(dispatcher, talk=self._asking, due=messages.CallDue())
        self._number = number
        self._wanted = wanted
        self._start_ingress = start_ingress
        self._steward = steward
        self._failure = steward_messages.CallFailed(NOT_OPENED, "silent")
        """What has happened if it ends now."""

    def on_start(self) -> None:
        """Open the connection."""
        try:
            wanted = self._wanted
            socket = open_inside(self.dispatcher, self._start_ingress, wanted.key, (wanted.offer,), self.ref)
        except OSError as error:
            self._end(steward_messages.CallFailed((error.strerror or str(error)).lower()))
            return
        self._begin(socket)

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case listener_messages.CandidateServed():
                self._failure = steward_messages.CallFailed("it has not answered in time")
                self._asking.opened()
                self._go_on()
            case listener_messages.CandidateFailed(code=code):
                self._failure = steward_messages.CallFailed(sentence_of(code), code)
            case listener_messages.FindCandidates(reply_to=reply_to):
                self.tell(reply_to, listener_messages.CandidatesFound(()))  # it is this agent or none
            case listener_messages.ClientGivenUp():
                pass  # the stream ends
            case listener_messages.PlaceFree():
                pass  # nobody waits
            case messages.CallDue():
                self._go_on()
            case _:
                assert_never(message)

    def _finished(self) -> None:
        answer = self._asking.answer
        if len(answer) > MAX_ANSWER_BYTES:
            self._end(steward_messages.CallFailed(f"its answer has more than {MAX_ANSWER_BYTES:,} bytes"))
        elif answer and not self._asking.has_expired:
            self._end(answer)
        elif self._failure.code or self._asking.has_expired:
            self._end(self._failure)
        else:
            self._end(steward_messages.CallFailed(UNANSWERED))

    def _broken(self, why: str) -> None:
        if self._failure.code:
            self._end(self._failure)
        else:
            self._end(steward_messages.CallFailed(f"the connection broke: {why}"))

    def _end(self, outcome: steward_messages.CallOutcome) -> None:
        self.tell(self._steward, steward_messages.CallEnded(self._number, outcome))
        self.stop_now()
