"""What can be asked of an agent's process, beside what its actors know."""

from pathlib import Path
from typing import Protocol, Self

from mesh.agent.layers import Desired
from mesh.agent.outcome import Added, Outcome
from mesh.config.extra import Extra


class SteeringError(Exception):
    """It cannot be done now; the text says why."""


class Steering(Protocol):
    """Changes the agent; any thread may call, and waits until it has been done.

    Raises:
        SteeringError: the process is too busy, or about to end.
        RefusedError: a service that is asked for cannot be.
    """

    def expecting(self, revision: str | None) -> Self:
        """The same, but a change is made to this revision only; else it raises ``OutdatedError``."""
        ...

    def desired(self) -> Desired:
        """What the agent should be; at once, also while something is being changed."""
        ...

    def drain(self, *, draining: bool) -> None:
        """Have the mesh prefer other agents, or no longer; refused if this agent is about to leave."""
        ...

    def advertise(self) -> None:
        """Tell the mesh of what this agent has, as far as that has changed."""
        ...

    def reload(self) -> Outcome:
        """Read the configuration again and be as it says."""
        ...

    def plan(self, path: Path | None) -> Outcome:
        """What a reload would do with the file at ``path``; ``None`` is the agent's own."""
        ...

    def plan_text(self, text: str) -> Outcome:
        """What a reload would do if the agent's file said ``text``."""
        ...

    def replace_saved(self, saved: tuple[Extra, ...], *, dry_run: bool) -> Outcome:
        """Have these services saved and no others, or say what that would do."""
        ...

    def hold(self, service: Extra, hold_s: float) -> Added:
        """Add a service for so many seconds, and as many more with each renewal of its lease."""
        ...

    def save(self, service: Extra) -> Added:
        """Add a service for good."""
        ...

    def renew(self, lease: str, hold_s: float) -> bool:
        """Hold a service for longer; whether it is held still; refused if it was taken out."""
        ...

    def release(self, lease: str) -> bool:
        """Hold a service no more; whether it was held."""
        ...

    def remove(self, kind: str, key: str, address: str | None, *, resets: bool = False) -> None:
        """Take out services that are not in the file; see :meth:`mesh.agent.reload.Reloader.remove`."""
        ...
