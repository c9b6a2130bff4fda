"""Tickets: by which a responder knows an initiator again before it has done anything costly for it.

Both sides of a link derive the same 16 bytes from its keys, and show them nobody. When the initiator dials
there again, it shows them in its first message; the responder then knows whose handshake it is about to pay
for. A ticket lasts until the next link of that agent is admitted, so of one that was seen on the wire little
is left. It proves nothing: the handshake does that.
"""

from hashlib import blake2s
from typing import Final

from mesh.link.opening import TICKET_BYTES
from mesh.remembered import MAX_KEPT
from mesh.trust.identity import AgentId

_TICKET_CONTEXT: Final = b"mesh link ticket v1"


def ticket_of(to_responder: bytes, to_initiator: bytes) -> bytes:
    """The ticket that a link leaves for the next one, from the two keys that its handshake gave."""
    return blake2s(_TICKET_CONTEXT + to_responder + to_initiator, digest_size=TICKET_BYTES).digest()


class Tickets:
    """Whose tickets a responder knows: the latest of each agent, of those whose links were admitted last."""

    __slots__ = ("_max_kept", "_of", "_owners")

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        self._max_kept = max_kept
        self._owners: dict[bytes, AgentId] = {}
        self._of: dict[AgentId, bytes] = {}
        """The one admitted longest ago first."""

    def owner(self, ticket: bytes) -> AgentId | None:
        """The agent that ``ticket`` was left to, if it is known."""
        return self._owners.get(ticket)

    def renew(self, agent_id: AgentId, ticket: bytes) -> None:
        """A link of ``agent_id`` that left ``ticket`` has been admitted; its earlier ticket is void."""
        old = self._of.pop(agent_id, None)
        if old is None and len(self._of) >= self._max_kept:
            old = self._of.pop(next(iter(self._of)))
        if old is not None:
            del self._owners[old]
        self._of[agent_id] = ticket
        self._owners[ticket] = agent_id
