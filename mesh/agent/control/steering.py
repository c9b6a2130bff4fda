"""What can be asked of an agent's process, beside what its actors know."""

from pathlib import Path
from typing import Protocol

from mesh.agent.outcome import Outcome


class SteeringError(Exception):
    """It cannot be done now; the text says why."""


class Steering(Protocol):
    """Changes the agent; any thread may call, and waits until it has been done.

    Raises:
        SteeringError: the process is too busy, or about to end.
    """

    def reload(self) -> Outcome:
        """Read the configuration again and be as it says."""
        ...

    def plan(self, path: Path | None) -> Outcome:
        """What a reload would do with the file at ``path``; ``None`` is the agent's own."""
        ...
