"""Tells connections what becomes of the certificates of the agents at their other ends.

One that ends, or is refused, ends all connections with its agent. A new one may take rights away, as another
configuration of this agent may: each connection judges that by itself.
"""

import logging
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

from actors.messages import connection as connection_messages
from actors.messages import connection_table as messages
from actors.messages.connection import ENDED, REFUSED
from actors.runtime.alarm import Alarm
from actors.runtime.seam import Dispatcher, Ref
from mesh.connection.certificate_ends import CertificateEnds
from mesh.routing.records import Record
from mesh.trust.certificates import CERTIFICATE_POLL_S, Certificate, TrustStore
from mesh.trust.identity import AgentId, Instance
from mesh.trust.naming import named
from mesh.trust.policy import Policy

log = logging.getLogger("mesh.connections")

ConnectionId: TypeAlias = tuple[AgentId, int, bool]
"""The other end's agent, the connection's number, and whether this agent is its exit."""

OfRemote: TypeAlias = dict[ConnectionId, tuple[Ref[connection_messages.EndInbound], Instance]]
"""The connections with one agent, each with the instance that it was opened with."""

Tell: TypeAlias = Callable[[Ref[connection_messages.EndInbound], connection_messages.EndInbound], bool]


class RemoteCertificates:
    """Those of the agents that a connection table has connections with, the own agent among them.

    Args:
        own_id: its own certificate may change as well, but nobody ends its connections because it has ended.
        dispatcher: whose wall clock counts.
        alarm: is armed for when a certificate ends.
        policy: what this agent's configuration says at first.
        connections: those that there are, by the other end's agent; the table keeps it.
        tell: has the table send a message.
    """

    def __init__(
        self,
        own_id: AgentId,
        dispatcher: Dispatcher,
        alarm: Alarm[messages.CertificateTimerFired],
        *,
        policy: Policy,
        connections: Mapping[AgentId, OfRemote],
        tell: Tell,
    ) -> None:
        self._dispatcher = dispatcher
        self._alarm = alarm
        self._policy = policy
        self._connections = connections
        self._tell = tell
        self._ends = CertificateEnds(own_id)

    def note(self, record: Record) -> None:
        """This is the newest record of an agent that there are connections with."""
        remote, certificate = record.agent_id, record.certificate
        before = self._ends.of(remote)
        if before is certificate:
            return
        if self._ends.note(remote, certificate):
            self._arm()
        if before is not None and before != certificate:
            self._tell_rights(remote, certificate)

    def forget(self, remote: AgentId) -> None:
        """There is no connection with this agent any more."""
        self._ends.forget(remote)

    def rights(self, remote: AgentId, certificate: Certificate) -> connection_messages.RightsChanged:
        """What a connection with this agent is judged by."""
        return connection_messages.RightsChanged(remote, certificate, self._policy)

    def change_policy(self, policy: Policy) -> None:
        """This agent's configuration says this from now on."""
        if policy == self._policy:
            return
        self._policy = policy
        for remote in self._connections:
            certificate = self._ends.of(remote)
            if certificate is not None:
                self._tell_rights(remote, certificate)

    def end_expired(self) -> None:
        """Reset connections with agents whose certificates have ended, and look again in time."""
        for remote in self._ends.ended(self._dispatcher.unix_time()):
            self._end_with(remote, ENDED)
        self._arm()

    def end_refused(self, trust: TrustStore) -> list[AgentId]:
        """Reset connections with agents that ``trust`` refuses; who these are."""
        refused = self._ends.refused(trust)
        for remote in refused:
            self._end_with(remote, REFUSED)
        return refused

    def _tell_rights(self, remote: AgentId, certificate: Certificate) -> None:
        news = self.rights(remote, certificate)
        for connection, _ in self._connections[remote].values():
            self._tell(connection, news)

    def _end_with(self, remote: AgentId, why: str) -> None:
        news = connection_messages.PeerExpired(remote, why)
        who = named(self._ends.name_of(remote), remote)
        told = sum(self._tell(connection, news) for connection, _ in self._connections[remote].values())
        if told:
            line = "the certificate of %(agent)s %(reason)s; connections with it: %(count)d, reset"
            log.warning(line, {"agent": who, "reason": why, "count": told})

    def _arm(self) -> None:
        """Ring when the next certificate ends; the wall clock may be set, so look before that too."""
        left_s = self._ends.next_look - self._dispatcher.unix_time()
        if left_s < math.inf:
            now = self._dispatcher.now()
            self._alarm.arm(now + min(max(left_s, 0.0), CERTIFICATE_POLL_S), now)
