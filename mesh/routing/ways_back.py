"""OPENs that come by another way than the best from their source: a relay passes few of them on.

A relay cannot know who made an OPEN, for who may relay can write any source into one. But all agents compute
the same best paths, so an honest one comes by the peer that the best path from its source ends with here,
unless that goes round a first hop or routes are changing; for those each link has a share, a smaller one if
no path of as few links comes by it. So who is not on an agent's way uses up little of what that agent has
further on.

Source: feasible reverse path, RFC 3704 section 2.3, as a share instead of a filter.
"""

from typing import Final, NamedTuple, TypeAlias

from mesh.remembered import Remembered
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


class OpenBudget(NamedTuple):
    """What the links of one peer may bring of OPENs by other ways than the best."""

    equal: TokenBucket
    roundabout: TokenBucket
    searches: TokenBucket


OpenBudgets: TypeAlias = Remembered[AgentId, OpenBudget]


def open_budgets() -> OpenBudgets:
    """Those of all peers of an agent, which its links share: a new link begins no new burst."""
    return Remembered(
        lambda: OpenBudget(
            equal=TokenBucket(EQUAL_RATE, EQUAL_BURST),
            roundabout=TokenBucket(ROUNDABOUT_RATE, ROUNDABOUT_BURST),
            searches=TokenBucket(SEARCH_RATE, SEARCH_BURST),
        )
    )


class WaysBack:
    """What one link may bring of OPENs; ``now`` is monotonic seconds.

    Args:
        peer_id: where the link comes from.
        budgets: of all peers.
    """

    __slots__ = ("_budgets", "_peer_id", "routes")

    def __init__(self, peer_id: AgentId, budgets: OpenBudgets) -> None:
        self._peer_id = peer_id
        self._budgets = budgets
        self.routes: RouteSnapshot | None = None

    def may_pass(self, source: AgentId, now: float) -> bool:
        """Whether an OPEN in the name of ``source`` is to be passed on."""
        routes = self.routes
        if source == self._peer_id or routes is None or routes.next_hops.get(source) == self._peer_id:
            return True
        budget = self._budgets.of(self._peer_id, now)
        if not routes.has_ways_in(source):
            if budget.roundabout.take(now):
                return True
            # A search through the mesh costs more than an OPEN: only where it makes a difference.
            if not budget.searches.take(now):
                return False
        ways = routes.ways_in(source)
        if self._peer_id == ways.best:
            return True
        return (self._peer_id in ways.equal and budget.equal.take(now)) or budget.roundabout.take(now)
