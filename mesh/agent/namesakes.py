"""Other agents with this agent's name: people, and lists of agents, take one for the other."""

from mesh.routing.counterparts import some_of
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import short_id


def namesake_warnings(routes: RouteSnapshot) -> tuple[str, ...]:
    """One line if there are any, else nothing."""
    others = sorted(map(short_id, routes.namesakes))
    if not others:
        return ()
    name = routes.records[routes.own_id].name
    line = (
        f"another agent has the name of this one, {name!r}: {some_of(others)}; "
        "agents: and allow: mean both by it; sign one of them a certificate with another --name"
    )
    return (line,)
