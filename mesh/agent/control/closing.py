"""Reset the connections of an endpoint that is taken out, where that is asked for."""

from typing import Final

from actors.messages import connection as connection_messages
from actors.messages.connection import EndInbound
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Ref
from mesh.agent.control.gathering import Gathering
from mesh.agent.dashboard.status import NoAnswer
from mesh.connection.endings import ConnectionView, End
from mesh.connection.open_connections import OpenConnections

ASKED_AT_ONCE: Final = 200
"""Connections: for so long, some 2 ms, others' frames wait."""

PATIENCE_S: Final = 2.0
"""For so many answers."""


def close_exits(open_connections: OpenConnections[Ref[EndInbound]], key: str) -> None:
    """Reset, at both ends, what is open to this agent's endpoint of ``key``.

    Raises:
        NoAnswer: some have not answered, and go on.
    """
    after = 0
    while ends := open_connections.after(after, ASKED_AT_ONCE):
        after = ends[-1].number
        answers: Gathering[ConnectionView] = Gathering()
        question = connection_messages.DescribeConnection(answers)
        views = answers.ask([end.ref for end in ends], question, PATIENCE_S)
        if views is None:
            raise NoAnswer(
                "the endpoint is taken out, but not all of its connections answer: close them by ID"
            )
        meant = {view.id for view in views if view.end is End.EXIT and view.key == key}
        for end in ends:
            if end.id in meant:
                tell_if_alive(end.ref, connection_messages.CloseForOperator())
