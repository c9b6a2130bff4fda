"""``/api/v1/connections``: the connections that end at this agent, asked of their actors."""

from http import HTTPStatus
from typing import Annotated, Final

import msgspec

from actors.messages import connection as connection_messages
from actors.runtime.reference import tell_if_alive
from mesh.agent.control.behind import Behind
from mesh.agent.control.gathering import Gathering
from mesh.agent.control.happenings import ConnectionPage
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import CONNECTIONS
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.dashboard.status import NoAnswer
from mesh.agent.logs import logger
from mesh.connection.endings import ConnectionView

log: Final = logger("connections")

MAX_PAGE: Final = 200
"""Connections that are asked at once: for so long, some 2 ms, others' frames wait."""

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
        answers: Gathering[ConnectionView] = Gathering()
        question = connection_messages.DescribeConnection(answers)
        views = answers.ask([end.ref for end in ends], question, PATIENCE_S)
        if views is None:
            raise NoAnswer("the connections did not answer in time")
        order = {end.id: end.number for end in ends}
        views.sort(key=lambda view: order[view.id])
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
