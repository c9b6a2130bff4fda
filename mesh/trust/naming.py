"""How logs and people name an agent."""

from mesh.escaping import escaped
from mesh.trust.identity import AgentId, short_id


def named(name: str, agent_id: AgentId) -> str:
    """An agent as logs show it: its display name and short ID, or the ID alone if no name is known."""
    return f"{escaped(name)} {short_id(agent_id)}" if name else short_id(agent_id)
