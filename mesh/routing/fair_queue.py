"""What several senders have said and nobody has looked at yet: each in its turn, however much it says."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
T = TypeVar("T")


class FairQueue(Generic[S, T]):
    """Items in the order of each sender; senders take turns, one item at a time."""

    __slots__ = ("_bytes_of", "_items", "byte_count")

    def __init__(self) -> None:
        self._items: dict[S, deque[tuple[T, int]]] = {}
        """By sender, whose turn it is first; each with its size. Nobody without an item is in it."""
        self._bytes_of: dict[S, int] = {}
        self.byte_count = 0
        """Of all items."""

    def __bool__(self) -> bool:
        return bool(self._items)

    def push(self, sender: S, item: T, byte_count: int) -> None:
        """Let ``item`` wait behind what ``sender`` has said before."""
        self._items.setdefault(sender, deque()).append((item, byte_count))
        self._count(sender, byte_count)

    def push_first(self, sender: S, item: T, byte_count: int) -> None:
        """The same; if nothing of ``sender`` waits, it is its turn now."""
        if sender in self._items:
            self.push(sender, item, byte_count)
        else:
            self._items = {sender: deque([(item, byte_count)]), **self._items}
            self._count(sender, byte_count)

    def put_back(self, sender: S, item: T, byte_count: int) -> None:
        """What is left of an item that was taken: the first of ``sender`` when its turn comes again."""
        self._items.setdefault(sender, deque()).appendleft((item, byte_count))
        self._count(sender, byte_count)

    def take(self) -> tuple[T, int]:
        """The next item of the sender whose turn it is, and its size; the others have their turns next.

        There is one.
        """
        return self._take_from(next(iter(self._items)))

    def take_of_most(self) -> tuple[T, int]:
        """The same, of the sender of whom most waits."""
        return self._take_from(max(self._bytes_of, key=self._bytes_of.__getitem__))

    def _take_from(self, sender: S) -> tuple[T, int]:
        items = self._items.pop(sender)
        item, byte_count = items.popleft()
        if items:
            self._items[sender] = items  # at the end
        self._count(sender, -byte_count)
        return item, byte_count

    def _count(self, sender: S, byte_count: int) -> None:
        self.byte_count += byte_count
        held = self._bytes_of.get(sender, 0) + byte_count
        if sender in self._items:
            self._bytes_of[sender] = held
        else:
            self._bytes_of.pop(sender, None)
