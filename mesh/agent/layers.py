"""What an agent should be, in layers: its file, what was saved at run time, what running commands hold."""

import itertools
import secrets
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from mesh.agent.origin import Origin
from mesh.agent.outcome import RefusedError
from mesh.config.extra import Extra, merged_or_clashes
from mesh.config.schema import Config

LEASE_BYTES: Final = 8
MAX_HELD: Final = 1_000
"""Services that commands hold at one time: each costs whoever adds or takes out another some of the main
thread's time. More are for the file."""

RUN_BYTES: Final = 4
"""Of a revision: what tells runs of an agent apart."""


class Held(msgspec.Struct, frozen=True):
    """A service that a command holds."""

    service: Extra
    until: float
    """Monotonic seconds: it goes then, unless the lease is renewed."""


class Placed(msgspec.Struct, frozen=True):
    """A service, and the layer that has it."""

    service: Extra
    origin: Origin


class Desired(msgspec.Struct, frozen=True):
    """What the agent should be, at one time."""

    revision: str
    """No other state, of this run of the agent or of another, has the same."""
    file: Config
    services: tuple[Placed, ...]


class Layers:
    """The layers, one on the other; a lower one has its way where two clash."""

    def __init__(self, file: Config, saved: tuple[Extra, ...]) -> None:
        self.file = file
        self.saved = saved
        self.held: dict[str, Held] = {}
        """By lease."""
        self._taken_out: deque[str] = deque(maxlen=MAX_HELD)
        """Leases that others have ended, the newest last: whoever held them is not to ask anew."""
        self._run = secrets.token_hex(RUN_BYTES)
        self._revisions = itertools.count(1)
        self.shown = self._desired()
        """For other threads, as of the last :meth:`show`."""

    def show(self) -> None:
        """Show what is desired now to other threads; if it is as it was, so is its revision."""
        desired = self._desired()
        if (desired.file, desired.services) != (self.shown.file, self.shown.services):
            self.shown = desired

    def _desired(self) -> Desired:
        in_file: tuple[Extra, ...] = (*self.file.forward.endpoints, *self.file.forward.listeners)
        placed = [Placed(each, Origin.FILE) for each in in_file]
        placed += [Placed(each, Origin.SAVED) for each in self.saved]
        placed += [Placed(each.service, Origin.HELD) for each in self.held.values()]
        return Desired(f"{self._run}-{next(self._revisions)}", self.file, tuple(placed))

    def desired(self) -> tuple[Config, tuple[str, ...]]:
        """All of them as one configuration, and what is left out of it because it clashes, for people."""
        return merged_or_clashes(self.file, self.extras())

    def extras(self) -> Iterator[Extra]:
        """What is not in the file."""
        yield from self.saved
        yield from (each.service for each in self.held.values())

    def hold(self, service: Extra, until: float) -> str:
        """Have a command hold a service; its lease.

        Raises:
            RefusedError: too many are held.
        """
        if len(self.held) >= MAX_HELD:
            raise RefusedError(f"{MAX_HELD:,} services are held by commands already: put some into the file")
        lease = secrets.token_hex(LEASE_BYTES)
        self.held[lease] = Held(service, until)
        return lease

    def renew(self, lease: str, until: float) -> bool:
        """Hold it for longer; whether there is such a lease.

        Raises:
            RefusedError: it was taken out.
        """
        held = self.held.get(lease)
        if held is None:
            if lease in self._taken_out:
                raise RefusedError("another command has taken it out")
            return False
        self.held[lease] = Held(held.service, until)
        return True

    def release(self, lease: str) -> Held | None:
        """Hold it no more; what it was."""
        return self.held.pop(lease, None)

    def take_out(self, lease: str) -> None:
        """Have nobody hold it any more."""
        del self.held[lease]
        self._taken_out.append(lease)

    def expire(self, now: float) -> tuple[Held, ...]:
        """Let go of what is not held any more, which is returned."""
        overdue = [lease for lease, held in self.held.items() if held.until <= now]
        return tuple(self.held.pop(lease) for lease in overdue)

    def next_expiry(self) -> float:
        """When to look again, monotonic seconds; infinity if nothing is held."""
        return min((held.until for held in self.held.values()), default=float("inf"))
