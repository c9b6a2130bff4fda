"""The steward of calls: has other agents asked for who waits outside of the actors."""

from collections.abc import Callable
from typing import Final, TypeAlias, assert_never

from actors.messages import control_call as call_messages
from actors.messages import steward as messages
from actors.runtime.actor import Actor
from actors.runtime.reference import Future
from actors.runtime.seam import Dispatcher, Ref

MAX_CALLS: Final = 8
"""At one time. Each may hold an answer of some megabytes."""

StartCall: TypeAlias = Callable[
    [int, messages.StartCall, Ref[messages.CallEnded]], Ref[call_messages.Inbound]
]
"""Starts the call with a number, as it is wanted; it tells the latter what has come of it."""


class Steward(Actor[messages.Inbound]):
    """Keeps the calls of one agent; each ends by itself, in time.

    Args:
        dispatcher: where it runs, and its calls.
        start_call: starts one.
    """

    def __init__(self, dispatcher: Dispatcher, *, start_call: StartCall) -> None:
        super().__init__(dispatcher)
        self._start_call = start_call
        self._answers: dict[int, Future[messages.CallOutcome]] = {}
        self._newest = 0

    def on_receive(self, message: messages.Inbound) -> Future[messages.CallOutcome] | None:
        """Handle one message."""
        match message:
            case messages.StartCall():
                return self._call(message)
            case messages.CallEnded(number=number, outcome=outcome):
                self._settle(number, outcome)
            case messages.CallGone(number=number):
                self._settle(number, messages.CallFailed("the call has failed"))
            case _:
                assert_never(message)
        return None

    def release(self) -> None:
        """Let nobody wait in vain."""
        for number in list(self._answers):
            self._settle(number, messages.CallFailed("this agent's actors are being started anew, or leave"))

    def _call(self, wanted: messages.StartCall) -> Future[messages.CallOutcome]:
        answer: Future[messages.CallOutcome] = self._create_future()
        if len(self._answers) >= MAX_CALLS:
            answer.set(messages.CallFailed(f"{MAX_CALLS} agents are being asked by this one; wait"))
            return answer
        self._newest = number = self._newest + 1
        self._answers[number] = answer
        self.watch(self._start_call(number, wanted, self.ref), messages.CallGone(number))
        return answer

    def _settle(self, number: int, outcome: messages.CallOutcome) -> None:
        answer = self._answers.pop(number, None)
        if answer is not None:
            answer.set(outcome)
