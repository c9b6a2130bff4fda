"""When the certificates of those at the other ends of connections end.

Who ends a connection because of that must know it even if the agent's record has been forgotten before.
"""

import math

from mesh.trust.identity import AgentId


class CertificateEnds:
    """Remembers the end of each agent's certificate; all times are Unix seconds."""

    def __init__(self) -> None:
        self._ends: dict[AgentId, int] = {}
        self.next_look = math.inf
        """When to call :meth:`ended`, or sooner; infinite if no certificate is to end."""

    def note(self, agent_id: AgentId, not_after: int) -> bool:
        """The agent's newest certificate ends then; whether the next look is sooner for it."""
        self._ends[agent_id] = not_after
        if not_after >= self.next_look:
            return False
        self.next_look = not_after
        return True

    def forget(self, agent_id: AgentId) -> None:
        """The agent is at the other end of nothing any more."""
        self._ends.pop(agent_id, None)

    def ended(self, unix_now: float) -> list[AgentId]:
        """Agents whose certificates have ended; told each time, until they are forgotten."""
        ends = self._ends
        self.next_look = min((end for end in ends.values() if end > unix_now), default=math.inf)
        return [agent_id for agent_id, end in ends.items() if end <= unix_now]
