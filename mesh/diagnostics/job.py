"""A job: tasks, of which some are under way at one time, for as long as somebody asks how it goes."""

from collections.abc import Sequence

import msgspec

from mesh.diagnostics.results import ENDED, ProbeState, Result
from mesh.diagnostics.tasks import Task


class JobView(msgspec.Struct, frozen=True):
    """A job as it stands."""

    tasks: tuple[Task, ...]
    results: tuple[Result, ...]
    """One for each task, in their order."""
    is_over: bool


class Job:
    """Which tasks wait, and what has been found.

    Args:
        tasks: in the order to begin them.
        at_once: as many are under way at one time, at the most.
        lease_s: it is over if nobody has asked for so long.
        now: monotonic seconds.
    """

    def __init__(self, tasks: Sequence[Task], *, at_once: int, lease_s: float, now: float) -> None:
        self._tasks = tuple(tasks)
        self._results = [
            Result(state=ProbeState.FAILED, error=task.problem) if task.problem else Result()
            for task in tasks
        ]
        self._waiting = [number for number, task in enumerate(tasks) if not task.problem]
        self._waiting.reverse()
        self._under_way: set[int] = set()
        self._at_once = at_once
        self._lease_s = lease_s
        self.expires_at = now + lease_s

    @property
    def is_over(self) -> bool:
        """Whether all has been found."""
        return not self._waiting and not self._under_way

    def begin(self) -> list[int]:
        """The numbers of those tasks that are to begin now."""
        begun = []
        while self._waiting and len(self._under_way) < self._at_once:
            begun.append(self._waiting.pop())
            self._under_way.add(begun[-1])
        return begun

    def found(self, number: int, result: Result) -> None:
        """So much is known of a task by now."""
        if number in self._under_way:
            self._results[number] = result

    def ended(self, number: int) -> None:
        """Nothing more will be found of a task."""
        self._under_way.discard(number)
        if self._results[number].state not in ENDED:
            lost = msgspec.structs.replace(
                self._results[number], state=ProbeState.FAILED, error="it was broken off"
            )
            self._results[number] = lost

    def asked(self, now: float) -> JobView:
        """Somebody wants to know how it goes."""
        self.expires_at = now + self._lease_s
        return JobView(self._tasks, tuple(self._results), self.is_over)
