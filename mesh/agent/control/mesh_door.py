"""The third door of the API: agents that may manage this one come by it, through the mesh."""

from typing import Final
from wsgiref.types import WSGIApplication

from actors.messages import control_end as messages
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Ref
from mesh.agent.audit.behalf import Behalf, acting_for
from mesh.agent.audit.requested import note_request
from mesh.agent.control.in_process import answer_of, problem_of
from mesh.agent.control.question_log import QuestionLog
from mesh.agent.threads import ThreadsOnDemand
from mesh.auditing import NOT_AUDITING, Auditing
from mesh.connection.reserved import CONTROL_KEY, Caller
from mesh.errors import RemoteProtocolError
from mesh.remote.wire import Answered, Asked, read_asked, write_answered
from mesh.trust.identity import display_id
from mesh.trust.naming import named

THREADS: Final = 4
"""Questions that are answered at one time: half of what another door has. Others wait their turn, and no more
can wait than there are connections."""

STOP_TIMEOUT_S: Final = 2.0


class MeshDoor:
    """Answers on threads of its own from :meth:`serve` to :meth:`close`; it is what actors call.

    Nobody comes by it whom the actors have not let in.
    """

    def __init__(self, audit: Auditing = NOT_AUDITING) -> None:
        self._threads = ThreadsOnDemand(THREADS)
        self._questions = QuestionLog()
        self._audit = audit
        self._app: WSGIApplication | None = None

    def serve(self, app: WSGIApplication) -> None:
        """Answer from now on."""
        self._app = app

    def close(self) -> None:
        """Answer nothing any more."""
        self._threads.shutdown(cancel_pending=True, timeout=STOP_TIMEOUT_S)

    def __call__(self, caller: Caller, question: bytes, reply_to: Ref[messages.AnswerFound]) -> None:
        """Have it answered; at once, and without fail."""
        self._threads.add_task(_Task(self, caller, question, reply_to))

    def own(self, asked: Asked) -> Answered:
        """The answer to one that this agent asks itself; on the thread that calls."""
        return self._answer(asked, asked.asker)

    def answer(self, caller: Caller, question: bytes) -> Answered:
        """The answer; on one of the threads."""
        try:
            asked = read_asked(question)
        except RemoteProtocolError as error:
            self._questions.record(caller, None, 400)
            return problem_of(400, str(error))
        someone = Behalf(CONTROL_KEY, f"{caller.name} {display_id(caller.id)}")
        with acting_for(someone):
            answered = self._answer(asked, named(caller.name, caller.id))
        self._questions.record(caller, asked, answered.status)
        note_request(self._audit, someone, asked.method, asked.place, answered.status, asker=asked.asker)
        return answered

    def _answer(self, asked: Asked, caller: str) -> Answered:
        if self._app is None:
            return problem_of(503, "the agent is being started")
        return answer_of(self._app, asked, caller)


class _Task:
    """What Waitress's threads want of a task."""

    def __init__(
        self, door: MeshDoor, caller: Caller, question: bytes, reply_to: Ref[messages.AnswerFound]
    ) -> None:
        self._door = door
        self._caller = caller
        self._question = question
        self._reply_to = reply_to

    def defer(self) -> None:
        """It waits for a thread."""

    def cancel(self) -> None:
        """The agent ends; with it ends the connection."""

    def service(self) -> None:
        """Do it."""
        answered = self._door.answer(self._caller, self._question)
        tell_if_alive(self._reply_to, messages.AnswerFound(write_answered(answered)))
