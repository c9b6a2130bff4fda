"""The certificates of those at the other ends of connections: when they end, and whether they are refused.

Who ends a connection because of that must know it even if the agent's record has been forgotten before.
"""

import math

from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.identity import NO_AGENT, AgentId


class CertificateEnds:
    """Remembers each agent's certificate; all times are Unix seconds.

    Args:
        own_id: the agent that remembers them; its own is neither awaited nor refused.
    """

    def __init__(self, own_id: AgentId = NO_AGENT) -> None:
        self._own_id = own_id
        self._certificates: dict[AgentId, Certificate] = {}
        self.next_look = math.inf
        """When to call :meth:`ended`, or sooner; infinite if no certificate is to end."""

    def note(self, agent_id: AgentId, certificate: Certificate) -> bool:
        """The agent's newest certificate; whether the next look is sooner for it."""
        self._certificates[agent_id] = certificate
        if agent_id == self._own_id or certificate.not_after >= self.next_look:
            return False
        self.next_look = float(certificate.not_after)
        return True

    def of(self, agent_id: AgentId) -> Certificate | None:
        """The newest of an agent; ``None`` if none is remembered."""
        return self._certificates.get(agent_id)

    def forget(self, agent_id: AgentId) -> None:
        """The agent is at the other end of nothing any more."""
        self._certificates.pop(agent_id, None)

    def ended(self, unix_now: float) -> list[AgentId]:
        """Agents whose certificates have ended; told each time, until they are forgotten."""
        ends = {agent_id: certificate.not_after for agent_id, certificate in self._of_others()}
        self.next_look = min((end for end in ends.values() if end > unix_now), default=math.inf)
        return [agent_id for agent_id, end in ends.items() if end <= unix_now]

    def name_of(self, agent_id: AgentId) -> str:
        """What the certificate of an agent that is remembered calls it."""
        return self._certificates[agent_id].name

    def refused(self, trust: TrustStore) -> list[AgentId]:
        """Agents whose certificates ``trust`` refuses."""
        return [agent_id for agent_id, each in self._of_others() if trust.refusal(each)]

    def _of_others(self) -> list[tuple[AgentId, Certificate]]:
        return [each for each in self._certificates.items() if each[0] != self._own_id]
