"""Who has which local port, found without comparing a newcomer with all: that would cost a square."""

from collections import defaultdict
from operator import itemgetter
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from mesh.addresses import (
    Family,
    Place,
    SocketAddress,
    TcpAddress,
    UnixAddress,
    cannot_both_listen,
    listening_places,
)

T = TypeVar("T")

_EVERYWHERE: Final = TcpAddress("", 0)
_Where: TypeAlias = tuple[int, Place | Family] | UnixAddress
"""A place or family at a port, or a path."""


class Holder(NamedTuple, Generic[T]):
    """Who has a port."""

    number: int
    """How many came before."""
    address: SocketAddress
    who: T


class LocalPorts(Generic[T]):
    """The ports of one agent; each is held by a ``T``."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: defaultdict[int | str, list[Holder[T]]] = defaultdict(list)
        """By port or path: those whose places nobody has asked for yet."""
        self._first: dict[_Where, Holder[T]] = {}
        """Who came first at a place and port, and in a family."""

    def add(self, address: SocketAddress, who: T) -> None:
        """It has this port, whoever else may have it."""
        self._waiting[port_or_path(address)].append(Holder(self._count, address, who))
        self._count += 1

    def holder(self, address: SocketAddress) -> Holder[T] | None:
        """The first who cannot listen beside one at ``address``; ``None`` if all can."""
        for each in self._waiting.pop(port_or_path(address), ()):
            for where in _whereabouts(each.address)[0]:
                self._first.setdefault(where, each)
        earlier = (self._first[where] for where in _whereabouts(address)[1] if where in self._first)
        clashing = (one for one in earlier if cannot_both_listen(address, one.address))
        return min(clashing, key=itemgetter(0), default=None)


def port_or_path(address: SocketAddress) -> int | str:
    """What two addresses have in common if one may stand in the other's way."""
    return address.path if isinstance(address, UnixAddress) else address.port


def _whereabouts(address: SocketAddress) -> tuple[tuple[_Where, ...], tuple[_Where, ...]]:
    """Where a local port is to be remembered, and where one that clashes with it may have been."""
    if isinstance(address, UnixAddress):
        return (address,), (address,)
    places = listening_places(address)
    own: tuple[Place | Family, ...] = (*places, *(place.family for place in places))
    near = (*own, *listening_places(_EVERYWHERE))
    return tuple((address.port, one) for one in own), tuple((address.port, one) for one in near)
