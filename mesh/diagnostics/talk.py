"""What is said on a stream inside of an agent, at either of its ends: bytes come in, bytes go out."""

from math import inf
from typing import Protocol

PIECE_BYTES = 64 * 1024
"""What is said at once at the most: as much as a segment takes."""

ANY_AMOUNT = 1 << 30
"""Room without a limit of one's own."""


class Talk(Protocol):
    """One end of a conversation; whoever owns its socket asks it what to do. Times are monotonic seconds."""

    @property
    def has_finished(self) -> bool:
        """Whether nothing more will be said."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be heard either: what was said is still to be sent."""
        ...

    @property
    def has_expired(self) -> bool:
        """Whether it has lasted too long: what waits is of no use any more."""
        ...

    def room(self, now: float) -> int:
        """How many bytes it takes now; 0 until :meth:`deadline`, or until something has been said."""
        ...

    def take(self, data: bytes, now: float) -> None:
        """Bytes have come, no more than there is room for."""
        ...

    def ended(self, now: float) -> None:
        """The other end says nothing more."""
        ...

    def next_piece(self, now: float) -> bytes:
        """What to say next; nothing where there is nothing to say now."""
        ...

    def deadline(self) -> float:
        """When to ask again though nothing has come."""
        ...

    def look(self, now: float) -> None:
        """Time has passed."""
        ...


class Silence:
    """A talk in which nothing is said: what the others have in common."""

    def __init__(self) -> None:
        self.has_finished = False
        self.is_over = False
        self.has_expired = False

    def room(self, now: float) -> int:
        """As much as there is."""
        del now
        return ANY_AMOUNT

    def take(self, data: bytes, now: float) -> None:
        """Nothing is expected."""

    def ended(self, now: float) -> None:
        """Then this end is done, too."""
        del now
        self.has_finished = self.is_over = True

    def next_piece(self, now: float) -> bytes:
        """Nothing."""
        del now
        return b""

    def deadline(self) -> float:
        """Never."""
        return inf

    def look(self, now: float) -> None:
        """Nothing is due."""
