"""OPENs that come by another way than leads back to their source: a relay passes few of them on.

A relay cannot know who made an OPEN, for who may relay can write any source into one. But links count alike
in both directions, so an honest one comes by a shortest way back to its source, unless that goes round a
first hop or routes are changing; for those each link has a small share. So who is not on an agent's way uses
up little of what that agent has further on.

Source: feasible reverse path, RFC 3704 section 2.3, as a share instead of a filter.
"""

from typing import Final

from mesh.routing.routes import RouteSnapshot
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

ROUNDABOUT_RATE: Final = 25.0
"""OPENs a second of each link that is no shortest way back: a tenth of what an exit looks at in one name."""

ROUNDABOUT_BURST: Final = 200.0
"""At once: the clients of an agent that goes round a first hop, or whose routes are changing."""

SEARCH_RATE: Final = 2.0
"""Searches a second, for each link, for other shortest ways: a source is searched for once in each routes."""

SEARCH_BURST: Final = 20.0


class WaysBack:
    """What one link may bring of OPENs; ``now`` is monotonic seconds.

    Args:
        peer_id: where the link comes from.
    """

    __slots__ = ("_peer_id", "_roundabout", "_searches", "routes")

    def __init__(self, peer_id: AgentId) -> None:
        self._peer_id = peer_id
        self.routes: RouteSnapshot | None = None
        self._roundabout = TokenBucket(ROUNDABOUT_RATE, ROUNDABOUT_BURST)
        self._searches = TokenBucket(SEARCH_RATE, SEARCH_BURST)

    def may_pass(self, source: AgentId, now: float) -> bool:
        """Whether an OPEN in the name of ``source`` is to be passed on."""
        routes = self.routes
        if source == self._peer_id or routes is None or routes.next_hops.get(source) == self._peer_id:
            return True
        if routes.has_shortest(source):
            return self._peer_id in routes.shortest(source) or self._roundabout.take(now)
        if self._roundabout.take(now):
            return True
        # A search through the mesh costs more than an OPEN: only where it makes a difference.
        return self._searches.take(now) and self._peer_id in routes.shortest(source)
