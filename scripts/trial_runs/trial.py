"""What a trial is given, and what comes of it."""

import contextlib
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from scripts.lab.meshes import Mesh
from scripts.lab.ports import is_listening
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.waiting import wait_until
from scripts.trial_runs import services

MIB: Final = 1 << 20


@dataclass(frozen=True)
class Effort:
    """How much a trial moves, and for how long."""

    byte_count: int = 1024 * MIB
    """In one transfer."""
    clients: int = 8
    """At once, where requests are made."""
    rest_s: float = 0.0
    """Of each client of a load after a request, a round or a transfer."""
    load_s: float = 1.0
    """How long there is load before something fails, and how long after everything is over."""
    database_s: float = 12.0
    """How long the database is under load."""
    changes: int = 1000
    """Of configurations."""
    soak_s: float = 60.0
    """How long the soak lasts."""
    timeout_s: float = 3.0
    """``connections.timeout`` of all agents."""


@dataclass
class Outcome:
    """What one run has shown."""

    figures: dict[str, float] = field(default_factory=dict)
    """Seconds, or a count, by name."""
    faults: list[str] = field(default_factory=list)
    """What should not have happened; a line each."""
    story: list[str] = field(default_factory=list)
    """What was done, with its time: told of where there are faults."""


def clock() -> str:
    """The time of day, as the agents' logs have it."""
    return datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3] + " UTC"


@dataclass
class Stage:
    """What a run acts on. Everything it starts ends with it."""

    mesh: Mesh
    effort: Effort
    draw: random.Random
    stack: contextlib.ExitStack
    outcome: Outcome = field(default_factory=Outcome)

    def agent(self, name: str) -> Any:
        """A new agent of the mesh, configured as the effort says."""
        agent = self.mesh.agent(name)
        agent.config["connections"] = {"timeout": self.effort.timeout_s}
        return agent

    def serve(self, kind: str, *arguments: str) -> tuple[Process, int]:
        """Start a service of ``services`` in a process of its own; the process and its port."""
        port = self.mesh.ports.reserve()
        command = python("-m", services.__name__, kind, str(port), *arguments)
        process = Process(command, self.mesh.folder / f"service-{port}.log", cwd=ROOT)
        self.stack.callback(process.kill)
        wait_until(lambda: is_listening(port), f"the {kind} service listens")
        return process, port

    def fault(self, text: str) -> None:
        """Something happened that should not have."""
        self.outcome.faults.append(text)

    def tell(self, what: str) -> None:
        """This is done now; said only where something fails."""
        self.outcome.story.append(f"{clock()}: {what}")

    def figure(self, name: str, value: float) -> None:
        """Keep a figure; the highest, where a run has several of one name."""
        self.outcome.figures[name] = max(value, self.outcome.figures.get(name, value))


@dataclass(frozen=True)
class Trial:
    """One of the trials."""

    what: str
    """It does, in a few words."""
    run: Callable[[Stage], None]
    aims: dict[str, float] = field(default_factory=dict)
    """What figures should stay below. Missing one is shown; it is no failure."""


@dataclass
class Series:
    """The outcomes of all runs of one trial."""

    outcomes: list[Outcome] = field(default_factory=list)

    def figures(self) -> Iterator[tuple[str, Sequence[float]]]:
        """Each figure with its samples, in the order in which they first came up."""
        names = dict.fromkeys(name for outcome in self.outcomes for name in outcome.figures)
        for name in names:
            yield name, [outcome.figures[name] for outcome in self.outcomes if name in outcome.figures]

    def faults(self) -> list[str]:
        """All faults, with the number of their run."""
        return [
            f"run {number}: {fault}"
            for number, outcome in enumerate(self.outcomes, 1)
            for fault in outcome.faults
        ]

    def as_json(self) -> dict[str, Any]:
        """Samples, medians, maxima and faults."""
        return {
            "runs": len(self.outcomes),
            "figures": {
                name: {"median": statistics.median(samples), "max": max(samples), "samples": list(samples)}
                for name, samples in self.figures()
            },
            "faults": self.faults(),
        }
