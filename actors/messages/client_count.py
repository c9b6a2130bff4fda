"""Which clients of one listener are connected, and who wants to know when one of them is not any more."""

from itertools import islice
from typing import Final, Generic, TypeVar

from actors.messages.listener import PlaceFree
from actors.runtime.seam import HangUp, Ref, StreamSocket
from mesh.connection.early_data import SpeakingHabit

C = TypeVar("C")

MAX_LOOKS: Final = 128
"""Clients that are looked at for one that is too many: each look is a system call."""


class ClientCount(Generic[C]):
    """Clients of one listener whose sockets are open, each with its connection, a ``C``.

    It outlives the listener: one that crashes and is started again goes on counting where it stood, for its
    clients stay. The listener counts them in, each ingress connection counts its own out.

    Args:
        listener: what the agent calls it; empty if it is none of its configuration.
    """

    __slots__ = ("__weakref__", "_expected", "_sockets", "awaited_by", "habit", "listener", "takes_early")

    def __init__(self, listener: str = "") -> None:
        self.listener = listener
        self._sockets: dict[StreamSocket, C] = {}
        self._expected: set[StreamSocket] = set()
        self.awaited_by: Ref[PlaceFree] | None = None
        """The listener, while somebody waits for a place: it hears of each that becomes free."""
        self.habit = SpeakingHabit()
        """How soon they speak."""
        self.takes_early = True
        """Whether what one says before its connection is open may go along with the OPEN."""

    @property
    def connected(self) -> int:
        """How many there are, with those that are expected."""
        return len(self._sockets) + len(self._expected)

    @property
    def closing(self) -> int:
        """How many of them have closed their end, or are gone, and hold their place still.

        Whether one that is not read at present has done so nobody knows but the kernel. Of many the longest
        connected are asked about.
        """
        looked_at = islice(self._sockets, MAX_LOOKS)
        return sum(socket.hung_up() is not HangUp.NO for socket in looked_at)

    @property
    def connections(self) -> tuple[C, ...]:
        """Theirs, open or being opened."""
        return tuple(self._sockets.values())

    def expect(self, socket: StreamSocket) -> None:
        """Keep a place for a client that has no connection yet, until it is counted in or out."""
        self._expected.add(socket)

    def enter(self, socket: StreamSocket, connection: C) -> None:
        """Count a client in, or say that it has another connection."""
        self._expected.discard(socket)
        self._sockets[socket] = connection

    def leave(self, socket: StreamSocket) -> None:
        """Count a client out whose socket is closed; nothing happens if it was not counted."""
        self._expected.discard(socket)
        self._sockets.pop(socket, None)
