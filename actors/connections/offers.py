"""Who offers a key, out of a snapshot of the routes."""

from mesh.connection.offer import Offer
from mesh.connection.party import Party
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId


class KnownOffers:
    """The offers of each key, for all listeners of an agent.

    They are put together once for each snapshot and key, however many listen for it. While nothing about the
    offers of a key changes, it is the same tuple: who has seen it has nothing to do.
    """

    __slots__ = ("_before", "_now", "_snapshot")

    def __init__(self) -> None:
        self._snapshot: RouteSnapshot | None = None
        self._now: dict[str, tuple[Offer, ...]] = {}
        """Those of the snapshot, by key, as far as they were asked for."""
        self._before: dict[str, tuple[Offer, ...]] = {}

    def of(self, snapshot: RouteSnapshot, key: str) -> tuple[Offer, ...]:
        """Who offers ``key`` within reach, in the order of the snapshot."""
        if snapshot is not self._snapshot:
            self._snapshot, self._before, self._now = snapshot, self._now, {}
        found = self._now.get(key)
        if found is None:
            found, before = offers_of(snapshot, key), self._before.get(key)
            if before == found:
                found = before
            self._now[key] = found
        return found


def offers_of(snapshot: RouteSnapshot, key: str) -> tuple[Offer, ...]:
    """Who offers ``key`` within reach, in the order of the snapshot."""
    return tuple(
        _offer(snapshot, candidate.agent_id, candidate.hop_count, candidate.rtt_steps)
        for candidate in snapshot.candidates.get(key, ())
    )


def offer_of(snapshot: RouteSnapshot, agent_id: AgentId) -> Offer | None:
    """What it takes to open a connection to this agent, whatever it offers; ``None`` if out of reach."""
    hop_count = snapshot.hop_counts.get(agent_id)
    return None if hop_count is None else _offer(snapshot, agent_id, hop_count, 0)


def _offer(snapshot: RouteSnapshot, agent_id: AgentId, hop_count: int, rtt_steps: int) -> Offer:
    record = snapshot.records[agent_id]
    party = Party(id=agent_id, instance=record.instance, session_key=record.session_key)
    # Links are quantised one by one; their sum would tell paths apart that measure alike.
    rtt_step = max(0, rtt_steps - 1).bit_length()
    return Offer(party, record.body.draining, hop_count, rtt_step, record.name, record.certificate.groups)
