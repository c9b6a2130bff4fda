"""The certificates of those at the other ends of connections: when they end, and whether they are refused.

Who ends a connection because of that must know it even if the agent's record has been forgotten before.
"""

import math

from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.identity import AgentId


class CertificateEnds:
    """Remembers each agent's certificate; all times are Unix seconds."""

    def __init__(self) -> None:
        self._certificates: dict[AgentId, Certificate] = {}
        self.next_look = math.inf
        """When to call :meth:`ended`, or sooner; infinite if no certificate is to end."""

    def note(self, agent_id: AgentId, certificate: Certificate) -> bool:
        """The agent's newest certificate; whether the next look is sooner for it."""
        self._certificates[agent_id] = certificate
        if certificate.not_after >= self.next_look:
            return False
        self.next_look = certificate.not_after
        return True

    def forget(self, agent_id: AgentId) -> None:
        """The agent is at the other end of nothing any more."""
        self._certificates.pop(agent_id, None)

    def ended(self, unix_now: float) -> list[AgentId]:
        """Agents whose certificates have ended; told each time, until they are forgotten."""
        ends = {agent_id: certificate.not_after for agent_id, certificate in self._certificates.items()}
        self.next_look = min((end for end in ends.values() if end > unix_now), default=math.inf)
        return [agent_id for agent_id, end in ends.items() if end <= unix_now]

    def name_of(self, agent_id: AgentId) -> str:
        """What the certificate of an agent that is remembered calls it."""
        return self._certificates[agent_id].name

    def refused(self, trust: TrustStore) -> list[AgentId]:
        """Agents whose certificates ``trust`` refuses."""
        return [agent_id for agent_id, each in self._certificates.items() if trust.refusal(each)]
