"""Forgets pair sessions in their time, and as soon as the other agent is not what it was."""

from collections.abc import Callable, Iterable, Mapping

from actors.messages.connection_table import PairTimerFired
from actors.runtime.alarm import Alarm
from actors.runtime.seam import Timer
from mesh.connection.pair_sessions import PairSessions
from mesh.routing.records import Record
from mesh.trust.identity import AgentId


class PairKeeper:
    """Those of a connection table's agent.

    Args:
        pairs: the ends of connections add to them.
        schedule: has a message sent to the table in so many seconds.
    """

    def __init__(self, pairs: PairSessions, schedule: Callable[[float, PairTimerFired], Timer]) -> None:
        self.pairs = pairs
        self._alarm = Alarm(schedule, PairTimerFired())

    def added(self, now: float) -> None:
        """There is one more."""
        self._alarm.arm(self.pairs.deadline(), now)

    def expire(self, now: float) -> None:
        """The alarm has rung: forget what is over."""
        self._alarm.disarm()
        self.pairs.expire(now)
        self.added(now)

    def judge(self, records: Mapping[AgentId, Record]) -> None:
        """Forget those with agents that are other instances now."""
        for party in self.pairs.parties():
            record = records.get(party.id)
            if record is not None and record.instance != party.instance:
                self.pairs.forget(party.id)

    def forget(self, agents: Iterable[AgentId]) -> None:
        """Forget those with these agents."""
        for agent_id in agents:
            self.pairs.forget(agent_id)

    def end(self) -> None:
        """Do not ring any more, and let go of the table."""
        self._alarm.end()
