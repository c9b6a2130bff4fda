"""A child of a supervisor: what it is made from, and its life as a table. Nothing is started or stopped here.

A child has a name that survives its restarts. It waits, runs, ends and waits again, until it is called off.
If it runs then, that is its last run, which is ended in two steps: it is asked to finish, then forced.
"""

import enum
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec
import pykka

from actors.runtime.reference import ActorRef
from mesh.backoff import retry_delay_s
from mesh.errors import LocalProtocolError

M = TypeVar("M")


class Backoff(msgspec.Struct, frozen=True):
    """How long a child that ended waits for its next start."""

    first_s: float = 0.1
    cap_s: float = 30.0
    stable_s: float = 60.0
    """A child that ran this long starts over at ``first_s``."""


class ChildSpec(msgspec.Struct, Generic[M], frozen=True):
    """A child that shall always run; ``M`` is what its actor takes."""

    name: str
    """Its supervisor's only child of this name."""
    start: Callable[[], ActorRef[M]]
    """Start it anew and return its reference; an error counts as a run that ended at once."""
    ask_to_stop: Callable[[pykka.ActorRef[Any]], None] | None = None
    """Ask it to finish and then stop itself; without it, it gets Pykka's stop at once."""
    stop_timeout_s: float = 5.0
    """How long it may take, once for ``ask_to_stop`` and once for Pykka's stop."""
    retire: M | None = None
    """What tells it to let nobody in any more and go on with what it has; ``None`` if it lets nobody in."""
    when_gone: Callable[[], None] | None = None
    """Forgets what is known of it, once it has gone for good and before a successor starts; must not fail."""


AnyChildSpec: TypeAlias = ChildSpec[Any]
"""Whoever keeps children of all sorts does not know what they take; whoever makes a spec does."""


class State(enum.Enum):
    """Where a child stands."""

    WAITING = "waits for its next start"
    RUNNING = "runs"
    LAST_RUN = "runs, and will not be started again"
    FINISHING = "was asked to finish"
    FORCED = "was told to end at once"
    GONE = "has ended for good, or was given up"


class Event(enum.Enum):
    """What moves a child on."""

    STARTED = "has started"
    CANNOT_START = "cannot start"
    ENDED = "has ended"
    CALLED_OFF = "shall not be started again"
    ASKED = "is asked to finish"
    FORCE = "is told to end at once"
    OVERDUE = "has had its time to end"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.WAITING, Event.STARTED): State.RUNNING,
        (State.WAITING, Event.CANNOT_START): State.WAITING,
        (State.RUNNING, Event.ENDED): State.WAITING,
        # It is stopped: replaced or removed, or its supervisor shuts down.
        (State.WAITING, Event.CALLED_OFF): State.GONE,
        (State.RUNNING, Event.CALLED_OFF): State.LAST_RUN,
        (State.LAST_RUN, Event.CALLED_OFF): State.LAST_RUN,
        (State.LAST_RUN, Event.ASKED): State.FINISHING,
        (State.LAST_RUN, Event.FORCE): State.FORCED,
        (State.LAST_RUN, Event.ENDED): State.GONE,
        (State.FINISHING, Event.CALLED_OFF): State.FINISHING,
        (State.FINISHING, Event.OVERDUE): State.FORCED,
        (State.FINISHING, Event.ENDED): State.GONE,
        (State.FORCED, Event.CALLED_OFF): State.FORCED,
        (State.FORCED, Event.OVERDUE): State.GONE,
        (State.FORCED, Event.ENDED): State.GONE,
    }
)
"""An absent pair is a bug of the supervisor."""


class Child:
    """One child's life so far."""

    __slots__ = ("quick_ends", "run", "spec", "started_at_s", "state")

    def __init__(self, spec: AnyChildSpec) -> None:
        self.spec = spec
        self.state = State.WAITING
        self.run = 0
        """The number of its newest run, which no other child has had; what tells of another run is stale."""
        self.quick_ends = 0
        """Runs in a row that did not last, and starts that failed."""
        self.started_at_s = 0.0

    def take(self, event: Event) -> State:
        """Move on; return the state after ``event``.

        Raises:
            LocalProtocolError: the event cannot happen in this state.
        """
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            text = f"{self.spec.name} {self.state.value}, yet it {event.value}"
            raise LocalProtocolError(text) from None
        return self.state

    def restart_delay_s(self, now_s: float, draw: float, backoff: Backoff) -> float:
        """Count the run that has just ended, or the start that failed; return the seconds to the next start.

        Args:
            now_s: monotonic seconds, as ``started_at_s``.
            draw: uniform in [0, 1).
            backoff: how long to wait.
        """
        if now_s - self.started_at_s >= backoff.stable_s:
            self.quick_ends = 0
        delay_s = retry_delay_s(self.quick_ends, draw, first_s=backoff.first_s, cap_s=backoff.cap_s)
        self.quick_ends += 1
        return delay_s
