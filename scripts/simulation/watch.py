"""An invariant of the meantime: a link that carries nothing is found dead in time."""

from typing import Final

from scripts.simulation.invariants import InvariantError
from scripts.simulation.stage import SimulatedStage
from scripts.simulation.topology import Pair

SLACK_S: Final = 1.0
"""Beyond ``connections.timeout``: for what was under way, and for computing routes."""


class LinkWatch:
    """Looks at every link now and then.

    Args:
        stage: where faults are played.
        timeout_s: after which agents must have found a dead link.
    """

    def __init__(self, stage: SimulatedStage, timeout_s: float) -> None:
        self._stage, self._mesh = stage, stage.mesh
        self._limit_s = timeout_s + SLACK_S
        self._dead_since: dict[Pair, float] = {}
        self._idle_since: dict[str, float] = {}
        """Agents that could not have noticed anything, and when they were last seen so."""

    def look(self) -> None:
        """Look now.

        Raises:
            InvariantError: an agent counts on a link that has carried nothing for too long.
        """
        now = self._mesh.world.now()
        running = set(self._mesh.running)
        layout = self._stage.script.map
        for name in layout.names:
            if name not in running or name in self._stage.paused:
                self._idle_since[name] = now
        for pair in layout.links:
            if self._carries(pair):
                self._dead_since.pop(pair, None)
                continue
            # Whatever was done to it between two looks may have let something through.
            touched = [self._stage.touched_at.get(frozenset(who), 0.0) for who in (pair, pair[:1], pair[1:])]
            since = self._dead_since[pair] = max(self._dead_since.get(pair, now), *touched)
            for name, other in (pair, pair[::-1]):
                if now - max(since, self._idle_since.get(name, 0.0)) > self._limit_s:
                    self._judge(name, other, now - since)

    def _carries(self, pair: Pair) -> bool:
        if any(self._idle_since.get(name) == self._mesh.world.now() for name in pair):
            return False
        network = self._mesh.network
        one, other = (network.host(name) for name in pair)
        ways = (network.link(one, other), network.link(other, one))
        return not any(way.is_cut or way.refusing for way in ways)

    def _judge(self, name: str, other: str, dead_s: float) -> None:
        snapshot = self._mesh.routes(name)
        if snapshot is None or snapshot.own_id not in snapshot.records:
            return
        lost = self._mesh.id_of(other)
        if any(neighbour.id == lost for neighbour in snapshot.records[snapshot.own_id].body.neighbours):
            text = f"{name} counts on its link to {other}, which has carried nothing for {dead_s:.1f} s"
            raise InvariantError("dead links are found", text)
