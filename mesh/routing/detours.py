"""First hops that lose what they are to pass on: which connections go round them, and for how long.

A connection that finds its path failed is given another first hop at once. That alone blames nobody, for the
other end may be at fault. Only when the connection goes on by the new one are those that it left suspected,
for its destination: what is opened meanwhile goes round them from the start. When that time is over they are
tried again. If they fail again they are suspected for twice as long, and if not they are forgiven.

Where nothing was heard at all, it need not have been lost: a machine may have been suspended for a moment, or
a radio link have changed its cell. Then they are suspected for a moment at first.
"""

import enum
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId

FIRST_SUSPICION_S: Final = 30.0
SHORT_SUSPICION_S: Final = 4.0
MAX_SUSPICION_S: Final = 600.0
"""How long a first hop is suspected, for one destination, that has surely lost something, or may have stood
still; doubled with each time that it fails anew."""

MAX_SUSPICIONS: Final = 1_024
"""The oldest makes room: destinations are as many as a mesh has agents."""

HINT_COUNTS_S: Final = 60.0
"""How long a sign that may be chance waits for another."""

K = TypeVar("K")


class Proof(enum.Enum):
    """What is known of the first hops before, when a connection goes on by another."""

    LOST = "lost"
    """What was sent was lost while the other end was heard."""
    SILENT = "silent"
    """Nothing was heard: all was lost, or stood still for a moment."""
    CHANCE = "chance"
    """That it goes on may be chance: it takes two connections to blame one."""


@dataclass(slots=True)
class _Suspicion:
    """One first hop, for one destination."""

    until: float
    for_s: float

    def is_forgiven(self, now: float) -> bool:
        """Whether it has been used again for as long as it was suspected, and was not found failing."""
        return now >= self.until + max(self.for_s, FIRST_SUSPICION_S)


@dataclass(slots=True)
class _Detour:
    """Where a connection goes instead of the next hop."""

    destination: AgentId
    hop: AgentId
    left: tuple[AgentId, ...]
    """First hops that failed it since it last worked."""


class Detours(Generic[K]):
    """The first hop of each connection that does not take its destination's next hop.

    Args:
        on_suspicion: called with destination and first hop whenever one is suspected that was not.
    """

    def __init__(self, on_suspicion: Callable[[AgentId, AgentId], None]) -> None:
        self._on_suspicion = on_suspicion
        self._routes: RouteSnapshot | None = None
        self._detours: dict[K, _Detour] = {}
        self._suspicions: dict[tuple[AgentId, AgentId], _Suspicion] = {}
        """By destination and first hop, the oldest first."""
        self._hint: tuple[AgentId, AgentId, float] | None = None
        """The latest: destination, first hop and when."""

    def __contains__(self, key: K) -> bool:
        return key in self._detours

    def start(self, key: K, destination: AgentId, now: float) -> AgentId | None:
        """The first hop of a connection that has not been failed by any; ``None`` for the usual one."""
        self._detours.pop(key, None)
        if not self._suspicions or self._routes is None:
            return None
        next_hop = self._routes.next_hops.get(destination)
        if next_hop is None or not self._is_suspected(destination, next_hop, now):
            return None
        for hop in self._routes.alternates(destination):
            if not self._is_suspected(destination, hop, now):
                self._detours[key] = _Detour(destination, hop, ())
                return hop
        return None

    def failed(self, key: K, destination: AgentId, now: float) -> AgentId | None:
        """The path of a connection has failed: another first hop for it, if there is one."""
        routes = self._routes
        next_hop = None if routes is None else routes.next_hops.get(destination)
        if routes is None or next_hop is None:
            return None
        detour = self._detours.get(key)
        present, left = (next_hop, ()) if detour is None else (detour.hop, detour.left)
        others = [hop for hop in (next_hop, *routes.alternates(destination)) if hop != present]
        if not others:
            return None
        fresh = [hop for hop in others if hop not in left]
        left = (*left, present) if fresh else (present,)  # all have had their turn: once more
        hop = min(fresh or others, key=lambda hop: self._is_suspected(destination, hop, now))
        self._detours[key] = _Detour(destination, hop, left)
        return hop

    def proved(self, key: K, now: float, proof: Proof) -> None:
        """A connection goes on since it was given another first hop: those before it are to blame."""
        detour = self._detours.get(key)
        if detour is not None:
            left, detour.left = detour.left, ()
            for hop in left:
                is_chance = proof is Proof.CHANCE and not self._is_hinted_at(detour.destination, hop, now)
                if hop != detour.hop and not is_chance:
                    first_s = FIRST_SUSPICION_S if proof is Proof.LOST else SHORT_SUSPICION_S
                    self._suspect(detour.destination, hop, now, first_s)

    def forget(self, key: K) -> None:
        """The connection has ended."""
        self._detours.pop(key, None)

    def routes_changed(self, routes: RouteSnapshot) -> list[K]:
        """Take the new routes; return the connections whose first hop might send things back by these."""
        self._routes = routes
        return [key for key, detour in self._detours.items() if not self._is_usable(detour)]

    def stale(self, links: Container[AgentId]) -> list[K]:
        """The connections whose first hop has no link any more."""
        return [key for key, detour in self._detours.items() if detour.hop not in links]

    def _is_usable(self, detour: _Detour) -> bool:
        routes = self._routes
        if routes is None:
            return False
        is_next = routes.next_hops.get(detour.destination) == detour.hop
        return is_next or detour.hop in routes.alternates(detour.destination)

    def _is_hinted_at(self, destination: AgentId, hop: AgentId, now: float) -> bool:
        before, self._hint = self._hint, (destination, hop, now)
        return before is not None and before[:2] == (destination, hop) and now < before[2] + HINT_COUNTS_S

    def _is_suspected(self, destination: AgentId, hop: AgentId, now: float) -> bool:
        suspicion = self._suspicions.get((destination, hop))
        return suspicion is not None and now < suspicion.until

    def _suspect(self, destination: AgentId, hop: AgentId, now: float, first_s: float) -> None:
        before, for_s = self._suspicions.get((destination, hop)), first_s
        if before is not None and now < before.until:
            if before.for_s < first_s:  # by now it is sure
                before.until, before.for_s = now + first_s, first_s
            return
        if before is not None:
            del self._suspicions[destination, hop]
            if not before.is_forgiven(now):
                for_s = min(max(2 * before.for_s, first_s), MAX_SUSPICION_S)
        if len(self._suspicions) >= MAX_SUSPICIONS:
            del self._suspicions[next(iter(self._suspicions))]
        self._suspicions[destination, hop] = _Suspicion(now + for_s, for_s)
        self._on_suspicion(destination, hop)
