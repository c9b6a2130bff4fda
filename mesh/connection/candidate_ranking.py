"""The offers of one key in the order in which connections try them, kept in order as things change.

Each stands in one sorted queue: with those of its distance, by its last turn; aside, by when its time ends;
or alone, as it leads back here. So a connection finds the few that it tries first, however many there are.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple, TypeAlias

from mesh.connection.offer import Offer
from mesh.connection.party import Party
from mesh.trust.identity import AgentId


class Standing(NamedTuple):
    """What is held for and against one that offers the key; times are monotonic seconds."""

    turn: int
    """When it was last put first, counted in connections; 0 for never."""
    aside_until: float
    """Behind all others until then."""
    alone_until: float
    """Not tried at all until then."""


_Key: TypeAlias = tuple[float, ...]
"""What sorts a queue; the last element is the offer's position among all, so that no two are equal."""

_AFTER_FIRST_TURN: Final[tuple[float, ...]] = (1.0,)
"""In a queue of equals it stands between those that never had a turn and those that had."""


class Ranking:
    """The order as of now.

    Args:
        offers: all that there are.
        standing_of: how one of them stands.
        now: monotonic seconds.
    """

    __slots__ = ("_alone", "_aside", "_distances", "_equals", "_now", "_offers", "_places", "_standing_of")

    def __init__(
        self, offers: Sequence[Offer], standing_of: Callable[[AgentId], Standing], now: float
    ) -> None:
        self._offers = offers
        self._standing_of = standing_of
        self._now = now
        self._distances = sorted({offer.distance for offer in offers})
        self._equals: dict[tuple[bool, int, int], list[_Key]] = {each: [] for each in self._distances}
        """By distance."""
        self._aside: list[_Key] = []
        self._alone: list[_Key] = []
        self._places: dict[AgentId, tuple[int, list[_Key], _Key]] = {}
        """Position of each, its queue, and its key there."""
        for position in range(len(offers)):
            self._place(position)

    def position_of(self, party: Party) -> int | None:
        """Where ``party`` stands among the offers; ``None`` if it is none of them."""
        place = self._places.get(party.id)
        return place[0] if place is not None and self._offers[place[0]].party == party else None

    def moved(self, agent_id: AgentId) -> None:
        """This one stands otherwise by now."""
        place = self._places.get(agent_id)
        if place is not None:
            position, queue, key = place
            del queue[bisect_left(queue, key)]
            self._place(position)

    def first(
        self, count: int, now: float, tried: Collection[Party] = (), *, begin_at: int
    ) -> tuple[Offer, ...]:
        """The ``count`` to try first, at most, in their order.

        Args:
            count: how many are wanted.
            now: monotonic seconds.
            tried: candidates to leave out.
            begin_at: position with which equals begin that never had a turn.
        """
        self._now = now
        for queue in (self._alone, self._aside):
            while queue and queue[0][0] <= now:
                self.moved(self._offers[int(queue[0][-1])].party.id)
        found: list[Offer] = []
        for position in self._in_order(begin_at):
            offer = self._offers[position]
            if offer.party not in tried:
                found.append(offer)
                if len(found) == count:
                    break
        return tuple(found)

    def _in_order(self, begin_at: int) -> Iterator[int]:
        """Positions, the first to try first, without those that are left alone."""
        for distance in self._distances:
            queue = self._equals[distance]
            had_turns = bisect_left(queue, _AFTER_FIRST_TURN)
            begin = bisect_left(queue, (0.0, begin_at), 0, had_turns)
            for at in chain(range(begin, had_turns), range(begin), range(had_turns, len(queue))):
                yield int(queue[at][-1])
        for key in self._aside:
            yield int(key[-1])

    def _place(self, position: int) -> None:
        offer = self._offers[position]
        turn, aside_until, alone_until = self._standing_of(offer.party.id)
        queue: list[_Key]
        key: _Key
        if self._now < alone_until:
            queue, key = self._alone, (alone_until, position)
        elif self._now < aside_until:
            queue, key = self._aside, (aside_until, *offer.distance, turn, position)
        else:
            queue, key = self._equals[offer.distance], (turn, position)
        insort(queue, key)
        self._places[offer.party.id] = position, queue, key
