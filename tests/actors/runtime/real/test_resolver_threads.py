import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from actors.runtime.real.resolver import Resolver
from scripts.lab.waiting import wait_until

LIMIT_S = 10.0


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set, the name server says nothing of ``dead``."""
    event = threading.Event()

    def answer(host: str, *_: Any, **__: Any) -> Any:
        if host == "dead":
            event.wait(LIMIT_S)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    yield event
    event.set()


@pytest.fixture
def resolver(go_on: threading.Event) -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    go_on.set()
    resolver.stop()
    for thread in resolver._threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def failure_of(resolver: Resolver, host: str) -> str:
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    resolver.lookup(host, 80, lambda _, reason: answers.put(reason))
    return answers.get(timeout=LIMIT_S)


def test_a_thread_starts_only_for_a_name_that_finds_all_others_busy(resolver: Resolver):
    assert not resolver._threads
    for _ in range(3):
        assert failure_of(resolver, "peer") == ""
        wait_until(lambda: resolver._idle == 1, "the thread waits for a name")
    assert len(resolver._threads) == 1
    resolver.lookup("dead", 80, lambda *_: None)
    assert failure_of(resolver, "peer") == ""
    assert len(resolver._threads) == 2


def test_a_name_fails_only_if_the_system_has_no_thread_at_all(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", refuse)
        assert failure_of(resolver, "peer") == "the system allows no more threads"
    assert failure_of(resolver, "peer") == ""
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", refuse)
        assert failure_of(resolver, "peer") == ""
        assert failure_of(resolver, "other") == ""
