"""What is kept of somebody for a while: budgets that do not begin anew when it goes and comes again."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KEEP_S: Final = 300.0
"""How long something is kept that is not asked for: longer than any budget takes to be full again."""

MAX_KEPT: Final = 4_096
"""Somebodies of whom something is kept; beyond, that is forgotten which was not asked for for longest."""


class Remembered(Generic[K, V]):
    """Values by key; ``now`` is monotonic seconds.

    Args:
        make: makes the value of a key of which nothing is kept.
    """

    __slots__ = ("_kept", "_make")

    def __init__(self, make: Callable[[], V]) -> None:
        self._make = make
        self._kept: dict[K, tuple[V, float]] = {}
        """With the time of the last question, the longest ago first."""

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, key: K, now: float) -> V:
        """What is kept of ``key``, which is asked for now."""
        kept = self._kept.pop(key, None)
        value = self._make_room(now) if kept is None else kept[0]
        self._kept[key] = (value, now)
        return value

    def _make_room(self, now: float) -> V:
        while self._kept:
            key = next(iter(self._kept))
            if len(self._kept) < MAX_KEPT and now < self._kept[key][1] + KEEP_S:
                break
            del self._kept[key]
        return self._make()
