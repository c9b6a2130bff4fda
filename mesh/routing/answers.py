"""Older records are answered with newer ones: once for all that come together, and not without end."""

from typing import Final

from mesh.link.bodies import WireRecord
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

ANSWER_RATE: Final = 10.0
ANSWER_BURST: Final = 100.0
"""Older records of one peer that are answered with newer ones: a second, and at once. One of a hundred
bytes, which nobody need have signed, may ask for 60,000. What is not answered now is when it comes again,
and digests tell two new peers of everything."""


class Answers:
    """What peers are told of while they speak; ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._rates: dict[AgentId, TokenBucket] = {}
        """Linked peers, and how many more answers they get now."""
        self._waiting: dict[AgentId, dict[AgentId, WireRecord]] = {}
        """By peer: newer records for what it is just saying, by agent."""

    def peer_up(self, peer_id: AgentId) -> None:
        """There is a link to ``peer_id``; one that takes another's place begins no new burst."""
        self._rates.setdefault(peer_id, TokenBucket(ANSWER_RATE, ANSWER_BURST))

    def peer_down(self, peer_id: AgentId) -> None:
        """The link to ``peer_id`` is gone."""
        self._rates.pop(peer_id, None)
        self._waiting.pop(peer_id, None)

    def add(self, peer_id: AgentId, agent_id: AgentId, ours: WireRecord, now: float) -> None:
        """``peer_id`` holds an older record of ``agent_id`` than ``ours``."""
        waiting = self._waiting.setdefault(peer_id, {})
        if agent_id in waiting or self._rates[peer_id].take(now):
            waiting[agent_id] = ours

    def take(self, peer_id: AgentId) -> list[WireRecord]:
        """All that ``peer_id`` is to be told of, now that it has said everything."""
        return list(self._waiting.pop(peer_id, {}).values())
