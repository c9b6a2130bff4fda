"""The numbers of the connections that begin at this agent."""

from typing import Final

FIRST_NUMBER: Final = 1
"""No connection has a lower number: in headers 0 means no connection."""


class ConnectionNumbers:
    """Numbers each connection that begins at this instance once, from 1 upwards.

    Its ingress connections take their numbers here. One that stands by without a client has reserved its own:
    it is no connection to anybody yet, but exits will judge the number by those that came after it.
    """

    __slots__ = ("_reserved", "last")

    def __init__(self) -> None:
        self.last = FIRST_NUMBER - 1
        """The newest number that was given."""
        self._reserved: set[int] = set()

    def take(self) -> int:
        """The next number."""
        self.last += 1
        return self.last

    def reserve(self) -> int:
        """The next number, for a connection that has no client yet."""
        self.last = number = self.last + 1
        self._reserved.add(number)
        return number

    def use(self, number: int) -> None:
        """The connection of this number has its client, or has ended."""
        self._reserved.discard(number)

    def is_reserved(self, number: int) -> bool:
        """Whether the connection of this number waits for its client."""
        return number in self._reserved
