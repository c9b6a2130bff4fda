"""What a listener says of itself, for dashboard and metrics: its actor writes it, the HTTP side reads.

As with the counters of :mod:`actors.meters`, no decision is taken from it. What is read at one time is one
value: a tuple is replaced, never changed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from mesh.connection.candidates import SetAside
from mesh.escaping import escaped

MAX_ASIDE_SHOWN: Final = 8
"""Exits of one listener that are shown as set aside: any number may offer a key."""

MAX_WHY_CHARACTERS: Final = 300
"""Of the reason for a refusal: an exit may supply it."""


class Refusals(NamedTuple):
    """Clients in a row that could not be served."""

    clients: int = 0
    since_s: float = 0.0
    """When the first of them was refused; monotonic seconds."""
    why: str = ""
    """The reason for the latest, for people; escaped."""


_NONE: Final = Refusals()


def _nobody() -> int:
    return 0


@dataclass(slots=True)
class ListenerMeter:
    """Of one listener; times are monotonic seconds."""

    since_s: float
    """Since when it is open, or is not."""
    address: str = ""
    """Of its port; nothing while it has had none."""
    is_open: bool = False
    """Whether it has a port and somebody to lead clients to."""
    connected: Callable[[], int] = _nobody
    """How many clients there are."""
    refusals: Refusals = _NONE
    aside: tuple[SetAside, ...] = ()
    """Exits that have failed and have not served since."""

    def turned(self, now: float, *, is_open: bool) -> None:
        """It is open from now on, or it is not."""
        if is_open is not self.is_open:
            self.is_open, self.since_s = is_open, now

    def refused(self, why: str, now: float) -> None:
        """One more client found nobody."""
        clients, since_s, _ = self.refusals
        self.refusals = Refusals(clients + 1, since_s if clients else now, escaped(why)[:MAX_WHY_CHARACTERS])

    def served(self) -> None:
        """A client has been served."""
        if self.refusals is not _NONE:
            self.refusals = _NONE

    def set_aside(self, aside: Iterable[SetAside]) -> None:
        """These are the exits that have failed."""
        self.aside = tuple(aside)


class NamedMeter(NamedTuple):
    """Of a key that clients ask for by name."""

    key: str
    meter: ListenerMeter
