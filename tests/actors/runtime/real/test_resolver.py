"""Names to addresses: order, duplicates, bad names, literals, a full queue."""

import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from actors.runtime.actor import Actor
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.real.resolver import (
    RESOLVER_THREADS,
    SLOW_S,
    Question,
    Resolver,
    literal_address,
    local_addresses,
)
from actors.runtime.seam import NamesResolved
from mesh.addresses import TcpAddress

LIMIT_S = 10.0


def found(*hosts: str) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 80)) for host in hosts]


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver(threads=1, max_waiting=2)
    yield resolver
    resolver.stop()
    for thread in resolver._threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def answer_of(resolver: Resolver, host: str) -> Any:
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    resolver.lookup(host, 80, lambda addresses, reason: answers.put((addresses, reason)))
    return answers.get(timeout=LIMIT_S)


def test_the_systems_order_is_kept_and_duplicates_go(resolver: Resolver, monkeypatch: pytest.MonkeyPatch):
    hosts = found("192.0.2.9", "192.0.2.1", "192.0.2.9", "2001:db8::1")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hosts)
    expected = tuple(TcpAddress(host, 80) for host in ("192.0.2.9", "192.0.2.1", "2001:db8::1"))
    assert answer_of(resolver, "db.example") == (expected, "")


def test_a_name_that_is_not_in_ascii_is_not_looked_up_as_another(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
):
    """The system's own conversion is IDNA 2003, which makes fass.example of it."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found("192.0.2.9"))
    addresses, reason = answer_of(resolver, "fa\u00df.example")
    assert addresses == ()
    assert "expected a host name in ASCII" in reason


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (RuntimeError("odd"), "odd"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_whatever_ends_a_look_up_is_an_answer_and_the_thread_lives(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
):
    monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=error))
    for _ in range(2):
        assert answer_of(resolver, "nowhere.example") == ((), f"cannot resolve 'nowhere.example': {why}")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "\N{GREEK SMALL LETTER ALPHA}" * 300, "nul\0"])
def test_a_name_that_cannot_be_asked_for_is_answered_and_the_thread_lives(resolver: Resolver, host: str):
    for _ in range(2):
        addresses, reason = answer_of(resolver, host)
        assert addresses == ()
        assert reason.startswith("cannot resolve ")


def test_beyond_its_queue_it_answers_at_once(resolver: Resolver, monkeypatch: pytest.MonkeyPatch):
    entered, go_on = threading.Event(), threading.Event()

    def hold(*_: Any, **__: Any) -> Any:
        entered.set()
        assert go_on.wait(LIMIT_S)
        return found("192.0.2.1")

    monkeypatch.setattr(socket, "getaddrinfo", hold)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    resolver.lookup("one", 80, lambda addresses, reason: answers.put(addresses))
    assert entered.wait(LIMIT_S)
    for name in ("two", "three"):
        resolver.lookup(name, 80, lambda addresses, reason: answers.put(addresses))
    refused: list[str] = []
    resolver.lookup("four", 80, lambda addresses, reason: refused.append(reason))
    assert refused == ["2 look-ups are waiting already"]
    go_on.set()
    assert [answers.get(timeout=LIMIT_S) for _ in range(3)] == [(TcpAddress("192.0.2.1", 80),)] * 3


class Names:
    """A name server that says nothing of ``dead`` until it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: str, *_: Any, **__: Any) -> Any:
        self.asked.append(host)
        if host == "dead":
            self.entered.set()
            assert self.go_on.wait(LIMIT_S)
        return found("192.0.2.1")

    def ask(self, resolver: Resolver, host: str, port: int = 80) -> Question:
        return resolver.lookup(host, port, lambda addresses, reason: self.answers.put((host, addresses)))

    def heard(self) -> Any:
        return self.answers.get(timeout=LIMIT_S)


def test_who_asks_for_the_same_host_shares_a_look_up(resolver: Resolver, monkeypatch: pytest.MonkeyPatch):
    names = Names(monkeypatch)
    names.ask(resolver, "dead", 1)
    assert names.entered.wait(LIMIT_S)
    for host, port in (("other", 2), ("dead", 3), ("other", 4)):
        names.ask(resolver, host, port)
    names.go_on.set()
    expected = [("dead", 1), ("dead", 3), ("other", 2), ("other", 4)]
    assert [names.heard() for _ in expected] == [
        (host, (TcpAddress("192.0.2.1", port),)) for host, port in expected
    ]
    assert names.asked == ["dead", "other"]
    names.ask(resolver, "dead")
    names.heard()
    assert names.asked == ["dead", "other", "dead"]


def test_what_is_cancelled_while_it_waits_is_not_looked_up(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
):
    names = Names(monkeypatch)
    names.ask(resolver, "dead")
    assert names.entered.wait(LIMIT_S)
    for number in range(20):  # of which two may wait at a time
        names.ask(resolver, f"name {number}").cancel()
    shared = [names.ask(resolver, "shared") for _ in range(2)]
    shared[0].cancel()
    names.ask(resolver, "last")
    names.go_on.set()
    assert [names.heard()[0] for _ in range(3)] == ["dead", "shared", "last"]
    assert names.asked == ["dead", "shared", "last"]
    shared[1].cancel()


def test_a_name_without_an_answer_holds_one_thread(monkeypatch: pytest.MonkeyPatch):
    names = Names(monkeypatch)
    resolver = Resolver(threads=2)
    for _ in range(100):
        question = names.ask(resolver, "dead")
        assert names.entered.wait(LIMIT_S)
        question.cancel()
    names.ask(resolver, "peer")
    assert names.heard()[0] == "peer"
    names.ask(resolver, "dead")
    names.go_on.set()
    assert names.heard()[0] == "dead"
    resolver.stop()
    for thread in resolver._threads:
        thread.join(LIMIT_S)
    assert names.asked == ["dead", "peer"]
    assert names.answers.empty()


class SlowNames(Names):
    """A name server that answers ``dead`` names when it may, and much later by the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.now = 0.0
        self.entries: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.turns = threading.Semaphore(0)

    def _answer(self, host: str, *_: Any, **__: Any) -> Any:
        if host.startswith("dead"):
            self.entries.put(host)
            assert self.turns.acquire(timeout=LIMIT_S)
        return found("192.0.2.1")

    def entered_for(self, count: int) -> set[str]:
        """The dead names whose look-ups have begun, once there are so many."""
        return {self.entries.get(timeout=LIMIT_S) for _ in range(count)}


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[SlowNames, Resolver]]:
    """Six threads: two for slow names at the most, two for quick ones at the least."""
    names = SlowNames(monkeypatch)
    resolver = Resolver(threads=6, clock=lambda: names.now)
    yield names, resolver
    resolver.stop()
    for _ in range(20):
        names.turns.release()
    for thread in resolver._threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def test_names_that_were_quick_find_a_thread_whatever_others_do(slow_names: Any):
    names, resolver = slow_names
    names.ask(resolver, "peer")
    assert names.heard()[0] == "peer"
    dead = {f"dead {number}" for number in range(20)}
    for host in sorted(dead):
        names.ask(resolver, host)
    assert names.entered_for(4) <= dead
    for _ in range(3):
        names.ask(resolver, "peer")
        assert names.heard()[0] == "peer"
    assert names.entries.empty()


def test_names_that_were_slow_share_a_third_of_the_threads(slow_names: Any):
    names, resolver = slow_names
    dead = [f"dead {number}" for number in range(4)]
    for host in dead:
        names.ask(resolver, host)
    names.entered_for(4)
    names.now += 2 * SLOW_S
    names.turns.release(4)
    assert {names.heard()[0] for _ in dead} == set(dead)
    for host in dead:
        names.ask(resolver, host)
    first = names.entered_for(2)
    for number in range(5):
        names.ask(resolver, f"new {number}")
        assert names.heard()[0] == f"new {number}"
    assert names.entries.empty()
    later = set()
    for _ in range(2):  # as one ends the next one begins
        names.turns.release()
        assert names.heard()[0] in first | later
        later |= names.entered_for(1)
    assert later == set(dead) - first


def test_what_is_remembered_of_names_is_bounded(slow_names: Any, monkeypatch: pytest.MonkeyPatch):
    names, resolver = slow_names
    monkeypatch.setattr("actors.runtime.real.resolver.MAX_REMEMBERED", 3)
    for number in range(10):
        names.ask(resolver, f"name {number}")
        names.heard()
    names.ask(resolver, "name 9")
    names.heard()
    assert list(resolver._took_s) == ["name 7", "name 8", "name 9"]


def test_of_names_the_latest_to_be_looked_up_are_remembered(slow_names: Any, monkeypatch: pytest.MonkeyPatch):
    names, resolver = slow_names
    monkeypatch.setattr("actors.runtime.real.resolver.MAX_REMEMBERED", 2)
    for host in ("peer", "once", "peer", "new"):
        names.ask(resolver, host)
        names.heard()
    assert list(resolver._took_s) == ["peer", "new"]


@pytest.mark.parametrize(
    ("host", "literal"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%lo", "fe80::1%1"),
        ("fe80::1%1", "fe80::1%1"),
        ("0:0::1", "::1"),
        ("", None),
        ("localhost", None),
        ("db1", None),
        ("::g", None),
        ("a" * 300 + "1", None),
    ],
)
def test_literals(host: str, literal: "str | None"):
    assert literal_address(host, 80) == (None if literal is None else TcpAddress(literal, 80))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "db.localhost"])
def test_localhost_is_loopback_without_a_look_up(host: str):
    assert local_addresses(host, 80) == (TcpAddress("127.0.0.1", 80), TcpAddress("::1", 80))


@pytest.mark.parametrize("host", ["localhost.example", "xlocalhost", ""])
def test_other_names_are_looked_up(host: str):
    assert local_addresses(host, 80) == ()


class Asker(Actor[Any]):
    def __init__(self, dispatcher: Any, heard: "queue.SimpleQueue[Any]") -> None:
        super().__init__(dispatcher)
        self._heard = heard

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        self._heard.put(message)
        return None


def test_a_literal_needs_no_thread(dispatcher: LoopDispatcher, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Resolver, "lookup", None)
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    asker = Asker.start(dispatcher, heard)
    asker.ask(lambda probe: probe.dispatcher.resolve(probe.ref, "::1", 80, 7), timeout=LIMIT_S)
    assert heard.get(timeout=LIMIT_S) == NamesResolved(7, (TcpAddress("::1", 80),))


def test_a_cancelled_look_up_reports_nothing(dispatcher: LoopDispatcher, monkeypatch: pytest.MonkeyPatch):
    go_on = threading.Event()
    original = socket.getaddrinfo

    def hold(host: str, *arguments: Any, **settings: Any) -> Any:
        if host == "held":
            assert go_on.wait(LIMIT_S)
            return found("192.0.2.1")
        return original(host, *arguments, **settings)

    monkeypatch.setattr(socket, "getaddrinfo", hold)
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    asker = Asker.start(dispatcher, heard)

    def ask(probe: Asker) -> None:
        attempts = [
            probe.dispatcher.resolve(probe.ref, "held", 80, token) for token in range(RESOLVER_THREADS)
        ]
        for attempt in attempts[1:]:
            attempt.cancel()
            attempt.cancel()

    asker.ask(ask, timeout=LIMIT_S)
    go_on.set()
    assert heard.get(timeout=LIMIT_S).token == 0
    assert all(thread.is_alive() for thread in dispatcher._resolver._threads)
    assert heard.empty()


def test_a_dispatchers_look_ups_are_cancelled_at_its_resolver(
    dispatcher: LoopDispatcher, monkeypatch: pytest.MonkeyPatch
):
    names = Names(monkeypatch)
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    asker = Asker.start(dispatcher, heard)

    def ask(probe: Asker) -> None:
        for number in range(100):
            probe.dispatcher.resolve(probe.ref, "dead", 80, number).cancel()
        probe.dispatcher.resolve(probe.ref, "peer", 4433, 100)

    asker.ask(ask, timeout=LIMIT_S)
    assert heard.get(timeout=LIMIT_S) == NamesResolved(100, (TcpAddress("192.0.2.1", 4433),))
    assert names.asked in (["peer"], ["dead", "peer"])
    names.go_on.set()


def test_stopping_does_not_wait_for_a_silent_name_server(monkeypatch: pytest.MonkeyPatch):
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go_on.wait(LIMIT_S) and found("192.0.2.1"))
    dispatcher = LoopDispatcher()
    dispatcher.start()
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    asker = Asker.start(dispatcher, heard)
    asker.ask(lambda probe: probe.dispatcher.resolve(probe.ref, "held", 80, 1), timeout=LIMIT_S)
    resolver_threads = dispatcher._resolver._threads
    assert dispatcher.stop(LIMIT_S)
    go_on.set()  # the answer finds a closed loop
    for thread in resolver_threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    assert heard.empty()
