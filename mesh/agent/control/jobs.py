"""Hands what the control socket is asked for to the main thread, which does one thing at a time."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast

from mesh.agent.control.steering import SteeringError
from mesh.agent.events import Events, Job
from mesh.agent.layers import Desired
from mesh.agent.outcome import Added, Outcome
from mesh.agent.reload import Reloader
from mesh.agent.running_config import TIMEOUT_S
from mesh.config.extra import Extra

T = TypeVar("T")

WAIT_S: Final = 3 * TIMEOUT_S
"""For what others have asked for before, and for this."""


class MainThread:
    """Implements :class:`~mesh.agent.control.steering.Steering`."""

    def __init__(self, events: Events, reloader: Reloader, revision: str | None = None) -> None:
        self._events = events
        self._reloader = reloader
        self._revision = revision

    def expecting(self, revision: str | None) -> "MainThread":
        """The same for changes to one revision only."""
        return MainThread(self._events, self._reloader, revision)

    def desired(self) -> Desired:
        """What the agent should be."""
        return self._reloader.desired()

    def drain(self, *, draining: bool) -> None:
        """Have the mesh prefer other agents, or no longer."""
        self.done(lambda: self._reloader.drain(draining=draining))

    def advertise(self) -> None:
        """Tell the mesh of what has changed."""
        self.done(self._reloader.advertise)

    def reload(self) -> Outcome:
        """Read the configuration again and be as it says."""
        return self.done(self._reloader.reload)

    def plan(self, path: Path | None) -> Outcome:
        """What a reload would do."""
        return self.done(lambda: self._reloader.plan(path))

    def plan_text(self, text: str) -> Outcome:
        """What a reload would do with another text."""
        return self.done(lambda: self._reloader.plan_text(text))

    def replace_saved(self, saved: tuple[Extra, ...], *, dry_run: bool) -> Outcome:
        """Have these services saved and no others."""
        return self.done(lambda: self._reloader.replace_saved(saved, dry_run=dry_run))

    def hold(self, service: Extra, hold_s: float) -> Added:
        """Add a service for a while."""
        return self.done(lambda: self._reloader.hold(service, hold_s))

    def save(self, service: Extra) -> Added:
        """Add a service for good."""
        return self.done(lambda: self._reloader.save(service))

    def renew(self, lease: str, hold_s: float) -> bool:
        """Hold a service for longer."""
        return self.done(lambda: self._reloader.renew(lease, hold_s))

    def release(self, lease: str) -> bool:
        """Hold a service no more."""
        return self.done(lambda: self._reloader.release(lease))

    def remove(self, kind: str, key: str, address: str | None, *, resets: bool = False) -> None:
        """Take a service out."""
        self.done(lambda: self._reloader.remove(kind, key, address, resets=resets))

    def done(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises, done by the main thread."""
        job = Job(partial(copy_context().run, self._as_expected, work))  # on behalf of whoever asks here
        self._events.put(job)
        try:
            return cast("T", job.done.result(WAIT_S))
        except CancelledError:
            raise SteeringError("the agent ends") from None
        except FutureTimeoutError:
            job.done.cancel()
            raise SteeringError(f"the agent has not come to it within {WAIT_S:g} s; see its log") from None

    def _as_expected(self, work: Callable[[], T]) -> T:
        if self._revision is not None:
            self._reloader.expect(self._revision)
        return work()
