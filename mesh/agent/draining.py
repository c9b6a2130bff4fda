"""Have an agent drain, and what is then said of it: it is not ready for more, though it serves."""

from typing import Final

import pykka

from actors.messages import agent as agent_messages
from actors.runtime.reference import AskRef
from mesh.agent.outcome import RefusedError
from mesh.routing.routes import RouteSnapshot

TIMEOUT_S: Final = 5.0
"""For the root actor to have told the route table."""

DRAINING: Final = "draining: other agents are preferred, as mesh drain has asked"


def drain(root: AskRef[agent_messages.Inbound], *, draining: bool) -> None:
    """Have the mesh prefer other agents, or no longer.

    Raises:
        RefusedError: the agent is about to leave, or does not answer.
    """
    asked: pykka.Future[bool] = root.ask(agent_messages.Drain(draining), block=False)
    try:
        is_so = asked.get(timeout=TIMEOUT_S)
    except (pykka.Timeout, pykka.ActorDeadError):
        raise RefusedError("the agent's actors do not answer") from None
    if not is_so:
        raise RefusedError("the agent is about to leave, and drains until then")


def is_draining(routes: RouteSnapshot) -> bool:
    """Whether this agent asks the mesh to prefer others."""
    return routes.records[routes.own_id].body.draining
