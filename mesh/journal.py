"""The last events of an agent, kept for whoever asks: what was told in the log, and connections that ended.

What happens often displaces itself and nothing else: events stand in lanes, by their kind and by who or what
caused them, and when there is no room the oldest one goes of the lane that takes the most. So neither a busy
service nor a member of the mesh that comes and goes hides what others did.
"""

import enum
import zlib
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec

MAX_EVENTS: Final = 1_000

MAX_BYTES: Final = 1024 * 1024
"""Of all events together, as :meth:`Journal.add` reckons them."""

LANES: Final = 16
"""Of each kind, for those that cause its events: so many that two seldom share one, so few that the fullest
is found at once."""

_EVENT_BYTES: Final = 400
"""What an event takes beside its text, about."""


class EventKind(enum.Enum):
    """What an event is about; the names are those of the API and of ``mesh events --kind``."""

    __hash__ = object.__hash__  # as members are singletons; that of Enum is Python code

    AGENT = "agent"
    """This agent has started, or leaves."""
    LINK = "link"
    """A link to a peer is up, or was lost; a peer cannot be reached."""
    LISTENER = "listener"
    """A listener lets clients in, or refuses them; its port could not be opened."""
    ENDPOINT = "endpoint"
    """An endpoint's key was withdrawn, or is offered again."""
    EXIT = "exit"
    """A listener uses another exit, has set one aside, or uses it again."""
    OFFER = "offer"
    """Another agent offers a key that was offered already, or one that is not believed."""
    CONFIGURATION = "configuration"
    """A reload, or a service that was added or taken out."""
    MANAGEMENT = "management"
    """Another agent asked this one through the mesh, or wanted to."""
    REVOCATION = "revocation"
    """An agent was revoked, or is so no more."""
    ALARM = "alarm"
    """What one member of the mesh does to another."""
    CONNECTION = "connection"
    """A connection has ended."""
    PROBLEM = "problem"
    """Any other warning or error."""


Fact: TypeAlias = str | int | float | bool | None


class Happening(Protocol):
    """What an event consists of; it is immutable."""

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        ...


class Note(msgspec.Struct, frozen=True):
    """What was told in the log."""

    level: str
    text: str
    facts: Mapping[str, Fact]
    """What the text names, for programs."""

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        return len(self.text) + sum(len(name) + len(str(fact)) for name, fact in self.facts.items())


class Event(NamedTuple):
    """Something that happened."""

    number: int
    """One more than that of the event before, of whatever kind."""
    unix_s: float
    kind: EventKind
    what: Happening


class Found(NamedTuple):
    """What came after a number."""

    events: tuple[Event, ...]
    """The oldest first."""
    last: int
    """Where to go on."""
    are_lost: bool
    """Whether there were others in between, which had to make room."""


class _Lane:
    """Events of one kind, of one cause or few."""

    __slots__ = ("events", "kind", "size_bytes")

    def __init__(self, kind: EventKind) -> None:
        self.kind = kind
        self.events: deque[tuple[int, float, Happening, int]] = deque()
        """Number, Unix time, what happened, and the bytes of it: an :class:`Event` is made for who asks."""
        self.size_bytes = 0


_BY_SIZE: Final = attrgetter("size_bytes")


class Journal:
    """Keeps events.

    Args:
        lock: entered for a moment whenever it is used; where several threads do that, it is needed.
    """

    def __init__(
        self,
        lock: AbstractContextManager[object] | None = None,
        *,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._lock = nullcontext() if lock is None else lock
        self._lanes: dict[tuple[EventKind, int], _Lane] = {}
        self._lost_up_to = dict.fromkeys(EventKind, 0)
        """The number of the newest event of each kind that had to make room."""
        self._count = 0
        self._bytes = 0
        self._last = 0

    def add(self, kind: EventKind, unix_s: float, what: Happening, cause: str = "") -> None:
        """It has happened; the oldest of the lane that takes the most makes room.

        Args:
            kind: what it is about.
            unix_s: when.
            what: it.
            cause: who or what is to blame if there is too much of it, such as a member or a key.
        """
        size = _EVENT_BYTES + what.size_bytes
        place = kind, zlib.crc32(cause.encode("utf-8", "surrogatepass")) % LANES if cause else 0
        with self._lock:
            lane = self._lanes.get(place)
            if lane is None:
                lane = self._lanes[place] = _Lane(kind)
            self._last = number = self._last + 1
            lane.events.append((number, unix_s, what, size))
            lane.size_bytes += size
            self._bytes += size
            self._count += 1
            if self._count > self._max_events or self._bytes > self._max_bytes:
                self._make_room(lane)

    def _make_room(self, newest: _Lane) -> None:
        while self._count > self._max_events or self._bytes > self._max_bytes:
            # Mostly what happens now is what happens most: then there is no need to look at the others.
            is_most = 2 * newest.size_bytes > self._bytes
            lane = newest if is_most else max(self._lanes.values(), key=_BY_SIZE)
            number, _, _, size = lane.events.popleft()
            self._lost_up_to[lane.kind] = max(self._lost_up_to[lane.kind], number)
            lane.size_bytes -= size
            self._count -= 1
            self._bytes -= size

    def after(self, number: int, limit: int, kinds: Collection[EventKind] = frozenset(EventKind)) -> Found:
        """The first ``limit`` events of these kinds after the one with ``number``."""
        with self._lock:
            last = self._last
            lost = any(self._lost_up_to[kind] > number for kind in kinds)
            found = [event for event in self._of(kinds) if event.number > number]
        found.sort(key=_number)
        if len(found) <= limit:
            return Found(tuple(found), max(last, number), lost)
        shown = found[:limit]
        return Found(tuple(shown), shown[-1].number if shown else number, lost)

    def before_last(self, count: int, kinds: Collection[EventKind] = frozenset(EventKind)) -> int:
        """The number after which there are ``count`` events of these kinds, or all if there are fewer."""
        with self._lock:
            numbers = sorted(event.number for event in self._of(kinds))
        return numbers[-count - 1] if 0 <= count < len(numbers) else 0

    def _of(self, kinds: Collection[EventKind]) -> Iterator[Event]:
        for lane in self._lanes.values():
            if lane.kind in kinds:
                for number, unix_s, what, _ in lane.events:
                    yield Event(number, unix_s, lane.kind, what)


def _number(event: Event) -> int:
    return event.number
