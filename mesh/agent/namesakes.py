"""Other agents with this agent's name: people, and lists of agents, take one for the other."""

from typing import Final

from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import short_id

MAX_NAMESAKES_SAID: Final = 3
"""Agents that the line names before it only counts."""


def namesake_warnings(routes: RouteSnapshot) -> tuple[str, ...]:
    """One line if there are any, else nothing."""
    others = sorted(map(short_id, routes.namesakes))
    if not others:
        return ()
    more = len(others) - MAX_NAMESAKES_SAID
    said = ", ".join(others[:MAX_NAMESAKES_SAID]) + (f" and {more:,} more" if more > 0 else "")
    name = routes.records[routes.own_id].name
    line = (
        f"another agent has the name of this one, {name!r}: {said}; agents: and allow: mean both by it; "
        "sign one of them a certificate with another --name"
    )
    return (line,)
