"""An invariant of the meantime: a link that carries nothing is found dead in time."""

from typing import Final

from scripts.simulation.faults import Script
from scripts.simulation.invariants import InvariantError
from scripts.simulation.topology import Pair
from scripts.simulation.world import MeshWorld

SLACK_S: Final = 1.0
"""Beyond ``connections.timeout``: for what was under way when the link died, and for computing routes."""


class LinkWatch:
    """Looks at every link now and then.

    Args:
        timeout_s: after which agents must have found a dead link.
        paused: names of agents that are paused, kept by the caller.
    """

    def __init__(self, mesh: MeshWorld, script: Script, timeout_s: float, paused: set[str]) -> None:
        self._mesh, self._script, self._paused = mesh, script, paused
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
        for name in self._script.map.names:
            if name not in running or name in self._paused:
                self._idle_since[name] = now
        for pair in self._script.map.links:
            if self._carries(pair):
                self._dead_since.pop(pair, None)
                continue
            since = self._dead_since.setdefault(pair, now)
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
