import queue
import threading
from typing import Any

import pytest

from mesh.agent.threads import ThreadsOnDemand

LIMIT_S = 10.0


class Task:
    """Is under way until ``go_on``."""

    def __init__(self, begun: "queue.SimpleQueue[str]", go_on: threading.Event) -> None:
        self.begun, self.go_on = begun, go_on
        self.is_cancelled = False

    def service(self) -> None:
        self.begun.put(threading.current_thread().name)
        self.go_on.wait(LIMIT_S)

    def cancel(self) -> None:
        self.is_cancelled = True


def test_there_are_as_many_threads_as_tasks_at_a_time_and_not_more_than_allowed():
    threads, go_on = ThreadsOnDemand(3), threading.Event()
    begun: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert not threads.threads
    tasks = [Task(begun, go_on) for _ in range(5)]
    names = set()
    for number, task in enumerate(tasks):
        threads.add_task(task)
        if number < 3:
            names.add(begun.get(timeout=LIMIT_S))
            assert len(threads.threads) == number + 1
    assert len(names) == len(threads.threads) == 3
    go_on.set()
    assert {begun.get(timeout=LIMIT_S) for _ in range(2)} <= names
    threads.shutdown(timeout=LIMIT_S)
    assert not threads.threads
    late = Task(begun, go_on)
    threads.add_task(late)
    threads.shutdown(timeout=LIMIT_S)
    assert late.is_cancelled


def test_a_task_without_a_thread_waits_for_the_next_one(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    threads, go_on = ThreadsOnDemand(3), threading.Event()
    go_on.set()
    begun: queue.SimpleQueue[str] = queue.SimpleQueue()
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", refuse)
        threads.add_task(Task(begun, go_on))
    assert begun.empty()
    threads.add_task(Task(begun, go_on))
    assert {begun.get(timeout=LIMIT_S) for _ in range(2)}
    threads.shutdown(timeout=LIMIT_S)
    assert not threads.threads
