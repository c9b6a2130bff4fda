"""When routes are computed from all records, and those that were computed last.

The first change is followed at once, and those after it at a rate that a large mesh can bear. A computation
goes on in steps, between other work; what changes meanwhile makes another one.
"""

import math
from collections.abc import Callable
from typing import Final

from mesh.routing.database import LinkState
from mesh.routing.granted_reader import GrantedReader
from mesh.routing.graph import Steps
from mesh.routing.page_table import PageTable
from mesh.routing.records import Record
from mesh.routing.routes import RouteSnapshot, compute_routes, computing_routes
from mesh.trust.certificates import CERTIFICATE_POLL_S
from mesh.trust.identity import AgentId

MIN_COMPUTE_INTERVAL_S: Final = 0.001
"""Changes within this time are computed together; the first one at once."""

COMPUTE_INTERVAL_PER_RECORD_S: Final = 0.0001
"""Computing takes about 10 us for each agent, so a mesh that flaps costs a tenth of a core."""

COMPUTE_INTERVAL_PER_KEY_S: Final = 0.000005
"""Ranking who offers a key takes about 1 us."""

COMPUTE_INTERVAL_PER_SUBSCRIBER_S: Final = 0.00003
"""Telling one that there are new routes takes about 3 us, and each listener is one."""


class RouteComputation:
    """Computes routes; ``now`` is monotonic seconds, ``unix_now`` is Unix seconds.

    Args:
        link_state: all records.
        pages: the pages that they name.
        granted: reads what is for this agent only.
        own_record: makes the own record as it holds now, issued or not yet.
        max_hops: links on a path, at most.
    """

    def __init__(
        self,
        link_state: LinkState,
        pages: PageTable,
        granted: GrantedReader,
        own_record: Callable[[], Record],
        *,
        max_hops: int,
    ) -> None:
        self._link_state = link_state
        self._pages = pages
        self._granted = granted
        self._own_record = own_record
        self.max_hops = max_hops
        """Links on a path, at most."""
        self.is_outdated = True
        """Whether something has changed since the last computation began."""
        self.subscribers = 0
        """How many are told of new routes."""
        self.computed = 0
        """Computations begun."""
        self._computed_at = -math.inf
        self._computing: Steps[RouteSnapshot] | None = None
        self._valid_until_unix = math.inf
        self._check_certificates_at = math.inf
        own = own_record()
        self.snapshot = compute_routes(own.agent_id, {own.agent_id: own}, max_hops=max_hops, version=0)
        """The routes as last computed."""

    def deadline(self) -> float:
        """When to call :meth:`check_certificates` and :meth:`step`; infinite if nothing is to come."""
        if self._computing is not None:
            return -math.inf
        return min(self._check_certificates_at, self._due_at() if self.is_outdated else math.inf)

    def check_certificates(self, now: float, unix_now: float) -> None:
        """Notice that a certificate has ended by now."""
        if now < self._check_certificates_at:
            return
        if unix_now >= self._valid_until_unix:
            self.is_outdated = True
            self._check_certificates_at = math.inf  # until routes are computed, which may have to wait
        else:
            self._plan_certificate_check(now, unix_now)

    def start_over(self) -> None:
        """What is known is known no more: what is being computed of it comes to nothing."""
        self._computing = None
        self.is_outdated = True

    def step(self, now: float, unix_now: float) -> RouteSnapshot | None:
        """Go on computing, or begin, if that is due; the new routes once they are complete."""
        if self._computing is None and self.is_outdated and now >= self._due_at():
            self._computing = self._begin(now, unix_now)
        if self._computing is not None:
            try:
                next(self._computing)
            except StopIteration as stop:
                self._computing = None
                self.snapshot = stop.value
                return self.snapshot
        return None

    def _begin(self, now: float, unix_now: float) -> Steps[RouteSnapshot]:
        records, self._valid_until_unix = self._link_state.usable(unix_now)
        # What has changed here counts at once, even while its record waits for its turn.
        own = self._own_record()
        records[own.agent_id] = own
        self._pages.complete(records)
        self.computed += 1
        self._computed_at = now
        self.is_outdated = False
        self._plan_certificate_check(now, unix_now)
        return self._compute(own.agent_id, records)

    def _compute(self, own_id: AgentId, records: dict[AgentId, Record]) -> Steps[RouteSnapshot]:
        max_hops, version = self.max_hops, self.computed
        yield from self._granted.opening(records, own_id)
        return (yield from computing_routes(own_id, records, max_hops=max_hops, version=version))

    def _plan_certificate_check(self, now: float, unix_now: float) -> None:
        self._check_certificates_at = now + min(
            max(self._valid_until_unix - unix_now, 0.0), CERTIFICATE_POLL_S
        )

    def _due_at(self) -> float:
        interval_s = COMPUTE_INTERVAL_PER_RECORD_S * len(self._link_state)
        interval_s += COMPUTE_INTERVAL_PER_KEY_S * len(self.snapshot.candidates)
        interval_s += COMPUTE_INTERVAL_PER_SUBSCRIBER_S * self.subscribers
        return self._computed_at + max(MIN_COMPUTE_INTERVAL_S, interval_s)
