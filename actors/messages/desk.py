"""What the desk of diagnostics receives."""

from typing import TypeAlias

import msgspec

from mesh.connection.offer import Offer
from mesh.diagnostics.results import Result
from mesh.diagnostics.tasks import Task


class StartJob(msgspec.Struct, frozen=True):
    """Question from outside: begin a job; the answer is its number, or a :class:`JobRefused`."""

    tasks: tuple[Task, ...]
    offers: tuple[Offer | None, ...]
    """One for each task: the agent that it is about; ``None`` only if the task has a problem."""
    at_once: int
    """Tasks that are under way at one time."""


class JobRefused(msgspec.Struct, frozen=True):
    """The answer to :class:`StartJob`: there is no room for it."""

    why: str


class AskJob(msgspec.Struct, frozen=True):
    """Question from outside: how far is it? The answer is a ``JobView``, or ``None`` if there is none."""

    number: int


class EndJob(msgspec.Struct, frozen=True):
    """Question from outside: end it, and forget it; whether there was such a job."""

    number: int


class ProbeFound(msgspec.Struct, frozen=True):
    """Fact: so much is known of a task by now."""

    job: int
    task: int
    result: Result


class ProbeEnded(msgspec.Struct, frozen=True):
    """Fact: the probe of a task has ended, however it did."""

    job: int
    task: int


class LeasesDue(msgspec.Struct, frozen=True):
    """Timer: nobody may have asked for a job for too long."""


class EndDiagnostics(msgspec.Struct, frozen=True):
    """Command: end all jobs, and begin no other."""


Inbound: TypeAlias = StartJob | AskJob | EndJob | ProbeFound | ProbeEnded | LeasesDue | EndDiagnostics
