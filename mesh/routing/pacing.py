"""How often an agent says something new of itself: a change at once, a flood of them at a bounded rate.

Time pays for changes, and unpaid ones make the next wait longer: those that a few restarting peers cause
follow each other quickly. A peer whose link comes and goes again and again waits with others of its kind, so
that what it does delays nobody else's news.
"""

import math
from typing import Final

from mesh.trust.identity import AgentId

FIRST_HOLD_S: Final = 0.005
"""After a change the next one waits so long, and twice as long for each that is not paid for yet: a relay
that starts has told of its second link before anybody counts on it."""

MAX_HOLD_S: Final = 1.0
"""Time that pays for a change, and the longest wait."""

LINK_UP_COST_S: Final = 10.0
"""Time that pays for a new link to the same peer."""

RESTLESS_S: Final = 30.0
"""A peer that owes more than this is restless: with its fourth link within some seconds."""

MAX_DEBT_S: Final = 60.0
"""What a peer owes at the most: after half a minute without a new link it is like any other."""

RESTLESS_HOLD_S: Final = 2 * MAX_HOLD_S
"""The longest wait of what is only about restless peers: beside others' changes at their fastest it adds half
a record a second."""

MAX_UNPAID: Final = 10
"""Changes that time has still to pay for, at most: with these every wait is the longest."""

_FEW_DEBTS: Final = 64
"""Peers that owe something before it is looked whether they still do."""


class Pace:
    """When a change is due that follows others; ``now`` is monotonic seconds.

    Args:
        max_hold_s: the longest wait.
    """

    __slots__ = ("_max_hold_s", "_paid_until", "due_at")

    def __init__(self, max_hold_s: float) -> None:
        self.due_at = -math.inf
        """When the next change may be told."""
        self._max_hold_s = max_hold_s
        self._paid_until = -math.inf
        """Each change costs ``MAX_HOLD_S``; so far ahead of now has been spent."""

    def told(self, now: float) -> None:
        """A change has been told."""
        unpaid = min(max(self._paid_until - now, 0.0) / MAX_HOLD_S + 1, MAX_UNPAID)
        self._paid_until = now + unpaid * MAX_HOLD_S
        self.due_at = now + min(FIRST_HOLD_S * 2.0 ** (unpaid - 1), self._max_hold_s)


class Pacing:
    """The paces of one agent's changes; ``now`` is monotonic seconds."""

    __slots__ = ("_debts", "_is_calm", "_is_pending", "_many_debts", "_of_all", "_of_restless")

    def __init__(self) -> None:
        self._of_all = Pace(MAX_HOLD_S)
        self._of_restless = Pace(RESTLESS_HOLD_S)
        """Of changes that are only about restless peers."""
        self._debts: dict[AgentId, float] = {}
        """By peer: until when its links are paid for. Those that are do not stay long."""
        self._many_debts = _FEW_DEBTS
        """With how many of them it is looked again which are paid."""
        self._is_pending = self._is_calm = False
        """Whether there is a change to tell, and whether it is about more than restless peers."""

    def changed(self) -> None:
        """There is something to tell that no peer's link is the cause of."""
        self._is_pending = self._is_calm = True

    def link_up(self, peer_id: AgentId, now: float) -> None:
        """A new link to ``peer_id`` is to be told of."""
        if len(self._debts) >= self._many_debts:
            self._debts = {each: until for each, until in self._debts.items() if until > now}
            self._many_debts = max(_FEW_DEBTS, 2 * len(self._debts))
        until = max(self._debts.get(peer_id, now), now) + LINK_UP_COST_S
        self._debts[peer_id] = min(until, now + MAX_DEBT_S)
        self.link_changed(peer_id, now)

    def link_changed(self, peer_id: AgentId, now: float) -> None:
        """Something about the link to ``peer_id``, or its end, is to be told of."""
        self._is_pending = True
        self._is_calm |= self._debts.get(peer_id, now) <= now + RESTLESS_S

    def due_at(self) -> float:
        """When to tell what has changed."""
        if not self._is_pending:
            return -math.inf
        return (self._of_all if self._is_calm else self._of_restless).due_at

    def told(self, now: float) -> None:
        """All that has changed has been told."""
        if self._is_calm or not self._is_pending:
            self._of_all.told(now)
        self._of_restless.told(now)  # who is restless waits for the others, too
        self._is_pending = self._is_calm = False
