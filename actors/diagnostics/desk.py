"""The desk of diagnostics: takes jobs from outside of the actors, and has probes do their tasks.

Nobody waits for a job: whoever wants it asks how it goes, and a job that nobody asks for is ended.
"""

from collections.abc import Callable
from math import inf
from typing import Final, TypeAlias, assert_never

from actors.messages import desk as messages
from actors.messages import probe as probe_messages
from actors.runtime.actor import Actor
from actors.runtime.alarm import Alarm
from actors.runtime.seam import Dispatcher, Ref
from mesh.connection.offer import Offer
from mesh.diagnostics.job import Job, JobView
from mesh.diagnostics.tasks import Task

MAX_JOBS: Final = 8
"""At one time, finished ones that somebody may still ask for included."""

MAX_TASKS: Final = 20_000
"""Of one job: all keys of a large mesh. A task takes about a kilobyte."""

LEASE_S: Final = 15.0
"""A job that nobody has asked for during so long is ended: as long as a service is held for a command."""

StartProbe: TypeAlias = Callable[
    [int, int, Task, Offer, Ref[messages.ProbeFound]], Ref[probe_messages.Inbound]
]
"""Starts a probe: for a job's task, by their numbers, of an agent; it tells the latter what it finds."""


class Desk(Actor[messages.Inbound]):
    """Keeps the jobs of one agent.

    Args:
        dispatcher: where it runs, and its probes.
        start_probe: starts one.
        is_open: whether it begins jobs; not while its agent leaves.
    """

    def __init__(self, dispatcher: Dispatcher, *, start_probe: StartProbe, is_open: bool) -> None:
        super().__init__(dispatcher)
        self._start_probe = start_probe
        self._jobs: dict[int, Job] = {}
        self._tasks: dict[int, messages.StartJob] = {}
        """Of each job: what it is made from."""
        self._probes: dict[tuple[int, int], Ref[probe_messages.Inbound]] = {}
        self._newest = 0
        self._is_open = is_open
        self._alarm = Alarm(self.schedule, messages.LeasesDue())

    def on_receive(self, message: messages.Inbound) -> int | messages.JobRefused | JobView | bool | None:
        """Handle one message."""
        match message:
            case messages.StartJob():
                return self._start(message)
            case messages.AskJob(number=number):
                job = self._jobs.get(number)
                return None if job is None else job.asked(self.now())
            case messages.EndJob(number=number):
                return self._end(number)
            case messages.ProbeFound(job=number, task=task, result=result):
                if number in self._jobs:
                    self._jobs[number].found(task, result)
            case messages.ProbeEnded(job=number, task=task):
                self._probe_ended(number, task)
            case messages.LeasesDue():
                self._alarm.disarm()
                self._end_forgotten()
            case messages.EndDiagnostics():
                self._is_open = False
                for number in list(self._jobs):
                    self._end(number)
            case _:
                assert_never(message)
        return None

    def release(self) -> None:
        """Leave no probe behind."""
        for number in list(self._jobs):
            self._end(number)
        self._alarm.end()

    def _start(self, wish: messages.StartJob) -> int | messages.JobRefused:
        if not self._is_open:
            return messages.JobRefused("the agent is leaving")
        if len(self._jobs) >= MAX_JOBS:
            return messages.JobRefused(f"{MAX_JOBS} diagnoses are under way or unread: end one, or wait")
        if len(wish.tasks) > MAX_TASKS:
            return messages.JobRefused(f"{len(wish.tasks):,} agents and keys are too many for one diagnosis")
        self._newest = number = self._newest + 1
        job = self._jobs[number] = Job(wish.tasks, at_once=wish.at_once, lease_s=LEASE_S, now=self.now())
        self._tasks[number] = wish
        self._begin(number, job)
        self._arm()
        return number

    def _begin(self, number: int, job: Job) -> None:
        wish = self._tasks[number]
        for task in job.begin():
            offer = wish.offers[task]
            if offer is None:  # it has no problem and nobody to ask: the asker's mistake
                job.ended(task)
                continue
            probe = self._start_probe(number, task, wish.tasks[task], offer, self.ref)
            self._probes[number, task] = probe
            self.watch(probe, messages.ProbeEnded(number, task))

    def _probe_ended(self, number: int, task: int) -> None:
        self._probes.pop((number, task), None)
        job = self._jobs.get(number)
        if job is not None:
            job.ended(task)
            self._begin(number, job)

    def _end(self, number: int) -> bool:
        job = self._jobs.pop(number, None)
        self._tasks.pop(number, None)
        for place in [place for place in self._probes if place[0] == number]:
            self.tell(self._probes.pop(place), probe_messages.EndProbe())
        return job is not None

    def _end_forgotten(self) -> None:
        for number, job in list(self._jobs.items()):
            if self.now() >= job.expires_at:
                self._end(number)
        self._arm()

    def _arm(self) -> None:
        self._alarm.arm(min((job.expires_at for job in self._jobs.values()), default=inf), self.now())
