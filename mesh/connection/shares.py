"""Places that several hold, so that no one of them can hold all.

One holder may have so many times what is left free: the emptier it is, the more. Alone it gets 8 of 9 places;
beside others one gets at most 3 of 4, two get 3 of 7 each. A few stay free for whoever comes next, and a
holder that has none may take the last.
Source: dynamic queue thresholds, Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

GREED: Final = 8
"""A holder that is alone may have eight times what it leaves free."""

GREED_BESIDE_OTHERS: Final = 3
"""With eight times, one that wants all left the others 8 of 49 places, fewer than two typists used."""

LEAST_DIVIDED: Final = 8
"""Fewer places are not divided: who comes first has them."""

H = TypeVar("H", bound=Hashable)


class Shares(Generic[H]):
    """Counts who holds how many of ``limit`` places.

    Args:
        limit: places there are, at least 1.
    """

    __slots__ = ("_held", "limit", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Places there are; with fewer than are taken nobody gets one until enough have been given back."""
        self._held: dict[H, int] = {}
        self.taken = 0
        """By all together."""

    @property
    def is_full(self) -> bool:
        """Whether nobody can have another place."""
        return self.taken >= self.limit

    def may_take(self, holder: H) -> bool:
        """Whether there is a place that ``holder`` may have."""
        free = self.limit - self.taken
        if free <= 0:
            return False
        held = self._held.get(holder, 0)
        return not held or self.limit < LEAST_DIVIDED or held < self._greed * (free - 1)

    def try_take(self, holder: H) -> bool:
        """Take a place if there is one that ``holder`` may have; return whether that was so.

        It is :meth:`may_take` and :meth:`take` in one: each connection takes several places.
        """
        free, held = self.limit - self.taken, self._held.get(holder, 0)
        # Most hold little, and may have more whoever else holds any.
        if free <= 0 or (held >= GREED_BESIDE_OTHERS * (free - 1) and not self.may_take(holder)):
            return False
        self._held[holder] = held + 1
        self.taken += 1
        return True

    @property
    def _greed(self) -> int:
        """For a holder that has places."""
        return GREED if len(self._held) == 1 else GREED_BESIDE_OTHERS

    def take(self, holder: H) -> None:
        """Count a place as taken, even if there is none: what has been given stays given."""
        self._held[holder] = self._held.get(holder, 0) + 1
        self.taken += 1

    def leave(self, holder: H) -> None:
        """Count a place as given back; ``holder`` has one."""
        held = self._held[holder] - 1
        if held:
            self._held[holder] = held
        else:
            del self._held[holder]
        self.taken -= 1
