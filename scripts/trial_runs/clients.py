"""Clients that notice everything: each byte, each wait, each reset."""

import hashlib
import itertools
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final

from scripts.lab.clients import connect, read_all, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.trial_runs.services import CHUNK_BYTES, HEADER, byte_stream, digest_of_stream, page
from scripts.trial_runs.trial import clock

PATIENCE_S: Final = 60.0
"""Longer than any connection waits for a path: what takes longer hangs."""

REQUEST: Final = b"GET / HTTP/1.1\r\nHost: service\r\n\r\n"
PACE_S: Final = 0.005
"""From one request to the next, where they come at a pace of their own."""

ECHO_BYTES: Final = 2000
ECHO_PAUSE_S: Final = 0.01
"""Between two rounds of a connection that is open for long."""

Moment = tuple[float, Callable[[], None]]
"""A share of a transfer, and what to do once so much is done."""


@dataclass
class Transfer:
    """What a client saw of one transfer."""

    seconds: float = 0.0
    longest_wait_s: float = 0.0
    """In one call of ``recv`` or ``send``: what a user sees as a stall."""


def transfer(port: int, byte_count: int, *, up: bool, moments: Sequence[Moment] = ()) -> Transfer:
    """Move so many bytes, check each, and act at ``moments``, which do not count as waiting.

    Raises:
        OSError: it broke.
        AssertionError: something else arrived than was sent.
    """
    seen, due = Transfer(), list(moments)
    with connect(port, timeout_s=PATIENCE_S) as client:
        began_at = time.monotonic()
        client.sendall(HEADER.pack(b"U" if up else b"D", byte_count))
        digest = _send(client, byte_count, seen, due) if up else _receive(client, byte_count, seen, due)
        seen.seconds = time.monotonic() - began_at
    assert digest == digest_of_stream(byte_count), "the bytes that arrived are not those that were sent"  # noqa: S101
    return seen


def _send(client: socket.socket, byte_count: int, seen: Transfer, due: list[Moment]) -> bytes:
    sent = 0
    for piece in byte_stream(byte_count):
        began_at = time.monotonic()
        client.sendall(piece)
        seen.longest_wait_s = max(seen.longest_wait_s, time.monotonic() - began_at)
        sent += len(piece)
        _act(due, sent / byte_count)
    began_at = time.monotonic()
    digest: bytes = read_exactly(client, hashlib.sha256().digest_size)
    seen.longest_wait_s = max(seen.longest_wait_s, time.monotonic() - began_at)
    return digest


def _receive(client: socket.socket, byte_count: int, seen: Transfer, due: list[Moment]) -> bytes:
    digest, count = hashlib.sha256(), 0
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while True:
        began_at = time.monotonic()
        received = client.recv_into(buffer)
        seen.longest_wait_s = max(seen.longest_wait_s, time.monotonic() - began_at)
        if not received:
            return digest.digest()
        digest.update(buffer[:received])
        count += received
        _act(due, count / byte_count)


def _act(due: list[Moment], share: float) -> None:
    while due and share >= due[0][0]:
        due.pop(0)[1]()


@dataclass(frozen=True)
class Request:
    """One HTTP request; times are of ``time.monotonic``."""

    began_at: float
    ended_at: float
    failure: str
    """Empty where the whole page of one of the services came."""


def request(port: int, names: Sequence[str]) -> Request:
    """Fetch the page of one of the services ``names``."""
    began_at, failure = time.monotonic(), ""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PATIENCE_S) as client:
            client.sendall(REQUEST)
            answer = read_all(client)
    except OSError as error:
        failure = f"{type(error).__name__}: {error}"
    else:
        if answer not in {page(name) for name in names}:
            failure = f"{len(answer)} bytes that are no whole page"
    return Request(began_at, time.monotonic(), failure)


@dataclass
class Load:
    """Clients on threads of their own, from ``start`` to ``stop``."""

    rest_s: float = 0.0
    """Of each client after a step; without any it does as much as the machine can."""
    ended: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Of clients that ended before their time."""

    def start(self, work: Callable[[], Iterator[None]], count: int = 1) -> None:
        """Run ``work`` on ``count`` threads, step by step until ``stop``."""
        for _ in range(count):
            thread = threading.Thread(target=self._run, args=(work,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, work: Callable[[], Iterator[None]]) -> None:
        try:
            for _ in work():
                if self.ended.wait(self.rest_s):
                    return
        except (OSError, EOFError, AssertionError) as error:
            self._note(f"{type(error).__name__}: {error}")

    def _note(self, failure: str) -> None:
        """Keep it with its time, as the agents' logs have it."""
        self.failures.append(f"{failure} ({clock()})")

    def stop(self) -> None:
        """Let each client end its step."""
        self.ended.set()
        for thread in self.threads:
            thread.join(2 * PATIENCE_S)
            if thread.is_alive():
                self._note("a client hangs")


def requests(port: int, names: Sequence[str], done: list[Request]) -> Callable[[], Iterator[None]]:
    """Work for a load: one request after another."""

    def work() -> Iterator[None]:
        while True:
            done.append(request(port, names))
            yield

    return work


def paced_requests(
    port: int, names: Sequence[str], done: list[Request], pool: Executor, pace_s: float = PACE_S
) -> Callable[[], Iterator[None]]:
    """Work for a load: a request each ``pace_s``, whether the earlier ones have been answered or not."""

    def work() -> Iterator[None]:
        while True:
            pool.submit(lambda: done.append(request(port, names)))
            yield
            time.sleep(pace_s)

    return work


def conversation(
    port: int, waits_s: list[float], pause_s: float = ECHO_PAUSE_S
) -> Callable[[], Iterator[None]]:
    """Work for a load: one connection, open all the time, and what is said on it comes back."""

    def work() -> Iterator[None]:
        draw = random.Random(1)  # noqa: S311 - bytes to recognise
        with connect(port, timeout_s=PATIENCE_S) as client:
            for number in itertools.count():
                said = b"%d:%b" % (number, draw.randbytes(ECHO_BYTES))
                began_at = time.monotonic()
                client.sendall(said)
                assert read_exactly(client, len(said)) == said, "something else came back"  # noqa: S101
                waits_s.append(time.monotonic() - began_at)
                yield
                time.sleep(pause_s)

    return work


def transfers(port: int, byte_count: int, waits_s: list[float]) -> Callable[[], Iterator[None]]:
    """Work for a load: transfers one after another, in turn up and down."""

    def work() -> Iterator[None]:
        for up in itertools.cycle((False, True)):
            waits_s.append(transfer(port, byte_count, up=up).longest_wait_s)
            yield

    return work
