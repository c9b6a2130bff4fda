"""What is due when: a small table of named deadlines, all kept in one place.

Whoever has several things to wait for keeps them here, and one timer for the earliest. The table follows
``TimerTable`` of quinn, which does the same for a QUIC connection.
"""

from enum import IntEnum
from math import inf


class Deadlines(list[float]):
    """Monotonic seconds for each member of one enumeration, numbered from 0; ``inf`` is never.

    It is a list with the members as indexes, so reading and writing take no call of Python code:
    both ends of a connection look at theirs some thirty times while it opens. It is made from :func:`never`;
    :func:`mesh.earliest.earliest` says which is first.
    """

    __slots__ = ()

    def clear_all(self) -> None:
        """Wait for nothing any more."""
        self[:] = [inf] * len(self)

    def take(self, name: IntEnum, now: float) -> bool:
        """Whether ``name`` is due; if so it is not waited for any more."""
        if now < self[name]:
            return False
        self[name] = inf
        return True


def never(names: type[IntEnum]) -> tuple[float, ...]:
    """What a table for these names begins with: a constant, for a connection makes four tables."""
    return (inf,) * len(names)
