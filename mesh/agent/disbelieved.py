"""The keys whose listeners here ignore every offer that there is, for none is of an agent that they name."""

from mesh.config.schema import Config
from mesh.routing.counterparts import why_disbelieved
from mesh.routing.routes import RouteSnapshot
from mesh.trust.policy import Gate, listed


def disbelieved(config: Config, routes: RouteSnapshot) -> dict[str, str]:
    """The reason for each such key; a key with several listeners is not one if any of them has an offer."""
    named: dict[str, set[str]] = {}
    for section in config.forward.listeners:
        if section.agents:
            named.setdefault(section.key, set()).update(section.agents)
    for section in config.forward.listeners:
        if not section.agents:  # it believes all
            named.pop(section.key, None)
    found = {}
    for key, agents in named.items():
        offering = [routes.records[candidate.agent_id] for candidate in routes.candidates.get(key, ())]
        if offering and not any(
            listed(Gate.AGENTS, agents, record.certificate).is_open for record in offering
        ):
            found[key] = why_disbelieved([record.name for record in offering])
    return found
