"""``/api/v1/drain``: have the mesh prefer other agents, without stopping this one."""

from http import HTTPStatus
from typing import Final

import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.requests import DRAIN
from mesh.agent.control.route import Call, Method, Nothing, Route

IS_LEAVING: Final = frozenset({HTTPStatus.CONFLICT})


class DrainState(msgspec.Struct, frozen=True):
    """Whether the agent drains, and what is left."""

    draining: bool
    open_connections: int
    """That end at this agent, as ingress or as exit; what passes through is not counted."""


def drain_routes(behind: Behind) -> tuple[Route, ...]:
    """What drains the agent, and ends that."""

    def state(_: Call[Nothing, Nothing]) -> DrainState:
        """Say whether the agent drains; so does one that is about to leave."""
        shown = behind.status().value
        return DrainState(shown.draining, shown.stats.open_connections)

    def drain(_: Call[Nothing, Nothing]) -> DrainState:
        """Have the mesh prefer other agents; who has no other is served as before.

        Nothing is closed. It ends with DELETE, or with the agent's process.
        """
        behind.steering.drain(draining=True)
        return DrainState(draining=True, open_connections=behind.status().value.stats.open_connections)

    def undrain(_: Call[Nothing, Nothing]) -> None:
        """Have the mesh use this agent like others again."""
        behind.steering.drain(draining=False)

    return (
        Route(Method.GET, DRAIN, state),
        Route(Method.POST, DRAIN, drain, problems=IS_LEAVING, changes=True),
        Route(Method.DELETE, DRAIN, undrain, problems=IS_LEAVING, changes=True),
    )
