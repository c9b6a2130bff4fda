"""Who begins to offer a key that this agent offers already: it may take clients from this one.

Several agents may offer one key, that is what it is for; but an operator is to hear of it. Listeners tell of
it themselves (``mesh/connection/offer_watch.py``).
"""

from collections.abc import Mapping
from typing import NamedTuple

from mesh.newcomers import MAX_KNOWN, SETTLING_S
from mesh.routing.records import Record
from mesh.trust.identity import AgentId


class Rival(NamedTuple):
    """Somebody who offers a key, too."""

    key: str
    record: Record


class _Known:
    """Who has ever offered a key of this agent."""

    __slots__ = ("agents", "settled_at")

    def __init__(self, settled_at: float) -> None:
        self.settled_at = settled_at
        self.agents: dict[AgentId, None] = {}


class RivalWatch:
    """Looks at records that are new; times are monotonic seconds."""

    def __init__(self) -> None:
        self._own_keys: tuple[str, ...] = ()
        self._known: dict[str, _Known] = {}
        """Of each key that this agent offers."""
        self._seen: dict[AgentId, Record] = {}

    def look(self, own_id: AgentId, records: Mapping[AgentId, Record], now: float) -> list[Rival]:
        """Those who are to be told of, each once, in no order.

        Args:
            own_id: this agent's.
            records: of all agents, this one included.
            now: a key that this agent offers since less than ``SETTLING_S`` makes nobody a newcomer.
        """
        own = records.get(own_id)
        if own is not None and own.offered_keys != self._own_keys:
            self._offer(own.offered_keys, now)
        if not self._known:
            return []
        found = []
        for agent_id, record in records.items():
            if self._seen.get(agent_id) is record or agent_id == own_id:
                continue
            for key in self._known.keys() & set(record.offered_keys):
                known = self._known[key]
                if agent_id not in known.agents and now >= known.settled_at:
                    found.append(Rival(key, record))
                known.agents[agent_id] = None
                if len(known.agents) > MAX_KNOWN:
                    del known.agents[next(iter(known.agents))]
        self._seen = dict(records)
        return found

    def _offer(self, keys: tuple[str, ...], now: float) -> None:
        """Watch these from now on; those who offer a new one were there before."""
        before, self._known, self._own_keys = self._known, {}, keys
        for key in keys:
            self._known[key] = before.get(key) or _Known(now + SETTLING_S)
        self._seen = {}
