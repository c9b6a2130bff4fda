"""An input of a fuzzer, read as a series of choices; the same bytes always give the same ones."""

from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

EDGES: Final = (
    0,
    1,
    2,
    3,
    5,
    255,
    1023,
    1024,
    65535,
    65536,
    2**31,
    2**32,
    2**62,
    2**63,
    2**64 - 2,
    2**64 - 1,
)
"""Numbers at which something ends."""


class Choices:
    """Takes choices from the front of ``data``; once that is used up, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def left(self) -> int:
        """Bytes that have not been used."""
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        """The next bytes, fewer at the end."""
        start = self._position
        self._position = min(len(self._data), start + count)
        return self._data[start : self._position]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def below(self, bound: int) -> int:
        """A number from 0 to ``bound - 1``, for bounds up to 2**16."""
        return int.from_bytes(self.take(1 if bound <= 256 else 2), "big") % bound

    def yes(self) -> bool:
        """One of two."""
        return self.below(2) == 1

    def one_of(self, options: Sequence[T]) -> T:
        """One of several."""
        return options[self.below(len(options))]

    def number(self) -> int:
        """A small number, or one of :data:`EDGES`, or any u64."""
        match self.below(4):
            case 0:
                return self.below(40)
            case 1:
                return int.from_bytes(self.take(8), "big")
            case _:
                return self.one_of(EDGES)

    def blob(self, most: int) -> bytes:
        """Some bytes of the input, at most so many."""
        return self.take(self.below(most + 1))
