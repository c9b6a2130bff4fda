"""``/api/v1/connections``: the connections that end at this agent, asked of their actors."""

import time
from http import HTTPStatus
from typing import Annotated, Final, cast

import msgspec
import pykka

from actors.messages import connection as connection_messages
from actors.runtime.reference import AskRef, tell_if_alive
from mesh.agent.control.behind import Behind
from mesh.agent.control.happenings import ConnectionPage
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import CONNECTIONS
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.dashboard.status import NoAnswer
from mesh.agent.logs import logger
from mesh.connection.endings import ConnectionView

log: Final = logger("connections")

MAX_PAGE: Final = 500
"""Connections that are asked at once: they have answered after some milliseconds, between others' frames."""

PATIENCE_S: Final = 0.7
"""For the answers of a page."""

ID_PATTERN: Final = r"^[0-9a-f]{12}$"


class ConnectionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which connections are wanted."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    """``next`` of the page before."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 100


class ConnectionPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which connection is meant."""

    id: Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]


def connection_routes(behind: Behind) -> tuple[Route, ...]:
    """What tells of connections, and closes them."""
    open_connections = behind.open_connections

    def connections(call: Call[ConnectionQuery, Nothing]) -> ConnectionPage:
        """List the open connections of which this agent is an end.

        Of one that begins and ends here, both ends are listed.
        """
        asked = call.parameters
        ends = open_connections.after(asked.after, asked.limit)
        deadline, answers = time.monotonic() + PATIENCE_S, []
        for end in ends:
            ref = cast("AskRef[connection_messages.EndInbound]", end.ref)
            answers.append(ref.ask(connection_messages.DescribeConnection(), block=False))
        views = [view for answer in answers for view in _answer(answer, deadline)]
        return ConnectionPage(tuple(views), ends[-1].number if len(ends) == asked.limit else None)

    def close(call: Call[ConnectionPlace, Nothing]) -> None:
        """Reset a connection, at both of its ends."""
        ends = open_connections.with_id(call.parameters.id)
        if not ends:
            raise ProblemError(HTTPStatus.NOT_FOUND, "no connection with this ID is open here")
        facts = {"connection": call.parameters.id, "caller": call.caller}
        log.info("connection %(connection)s is closed by operator (%(caller)s)", facts)
        for end in ends:
            tell_if_alive(end.ref, connection_messages.CloseForOperator())

    return (
        Route(Method.GET, CONNECTIONS, connections),
        Route(
            Method.DELETE,
            f"{CONNECTIONS}/{{id}}",
            close,
            problems=frozenset({HTTPStatus.NOT_FOUND}),
            changes=True,
        ),
    )


def _answer(future: "pykka.Future[ConnectionView]", deadline: float) -> tuple[ConnectionView, ...]:
    """The answer; none if the connection has ended meanwhile."""
    try:
        return (future.get(timeout=max(0.0, deadline - time.monotonic())),)
    except pykka.ActorDeadError:
        return ()
    except pykka.Timeout:
        raise NoAnswer("the connections did not answer in time") from None
