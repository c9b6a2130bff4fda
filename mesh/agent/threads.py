"""Threads that answer requests, each started when a request first finds all others busy."""

import logging
from collections.abc import Callable
from typing import Protocol

from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]


class Task(Protocol):
    """What a thread serves."""

    def service(self) -> None:
        """Do it."""

    def cancel(self) -> None:
        """It will not be done."""


class ThreadsOnDemand(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Waitress's threads, without those that nobody needs: an agent that is not asked much has one or none.

    One thread, or several under a lock of theirs, may call :meth:`add_task`.

    Args:
        most: requests that are served at a time; others wait their turn.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        # Requests beyond the threads wait their turn; that is no news, but Waitress would warn of each.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)

    def add_task(self, task: Task) -> None:
        """Have it served as soon as a thread is free."""
        with self.lock:
            threads = len(self.threads)
            is_short = threads < self._most and len(self.queue) >= threads - self.active_count
        if is_short:
            self.set_thread_count(threads + 1)
        super().add_task(task)

    def start_new_thread(self, target: Callable[[int], None], thread_no: int) -> None:
        """Start one; if the system has none left for this user, tasks wait for others, or the next one."""
        try:
            super().start_new_thread(target, thread_no)
        except RuntimeError:
            self.threads.discard(thread_no)
            self.active_count -= 1

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """Serve nothing any more; threads end with what they have under way."""
        self._most = 0
        return bool(super().shutdown(cancel_pending, timeout))
