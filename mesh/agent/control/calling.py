"""Asks other agents, for this agent's own API."""

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

import pykka

from actors.connections.offers import offer_of
from actors.messages import agent as agent_messages
from actors.messages import route_table as route_messages
from actors.messages import steward as messages
from actors.runtime.reference import AskRef
from mesh.agent.actor_questions import agent_refs, answer_by
from mesh.agent.control.problem import ProblemError
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.connection.reject_codes import RejectCode
from mesh.errors import RemoteProtocolError
from mesh.remote.talks import CALL_S
from mesh.remote.wire import Answered, Asked, read_answered, write_asked
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId, display_id
from mesh.trust.naming import called, named

ROUTES_S: Final = 2.0
"""For the actors to say who there is."""

GRACE_S: Final = 2.0
"""For the actors to say that time is up."""

AT_ONCE: Final = 4
"""Questions under way, of all doors: half of a door's threads are left for this agent."""

WAIT_S: Final = 5.0
"""How long one waits for its turn."""

PLACE: Final = "parameters.id"
"""Of the request: which agent is meant."""

_NOT_MANAGING: Final = (
    "refused: this agent's certificate does not let it manage others; whoever has the authority's key "
    "grants that with mesh certificate sign --manage"
)


class Calling(Protocol):
    """Asks agents; any thread may call."""

    def call(self, to: str, asked: Asked) -> Answered:
        """The answer of the agent with this name or ID.

        Raises:
            ProblemError: there is no such agent, or there are several, or it does not answer.
            StatusUnavailable: this agent's own actors are busy or being started anew.
        """
        ...


class NotCalling:
    """Stands for :class:`Calling` where nobody else may be asked."""

    def call(self, to: str, asked: Asked) -> Answered:
        """Refuse."""
        del to, asked
        raise ProblemError(HTTPStatus.FORBIDDEN, "ask the other agent yourself: none asks for another")


class ActorCalling:
    """Implements :class:`Calling` over the actors of this process.

    Args:
        root: of the actors.
        here: answers what is asked of this agent itself.
    """

    def __init__(self, root: AskRef[agent_messages.Inbound], here: Callable[[Asked], Answered]) -> None:
        self._root = root
        self._here = here
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def call(self, to: str, asked: Asked) -> Answered:
        """The answer of the agent with this name or ID."""
        deadline = time.monotonic() + ROUTES_S
        refs = agent_refs(self._root, deadline)
        asks_routes: pykka.Future[RouteSnapshot] = refs.route_table.ask(
            route_messages.GetSnapshot(), block=False
        )
        routes = answer_by(asks_routes, deadline)
        agent_id = _meant(routes, to)
        if agent_id == routes.own_id:
            return self._here(asked)
        name = named(routes.records[agent_id].name, agent_id)
        offer = offer_of(routes, agent_id)
        if offer is None:
            raise ProblemError(HTTPStatus.BAD_GATEWAY, f"{name}: no path leads to it at present")
        if refs.steward is None:
            raise StatusUnavailable("the agent's actors are being started")
        if not self._turns.acquire(timeout=WAIT_S):
            raise StatusUnavailable(f"{AT_ONCE} questions to other agents are under way; ask again")
        try:
            asks: pykka.Future[pykka.Future[messages.CallOutcome]] = refs.steward.ask(
                messages.StartCall(offer, write_asked(asked)), block=False
            )
            deadline = time.monotonic() + CALL_S + GRACE_S
            outcome = answer_by(answer_by(asks, deadline), deadline)
        finally:
            self._turns.release()
        return _answered(name, outcome)


def _meant(routes: RouteSnapshot, to: str) -> AgentId:
    found = called(routes.names.items(), to)
    if not found:
        why = f"no agent that is known here has the name or ID {to}; mesh agents lists them"
        raise ProblemError(HTTPStatus.NOT_FOUND, why, place=PLACE)
    if len(found) > 1:
        ids = ", ".join(sorted(map(display_id, found)))
        why = f"{len(found)} agents are called {to}: name one by its ID ({ids})"
        raise ProblemError(HTTPStatus.CONFLICT, why, place=PLACE)
    return found[0]


def _answered(name: str, outcome: messages.CallOutcome) -> Answered:
    if isinstance(outcome, messages.CallFailed):
        if outcome.code == RejectCode.NOT_PERMITTED:
            raise ProblemError(HTTPStatus.FORBIDDEN, f"{name}: {_NOT_MANAGING}")
        raise ProblemError(HTTPStatus.BAD_GATEWAY, f"{name}: {_why(outcome)}")
    try:
        return read_answered(outcome)
    except RemoteProtocolError as error:
        raise ProblemError(HTTPStatus.BAD_GATEWAY, f"{name}: {error}") from None


def _why(failed: messages.CallFailed) -> str:
    if failed.code == RejectCode.UNKNOWN_KEY:
        return "its version of mesh cannot be managed by other agents"
    if failed.code == RejectCode.AT_CAPACITY:
        return "it is answering as many questions as it may; ask again"
    return failed.why
