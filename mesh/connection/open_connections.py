"""The ends of open connections at this agent, for people who ask for them by ID."""

from itertools import islice
from typing import Generic, NamedTuple, TypeVar

R = TypeVar("R")


class OpenEnd(NamedTuple, Generic[R]):
    """An end of an open connection."""

    number: int
    """One more than that of the end that opened before."""
    id: str
    ref: R


class OpenConnections(Generic[R]):
    """The ends that are open, in the order of their opening; one thread changes it, others may read.

    Both ends of a connection may be at this agent.
    """

    __slots__ = ("_ends", "_last")

    def __init__(self) -> None:
        self._ends: dict[R, tuple[int, str, R]] = {}
        """An :class:`OpenEnd` is made for who asks."""
        self._last = 0

    def opened(self, connection_id: str, ref: R) -> None:
        """An end has opened."""
        self._last = number = self._last + 1
        self._ends[ref] = number, connection_id, ref

    def ended(self, ref: R) -> bool:
        """It is not open any more; whether it was."""
        return self._ends.pop(ref, None) is not None

    def __len__(self) -> int:
        """How many there are."""
        return len(self._ends)

    def after(self, number: int, limit: int) -> tuple[OpenEnd[R], ...]:
        """The first ``limit`` ends that opened after the one with ``number``."""
        ends = tuple(self._ends.values())  # at once: another thread may add to them
        later = (OpenEnd(*end) for end in ends if end[0] > number)
        return tuple(islice(later, limit))

    def with_id(self, connection_id: str) -> tuple[OpenEnd[R], ...]:
        """Its ends here: none, one or both."""
        return tuple(OpenEnd(*end) for end in tuple(self._ends.values()) if end[1] == connection_id)
