"""Invariants of the meantime: dead links are found; waiting data and records keep within their bounds."""

from typing import Final, Protocol

from actors.links.peer_link import PeerLink
from actors.route_table import RouteTable
from mesh.routing.router import RouteTableState
from scripts.simulation.invariants import InvariantError
from scripts.simulation.scenario import Scenario
from scripts.simulation.service import Service
from scripts.simulation.stage import SimulatedStage, service_host
from scripts.simulation.topology import Pair
from scripts.simulation.world import MeshWorld

SLACK_S: Final = 1.0
"""Beyond ``connections.timeout``: for what was under way, and for computing routes."""

RECORDS_PER_S: Final = 2.0
"""One for all links that flap for ever, and one for everything else: so many others take of one agent."""

MAX_RECORDS_AT_ONCE: Final = 12
"""Beyond that: the wait after a change, 5 ms, doubles until it is a second; leaving is not put off."""


CHECK_SLACK_S: Final = 0.1
"""For a health check to be made and a record to be changed."""


class Watch(Protocol):
    """Judges what must be so at any time."""

    def look(self) -> None:
        """Look now.

        Raises:
            InvariantError: something is not so.
        """
        ...


def watches(stage: SimulatedStage, scenario: Scenario) -> list[Watch]:
    """All that are needed in a run."""
    return [
        LinkWatch(stage, scenario.settings.timeout_s),
        RelayWatch(stage.mesh),
        RecordWatch(stage.mesh),
        HealthWatch(stage),
        CapacityWatch(stage),
    ]


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


class RelayWatch:
    """Looks at what waits on links for others."""

    def __init__(self, mesh: MeshWorld) -> None:
        self._mesh = mesh

    def look(self) -> None:
        """Look now.

        Raises:
            InvariantError: more waits than an agent may hold, or not what it counts.
        """
        for name in self._mesh.running:
            budget = self._mesh.plans[name].relay_budget
            queues = [link._output.queue for link in self._mesh.actors_on(name, PeerLink)]
            held = sum(queue.byte_count - queue.control_bytes for queue in queues)
            if not held == budget.held_bytes <= budget.limit_bytes:
                text = f"{name} holds {held} bytes, counts {budget.held_bytes}, of {budget.limit_bytes}"
                raise InvariantError("transit memory is bounded", text)


class RecordWatch:
    """Counts the records that each agent originates."""

    def __init__(self, mesh: MeshWorld) -> None:
        self._mesh = mesh
        self._least: dict[str, tuple[RouteTableState, float]] = {}
        """By agent: its run, and the least number of records beyond those that time paid for."""

    def look(self) -> None:
        """Look now.

        Raises:
            InvariantError: since any earlier look an agent has originated more records than are allowed.
        """
        now = self._mesh.world.now()
        for name in self._mesh.running:
            for table in self._mesh.actors_on(name, RouteTable):
                run, least = self._least.get(name, (None, 0.0))
                unpaid = table._state.counts().records_originated_total - now * RECORDS_PER_S
                least = min(least, unpaid) if run is table._state else -now * RECORDS_PER_S
                self._least[name] = table._state, least
                if unpaid - least > MAX_RECORDS_AT_ONCE:
                    beyond = f"{unpaid - least:.1f} records beyond {RECORDS_PER_S:g} a second"
                    text = f"{name} has originated {beyond}"
                    raise InvariantError("records are bounded", text)


class HealthWatch:
    """Looks whether keys are offered while their targets are up, and only then, where that is checked."""

    def __init__(self, stage: SimulatedStage) -> None:
        self._stage, self._mesh = stage, stage.mesh
        self._idle_since: dict[str, float] = {}
        """As in :class:`LinkWatch`."""

    def look(self) -> None:
        """Look now.

        Raises:
            InvariantError: a key is offered whose target is long down, or is not although it is long up.
        """
        now = self._mesh.world.now()
        for (key, name), shape in self._stage.script.endpoints.items():
            if shape.health_check is None:
                continue
            offers = self._offers(name, key)
            if offers is None:
                self._idle_since[name] = now
                continue
            host = service_host(key, name)
            touched = (self._stage.touched_at.get(frozenset({each}), 0.0) for each in (name, host))
            unchanged_s = now - max(*touched, self._idle_since.get(name, 0.0))
            is_up = host not in self._stage.dead_targets
            limit_s = shape.offered_within_s if is_up else shape.withdrawn_within_s
            if offers is not is_up and unchanged_s > limit_s + CHECK_SLACK_S:
                states = f"{'' if offers else 'not '}offered, its target {'up' if is_up else 'down'}"
                text = f"{key} at {name} is {states} for {unchanged_s:.1f} s"
                raise InvariantError("keys follow the health of their targets", text)

    def _offers(self, name: str, key: str) -> bool | None:
        """Whether an agent offers a key; ``None`` where it cannot know better or is about to leave."""
        snapshot = self._mesh.routes(name) if name in self._mesh.running else None
        if snapshot is None or name in self._stage.paused:
            return None
        own = snapshot.records.get(snapshot.own_id)
        return None if own is None or own.body.draining else key in own.offered_keys


class CapacityWatch:
    """Looks how many conversations each service has had at once."""

    def __init__(self, stage: SimulatedStage) -> None:
        self._stage, self._mesh = stage, stage.mesh

    def look(self) -> None:
        """Look now.

        Raises:
            InvariantError: there were more than ``max_connections``.
        """
        for (key, name), shape in self._stage.script.endpoints.items():
            host = service_host(key, name)
            if host in self._stage.dead_targets:
                continue
            for service in self._mesh.actors_on(host, Service):
                if 0 < shape.max_connections < service.most_at_once:
                    most, limit = service.most_at_once, shape.max_connections
                    raise InvariantError("max_connections is kept", f"{most} of {limit} to {key} at {name}")
