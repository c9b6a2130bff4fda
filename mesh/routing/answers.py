"""What peers are owed: records that they lack, or hold older ones of.

What a peer lacks is known by its DIGEST, or when it passes on what is older. Whatever it says, and however
often, it is owed each agent's newest record once, and gets so many bytes of them a second.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from mesh.link.bodies import WireRecord
from mesh.remembered import Remembered
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

ANSWER_BYTE_RATE: Final = 512.0 * 1024
ANSWER_BYTE_BURST: Final = 8.0 * 1024 * 1024
"""Bytes of records that one peer is given in answer, a second, and at once: several times all the records
of a thousand agents. A hundred bytes, which nobody need have signed, may ask for 60,000, a digest for
everything."""

ANSWER_WAIT_S: Final = 0.25
"""Until a peer that was given too much is given some more."""


def answer_budget() -> TokenBucket:
    """What one peer is given in answer, in bytes."""
    return TokenBucket(ANSWER_BYTE_RATE, ANSWER_BYTE_BURST)


class Answers:
    """What each peer is still to be told of; ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._rates: Remembered[AgentId, TokenBucket] = Remembered(answer_budget)
        """By peer: how many more bytes it gets now. A new link begins no new burst."""
        self._owed: dict[AgentId, dict[AgentId, None]] = {}
        """By peer: agents whose newest record it lacks."""
        self._wait_until: dict[AgentId, float] = {}
        """Peers that were given too much, and until when."""

    def peer_down(self, peer_id: AgentId) -> None:
        """The link to ``peer_id`` is gone."""
        self._owed.pop(peer_id, None)
        self._wait_until.pop(peer_id, None)

    def owe(self, peer_id: AgentId, agent_ids: Iterable[AgentId]) -> None:
        """``peer_id``, a linked peer, lacks the newest records of these."""
        self._owed.setdefault(peer_id, {}).update(dict.fromkeys(agent_ids))

    def deadline(self) -> float:
        """When :meth:`take` gives something; infinite while nobody is owed anything."""
        return min((self._wait_until.get(peer_id, -math.inf) for peer_id in self._owed), default=math.inf)

    def take(
        self, now: float, newest: Callable[[AgentId], WireRecord | None]
    ) -> Iterator[tuple[AgentId, list[WireRecord]]]:
        """Peers, and the records to give them now; ``newest`` gives that of each agent, or None."""
        for peer_id in [each for each in self._owed if now >= self._wait_until.get(each, -math.inf)]:
            owed, rate = self._owed[peer_id], self._rates.of(peer_id, now)
            self._wait_until.pop(peer_id, None)
            given: list[WireRecord] = []
            for agent_id in tuple(owed):
                wire = newest(agent_id)
                if wire is not None:
                    if not rate.take(now, len(wire.signed)):
                        self._wait_until[peer_id] = now + ANSWER_WAIT_S
                        break
                    given.append(wire)
                del owed[agent_id]
            if not owed:
                del self._owed[peer_id]
            if given:
                yield peer_id, given
