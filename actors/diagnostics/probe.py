"""A probe: opens one connection to one agent, asks by it, and reports what it finds."""

from math import inf
from typing import Final, assert_never

import msgspec

from actors.connections.opener import StartIngress, open_inside
from actors.inside_stream import InsideStream
from actors.messages import desk as desk_messages
from actors.messages import listener as listener_messages
from actors.messages import probe as messages
from actors.runtime.seam import Dispatcher, Ref
from mesh.connection.offer import Offer
from mesh.diagnostics.refusals import NOT_OPENED, sentence_of
from mesh.diagnostics.results import ProbeState, Result
from mesh.diagnostics.tasks import Task

REPORT_S: Final = 0.2
"""How often a bench is reported; each answer to a ping is."""


class Probe(InsideStream[messages.Inbound]):
    """Does one task.

    Args:
        dispatcher: where it runs.
        job: of the task, for the desk.
        number: of the task, for the desk.
        task: what is to be found out.
        offer: the agent.
        start_ingress: starts its connection.
        desk: hears what is found.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        job: int,
        number: int,
        task: Task,
        offer: Offer,
        start_ingress: StartIngress,
        desk: Ref[desk_messages.ProbeFound],
    ) -> None:
        question = task.question()
        super().__init__(dispatcher, talk=question, due=messages.ProbeDue())
        self._place = job, number
        self._task = task
        self._question = question
        self._offer = offer
        self._start_ingress = start_ingress
        self._desk = desk
        self._began_at = inf
        self._reported_at = -inf
        self._result = Result(state=ProbeState.OPENING)

    def on_start(self) -> None:
        """Open the connection."""
        self._began_at = self.now()
        try:
            socket = open_inside(
                self.dispatcher, self._start_ingress, self._task.routing_key, (self._offer,), self.ref
            )
        except OSError as error:
            self._fail((error.strerror or str(error)).lower())
            return
        self._report()
        self._begin(socket)

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case listener_messages.CandidateServed():
                self._opened()
            case listener_messages.CandidateFailed(code=code):
                self._result = msgspec.structs.replace(self._result, code=code, error=sentence_of(code))
            case listener_messages.FindCandidates(reply_to=reply_to):
                self.tell(reply_to, listener_messages.CandidatesFound(()))  # it is this agent or none
            case listener_messages.ClientGivenUp():
                pass  # the stream ends
            case listener_messages.PlaceFree():
                pass  # nobody waits
            case messages.ProbeDue():
                self._go_on()
            case messages.EndProbe():
                self.stop_now()
            case _:
                assert_never(message)

    def _opened(self) -> None:
        now = self.now()
        self._result = msgspec.structs.replace(
            self._result, state=ProbeState.RUNNING, code="", error="", open_s=now - self._began_at
        )
        self._question.opened(now)
        self._go_on()

    def _progressed(self) -> None:
        if self._result.state is not ProbeState.RUNNING:
            return
        before, self._result = self._result, self._question.found(self._result)
        counts = self._result.sent, self._result.answered, self._result.late
        if counts != (before.sent, before.answered, before.late) or (
            self._result.byte_count != before.byte_count and self.now() >= self._reported_at + REPORT_S
        ):
            self._report()

    def _finished(self) -> None:
        if self._result.state is not ProbeState.RUNNING:
            self._fail(self._result.error or NOT_OPENED)
            return
        self._result = self._question.found(self._result)
        if self._question.failure:
            self._fail(self._question.failure)
            return
        self._result = msgspec.structs.replace(self._result, state=ProbeState.DONE)
        self._report()
        self.stop_now()

    def _broken(self, why: str) -> None:
        if self._result.state is not ProbeState.RUNNING:
            self._fail(self._result.error or NOT_OPENED)
            return
        self._result = self._question.found(self._result)
        self._fail(f"the connection broke: {why}")

    def _fail(self, why: str) -> None:
        self._result = msgspec.structs.replace(self._result, state=ProbeState.FAILED, error=why)
        self._report()
        self.stop_now()

    def _report(self) -> None:
        self._reported_at = self.now()
        self.tell(self._desk, desk_messages.ProbeFound(*self._place, self._result))
