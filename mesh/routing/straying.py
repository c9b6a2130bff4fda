"""Frames that come astray: by another link than their source's best way brings them by.

A relay can write any source into a frame. But all agents compute the same best paths, so all that a source
sends through this agent comes by one peer, unless it goes round a first hop or routes are changing. What
comes by another may be made up. It goes on all the same, but takes no turn of that source on a link. A flag
tells the next agents so: they could not see it if the source's own frames come by the same peer.

Source: feasible reverse path, RFC 3704 section 2.3, as a turn instead of a filter.
"""

from typing import Final

from mesh.routing.routes import RouteSnapshot
from mesh.routing.ways_back import OpenBudgets
from mesh.trust.identity import AgentId

MAX_FORMER: Final = 4_096
"""Sources of which a link keeps what it found by former routes; beyond, it begins anew. Only agents that are
known are judged, so it is the size of a mesh and not what somebody makes up."""


class Straying:
    """Which sources' frames come astray by one link; ``now`` is monotonic seconds.

    Args:
        peer_id: where the link comes from.
        budgets: of all peers, for searches.
        max_former: see ``MAX_FORMER``.
    """

    __slots__ = ("_budgets", "_former", "_max_former", "_peer_id", "_routes", "verdicts")

    def __init__(self, peer_id: AgentId, budgets: OpenBudgets, max_former: int = MAX_FORMER) -> None:
        self._max_former = max_former
        self._peer_id = peer_id
        self._budgets = budgets
        self._routes: RouteSnapshot | None = None
        self._former: dict[AgentId, bool] = {}
        """What was found by former routes."""
        self.verdicts: dict[AgentId, bool] = {}
        """What :meth:`is_astray` has found by the present routes: look here first, for it is asked often."""

    def follow(self, routes: RouteSnapshot | None) -> None:
        """Judge by these routes from now on."""
        if routes is self._routes:
            return
        self._routes = routes
        if len(self._former) >= self._max_former:
            self._former.clear()
        self._former |= self.verdicts
        self.verdicts.clear()

    def is_astray(self, source: AgentId, now: float) -> bool:
        """Whether a frame in the name of ``source`` ought to have come by another link.

        A source that this agent knows no way to is not judged: such have one turn together anyway.
        """
        routes = self._routes
        if routes is None:
            return False
        next_hop = routes.next_hops.get(source)
        if self._peer_id in (next_hop, source):
            verdict = False
        elif next_hop is None:
            return False
        elif routes.has_ways_in(source) or self._budgets.of(self._peer_id, now).searches.take(now):
            verdict = routes.ways_in(source).best != self._peer_id
        else:  # who names many sources uses up the searches of its own link
            return self._former.get(source, True)
        self.verdicts[source] = verdict
        return verdict
