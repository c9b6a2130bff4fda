"""The API's door to diagnostics: asks the actors, with a time limit, and waits for no diagnosis."""

import time
from collections.abc import Callable
from typing import Final, Protocol

import pykka

from actors.connections.offers import offer_of
from actors.messages import agent as agent_messages
from actors.messages import desk as messages
from actors.messages import route_table as route_messages
from actors.runtime.reference import AskRef
from mesh.agent.actor_questions import agent_refs, answer_by
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.diagnosis.documents import Diagnosis, diagnosis_of
from mesh.agent.outcome import RefusedError
from mesh.diagnostics.job import JobView
from mesh.diagnostics.tasks import Task
from mesh.routing.routes import RouteSnapshot

ANSWER_S: Final = 2.0
"""For the actors, all their answers together."""

AT_ONCE: Final = 16
"""Tasks of one diagnosis that are under way at one time."""

Plan = Callable[[RouteSnapshot], tuple[Task, ...]]
"""What is to be found out, by the routes of now."""


class Diagnosing(Protocol):
    """Begins and follows diagnoses; any thread may call.

    Raises:
        StatusUnavailable: the actors are busy or being started anew.
        RefusedError: there is no room for another diagnosis.
    """

    def begin(self, plan: Plan, *, at_once: int = AT_ONCE) -> Diagnosis:
        """Begin one."""
        ...

    def look(self, number: int) -> Diagnosis | None:
        """How far one is; it goes on only while somebody looks. ``None`` if there is none."""
        ...

    def end(self, number: int) -> bool:
        """End one; whether there was."""
        ...


class Undiagnosed:
    """Stands for :class:`Diagnosing` if there are no actors to ask."""

    def begin(self, plan: Plan, *, at_once: int = AT_ONCE) -> Diagnosis:
        """Refuse."""
        del plan, at_once
        raise StatusUnavailable("there is nobody to ask")

    def look(self, number: int) -> Diagnosis | None:
        """None has been begun."""
        del number
        return None

    def end(self, number: int) -> bool:
        """None has been begun."""
        del number
        return False


class ActorDiagnosing:
    """Implements :class:`Diagnosing` over the actors of this process."""

    def __init__(self, root: AskRef[agent_messages.Inbound]) -> None:
        self._root = root

    def begin(self, plan: Plan, *, at_once: int = AT_ONCE) -> Diagnosis:
        """Begin one."""
        deadline = time.monotonic() + ANSWER_S
        refs = agent_refs(self._root, deadline)
        ask_routes: pykka.Future[RouteSnapshot] = refs.route_table.ask(
            route_messages.GetSnapshot(), block=False
        )
        routes = answer_by(ask_routes, deadline)
        tasks = plan(routes)
        offers = tuple(None if task.problem else offer_of(routes, task.agent_id) for task in tasks)
        started: pykka.Future[int | messages.JobRefused] = _desk(refs).ask(
            messages.StartJob(tasks, offers, at_once), block=False
        )
        number = answer_by(started, deadline)
        if isinstance(number, messages.JobRefused):
            raise RefusedError(number.why)
        found = self.look(number)
        if found is None:
            raise StatusUnavailable("the diagnosis has ended before it could be told of")
        return found

    def look(self, number: int) -> Diagnosis | None:
        """How far one is."""
        deadline = time.monotonic() + ANSWER_S
        asked: pykka.Future[JobView | None] = _desk(agent_refs(self._root, deadline)).ask(
            messages.AskJob(number), block=False
        )
        view = answer_by(asked, deadline)
        return None if view is None else diagnosis_of(number, view)

    def end(self, number: int) -> bool:
        """End one."""
        deadline = time.monotonic() + ANSWER_S
        ended: pykka.Future[bool] = _desk(agent_refs(self._root, deadline)).ask(
            messages.EndJob(number), block=False
        )
        return answer_by(ended, deadline)


def _desk(refs: agent_messages.AgentRefs) -> AskRef[messages.Inbound]:
    if refs.desk is None:
        raise StatusUnavailable("the agent's actors are being started")
    return refs.desk
