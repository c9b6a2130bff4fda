"""Newcomers that wait for a place: ``max_connections`` still counts connections that are closing.

A client that closes its connection and opens the next at once is often faster than the end of the first one
is through the mesh. So a newcomer that finds no place waits for one that is closing, for a bounded time. At
most as many wait as are closing; any further one is refused.
"""

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final, Generic, NamedTuple, TypeVar

PLACE_PATIENCE_S: Final = 2.0
"""How long a newcomer waits for those that are closing: a target that takes longer may take for ever."""

CLOSING_NOTICE_S: Final = 0.05
"""How long an endpoint gives the news that one of its connections is closing: it and the OPEN of the next are
under way at the same time, and it may wait behind data."""

G = TypeVar("G")


class _Guest(NamedTuple, Generic[G]):
    who: G
    came_at: float


class WaitingRoom(Generic[G]):
    """Newcomers in the order in which they came; ``now`` is monotonic seconds."""

    __slots__ = ("_guests", "_notice_s")

    def __init__(self, notice_s: float = 0.0) -> None:
        self._guests: deque[_Guest[G]] = deque()
        self._notice_s = notice_s

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, who: G, now: float, seats: int) -> bool:
        """Let a newcomer wait unless ``seats`` others wait already; return whether it does."""
        if len(self._guests) >= seats:
            return False
        self._guests.append(_Guest(who, now))
        return True

    def take(self, may: Callable[[G], bool] = lambda _: True) -> G | None:
        """The one that has waited longest, of those that may have a place now; ``None`` if there is none."""
        for position, guest in enumerate(self._guests):
            if may(guest.who):
                del self._guests[position]
                return guest.who
        return None

    def leave(self, is_gone: Callable[[G], bool]) -> None:
        """Remove those for whom ``is_gone`` is true."""
        self._guests = deque(guest for guest in self._guests if not is_gone(guest.who))

    def overdue(self, now: float, closing: float = inf) -> list[G]:
        """Remove and return those that are to be refused now.

        Args:
            now: monotonic seconds.
            closing: how many connections are known to be closing: so many of the first may go on waiting.
        """
        staying: deque[_Guest[G]] = deque()
        refused = []
        for guest in self._guests:
            limit_s = PLACE_PATIENCE_S if len(staying) < closing else self._notice_s
            if now >= guest.came_at + limit_s:
                refused.append(guest.who)
            else:
                staying.append(guest)
        self._guests = staying
        return refused

    def deadline(self, closing: float = inf) -> float:
        """When to ask :meth:`overdue` again; infinity if nobody waits."""
        return min(
            (
                guest.came_at + (PLACE_PATIENCE_S if position < closing else self._notice_s)
                for position, guest in enumerate(self._guests)
            ),
            default=inf,
        )
