"""OPENs that come by another way than the best from their source: a relay passes few of them on.

A relay cannot know who made an OPEN, for who may relay can write any source into one. But all agents compute
the same best paths, so an honest one comes by the peer that the best path from its source ends with here,
unless that goes round a first hop or routes are changing; for those each link has a share, a smaller one if
no path of as few links comes by it. So who is not on an agent's way uses up little of what that agent has
further on.

Source: feasible reverse path, RFC 3704 section 2.3, as a share instead of a filter.
"""

from typing import Final

from mesh.routing.routes import RouteSnapshot
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

EQUAL_RATE: Final = 100.0
"""OPENs a second of each link that are not on the best way from their source, but on one of as few links:
less than half of what an exit looks at in one name, so that the agent keeps the rest."""

EQUAL_BURST: Final = 400.0
"""At once: the clients of an agent that goes round a first hop."""

ROUNDABOUT_RATE: Final = 25.0
"""OPENs a second of each link that is no shortest way back: a tenth of what an exit looks at in one name."""

ROUNDABOUT_BURST: Final = 200.0
"""At once: the clients of an agent that goes round a first hop, or whose routes are changing."""

SEARCH_RATE: Final = 2.0
"""Searches a second, for each link, for a source's ways: each is searched for once in each routes."""

SEARCH_BURST: Final = 20.0


class WaysBack:
    """What one link may bring of OPENs; ``now`` is monotonic seconds.

    Args:
        peer_id: where the link comes from.
    """

    __slots__ = ("_equal", "_peer_id", "_roundabout", "_searches", "routes")

    def __init__(self, peer_id: AgentId) -> None:
        self._peer_id = peer_id
        self.routes: RouteSnapshot | None = None
        self._equal = TokenBucket(EQUAL_RATE, EQUAL_BURST)
        self._roundabout = TokenBucket(ROUNDABOUT_RATE, ROUNDABOUT_BURST)
        self._searches = TokenBucket(SEARCH_RATE, SEARCH_BURST)

    def may_pass(self, source: AgentId, now: float) -> bool:
        """Whether an OPEN in the name of ``source`` is to be passed on."""
        routes = self.routes
        if source == self._peer_id or routes is None or routes.next_hops.get(source) == self._peer_id:
            return True
        if not routes.has_ways_in(source):
            if self._roundabout.take(now):
                return True
            # A search through the mesh costs more than an OPEN: only where it makes a difference.
            if not self._searches.take(now):
                return False
        ways = routes.ways_in(source)
        if self._peer_id == ways.best:
            return True
        return (self._peer_id in ways.equal and self._equal.take(now)) or self._roundabout.take(now)
