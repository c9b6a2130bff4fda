"""Invariants of the meantime on loopback: agents that should run do, and no log tells of a crash."""

import signal
from collections.abc import Mapping
from typing import Final, Protocol

from scripts.simulation.invariants import InvariantError

UNWELCOME: Final = ("Unhandled exception", "Traceback (most recent call last)", "CRITICAL")
"""In the log of an agent that does its work."""


_IN_ORDER: Final = (None, 0, -signal.SIGTERM)
"""What a process that was told to stop may end with; the last one where it had hardly started."""


class Watched(Protocol):
    """An agent's process, as far as it is watched."""

    @property
    def status(self) -> int | None:
        """What its process ended with; ``None`` while it runs, or was never started."""
        ...

    def new_lines(self) -> list[str]:
        """What it has logged since this was asked last."""
        ...


class AgentWatch:
    """Knows what each agent should be doing.

    Args:
        agents: by name.
    """

    def __init__(self, agents: Mapping[str, Watched]) -> None:
        self._agents = agents
        self._running: set[str] = set()
        self._leaving: set[str] = set()

    def started(self, name: str) -> None:
        """An agent is to run from now on."""
        self._running.add(name)
        self._leaving.discard(name)

    def killed(self, name: str) -> None:
        """An agent is not to run any more."""
        self._running.discard(name)
        self._leaving.discard(name)

    def leaves(self, name: str) -> None:
        """An agent was told to stop: it ends soon, and in order."""
        if name in self._running:
            self._running.discard(name)
            self._leaving.add(name)

    def look(self) -> None:
        """Look now.

        Raises:
            InvariantError: an agent has ended that should not have, or not so, or logged a crash.
        """
        for name, agent in self._agents.items():
            for line in agent.new_lines():
                if any(text in line for text in UNWELCOME):
                    raise InvariantError("no actor crashes", f"{name} logged: {line}")
            status = agent.status
            if status is not None and name in self._running:
                raise InvariantError("agents run", f"{name} has ended with status {status}")
            if status not in _IN_ORDER and name in self._leaving:
                raise InvariantError("agents end in order", f"{name} left with status {status}")
