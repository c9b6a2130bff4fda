"""What is due when: a small table of named deadlines, all kept in one place.

Whoever has several things to wait for keeps them here, and one timer for the earliest. The table follows
``TimerTable`` of quinn, which does the same for a QUIC connection.
"""

from enum import IntEnum
from math import inf
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=IntEnum)


class Deadlines(Generic[Name]):
    """Monotonic seconds for each member of one enumeration, numbered from 0; ``inf`` is never.

    Args:
        names: the enumeration.
    """

    __slots__ = ("_at",)

    def __init__(self, names: type[Name]) -> None:
        self._at = [inf] * len(names)

    def __getitem__(self, name: Name) -> float:
        """When ``name`` is due; ``inf`` if it is not waited for."""
        return self._at[name]

    def __setitem__(self, name: Name, at: float) -> None:
        """Wait for ``name`` until ``at``, whatever it was before."""
        self._at[name] = at

    def clear(self, name: Name) -> None:
        """Do not wait for ``name`` any more."""
        self._at[name] = inf

    def clear_all(self) -> None:
        """Wait for nothing any more."""
        self._at = [inf] * len(self._at)

    def earliest(self) -> float:
        """When the next one is due; ``inf`` if none is waited for."""
        return min(self._at)

    def is_set(self, name: Name) -> bool:
        """Whether ``name`` is waited for."""
        return self._at[name] != inf

    def take(self, name: Name, now: float) -> bool:
        """Whether ``name`` is due; if so it is cleared."""
        if now < self._at[name]:
            return False
        self._at[name] = inf
        return True
