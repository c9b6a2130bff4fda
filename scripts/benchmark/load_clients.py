"""The clients of the load. Each moves bytes with as few system calls and as little Python as it can.

A client returns what it measured, or talks to its parent on standard input and output while it runs.
"""

import contextlib
import json
import os
import select
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

from scripts.benchmark.load_servers import CHUNK_BYTES, COUNT, HEADER

LOOPBACK: Final = "127.0.0.1"
PING_BYTES: Final = 64
PING_WARM_UP: Final = 20
"""Rounds of a ping-pong that no clock sees."""

HOLD_BATCH: Final = 64
"""Connections opened together where only their number matters: no more are ever half-open."""

HOLD_PER_SOURCE: Final = 4000
"""Connections that a holder opens from one loopback address: far fewer than there are ports."""

IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Of linux/in.h; the standard library has no name for it."""

ENDLESS: Final = 1 << 50
SLOW_STEP_S: Final = 0.01
"""How often a slow receiver takes its share."""

POLL_S: Final = 0.002
"""Between two looks at a way that does not serve yet: the error of a measured start."""

TIMEOUT_S: Final = 120.0
"""No client runs longer: a way that lost its bytes must not stop the benchmark."""

_IN: Final = select.EPOLLIN
_OUT: Final = select.EPOLLOUT


class Stalled(Exception):  # noqa: N818 - it names what happened to the load, not a fault of the program
    """Nothing moved until the time was up, or the connection ended before all bytes had come."""


class _BulkClient:
    """One transfer of ``byte_count`` in one direction."""

    _buffer = memoryview(bytearray(CHUNK_BYTES))
    _data = memoryview(os.urandom(CHUNK_BYTES))

    def __init__(self, port: int, byte_count: int, *, up: bool, address: str = LOOPBACK) -> None:
        self.socket = _connected(port, address=address)
        self._up = up
        self._left = byte_count
        self._total = byte_count
        self._answer = b""

    def begin(self) -> int:
        """Ask; what to wait for next."""
        self.socket.sendall(HEADER.pack(b"U" if self._up else b"D", self._total))
        self.socket.setblocking(False)
        return _OUT if self._up else _IN

    @property
    def moved(self) -> int:
        """Bytes sent or received so far."""
        return self._total - self._left

    def turn(self, epoll: select.epoll, at_most: int = CHUNK_BYTES) -> bool:
        """Go on; whether all has gone, or come, and been confirmed."""
        if not at_most:
            return False
        if not self._up:
            count = self.socket.recv_into(self._buffer[:at_most])
            self._left -= count
            if count == 0:
                raise Stalled(f"the connection ended {self._left} bytes early")
            return self._left == 0
        if self._left:
            self._left -= self.socket.send(self._data[: min(self._left, at_most)])
            if not self._left:
                epoll.modify(self.socket.fileno(), _IN)
            return False
        data = self.socket.recv(COUNT.size - len(self._answer))
        self._answer += data
        if not data:
            raise Stalled("the connection ended before the other end confirmed the count")
        if len(self._answer) < COUNT.size:
            return False
        if COUNT.unpack(self._answer)[0] != self._total:
            raise Stalled("the other end counted another number of bytes")
        return True


def bulk(
    address: str, port: int, *, up: bool, connections: int, byte_count: int, seconds: float
) -> dict[str, float]:
    """Move ``byte_count`` in all over so many connections, or give up after ``seconds``; how long it took."""
    each = byte_count // connections
    clients = [_BulkClient(port, each, up=up, address=address) for _ in range(connections)]
    by_descriptor = {client.socket.fileno(): client for client in clients}
    epoll = select.epoll()
    began = time.perf_counter()
    for client in clients:
        epoll.register(client.socket.fileno(), client.begin())
    while by_descriptor:
        left_s = began + seconds - time.perf_counter()
        if left_s <= 0:
            raise Stalled(f"not done within {seconds:g} s")
        for descriptor, _ in epoll.poll(left_s):
            try:
                done = by_descriptor[descriptor].turn(epoll)
            except BlockingIOError:
                continue
            if done:
                epoll.unregister(descriptor)
                del by_descriptor[descriptor]
    return {"seconds": time.perf_counter() - began, "byte_count": each * connections}


def ping(address: str, port: int, *, rounds: int, seconds: float) -> dict[str, float]:
    """Send 64 bytes and wait for them, over and over: percentiles in microseconds."""
    message = os.urandom(PING_BYTES)
    with _connected(port, address=address) as client:
        for _ in range(PING_WARM_UP):
            _ping_once(client, message)
        until = time.perf_counter() + seconds
        taken = []
        while len(taken) < rounds and (began := time.perf_counter()) < until:
            _ping_once(client, message)
            taken.append(time.perf_counter() - began)
    return _percentiles(taken)


def connect_in_turn(address: str, port: int, *, rounds: int, seconds: float) -> dict[str, float]:
    """Connect, send 64 bytes, wait for them, close, over and over: percentiles in microseconds."""
    message = os.urandom(PING_BYTES)
    until = time.perf_counter() + seconds
    taken = []
    while len(taken) < rounds and (began := time.perf_counter()) < until:
        with _connected(port, address=address) as client:
            _ping_once(client, message)
            taken.append(time.perf_counter() - began)
    return _percentiles(taken)


def connect_at_once(port: int, *, rounds: int, width: int, seconds: float) -> dict[str, float]:
    """The same with ``width`` connections under way at any time: connections each second."""
    message = os.urandom(PING_BYTES)
    epoll = select.epoll()
    under_way: dict[int, socket.socket] = {}
    begun = finished = 0
    began = time.perf_counter()
    until = began + seconds
    while finished < rounds:
        while begun < rounds and len(under_way) < width:
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            under_way[client.fileno()] = client
            epoll.register(client.fileno(), _OUT)
            begun += 1
        left_s = until - time.perf_counter()
        if left_s <= 0:
            raise Stalled(f"{finished} of {rounds} connections within {seconds:g} s")
        for descriptor, events in epoll.poll(left_s):
            client = under_way[descriptor]
            if events & _OUT:
                client.send(message)
                epoll.modify(descriptor, _IN)
                continue
            data = client.recv(PING_BYTES)
            if len(data) != PING_BYTES:
                raise Stalled(f"an answer of {len(data)} bytes")
            client.close()
            del under_way[descriptor]
            finished += 1
    return {"per_second": rounds / (time.perf_counter() - began), "count": rounds}


def hold(ports: Sequence[int], count: int) -> None:
    """Open ``count`` connections, prove each with an echo, and keep them until standard input ends.

    They are spread over ``ports`` and over as many source addresses as it takes to have ports for all.
    """
    message = os.urandom(PING_BYTES)
    held: list[socket.socket] = []
    while len(held) < count:
        batch = []
        for number in range(len(held), min(len(held) + HOLD_BATCH, count)):
            source = f"127.0.0.{10 + number // HOLD_PER_SOURCE}"
            batch.append(_connected(ports[number % len(ports)], source))
        for client in batch:
            client.sendall(message)
        for client in batch:
            _receive_ping(client)
        held += batch
    print(json.dumps({"count": len(held)}), flush=True)
    sys.stdin.buffer.read()


def flood(port: int, *, up: bool, rate: float) -> None:
    """Move bytes until standard input ends; for each byte that comes there, say how many have been moved.

    It moves ``rate`` bytes a second; where that is 0, as many as go.
    """
    client = _BulkClient(port, ENDLESS, up=up)
    epoll = select.epoll()
    epoll.register(sys.stdin.fileno(), _IN)
    wanted = client.begin()
    if not rate:
        epoll.register(client.socket.fileno(), wanted)
    began = time.perf_counter()
    while True:
        for descriptor, _ in epoll.poll(SLOW_STEP_S if rate else None):
            if descriptor != sys.stdin.fileno():
                with contextlib.suppress(BlockingIOError):
                    client.turn(epoll)
            elif not os.read(descriptor, 1):
                return
            else:
                print(json.dumps({"byte_count": client.moved, "at_s": time.perf_counter()}), flush=True)
        if rate:
            allowed = int((time.perf_counter() - began) * rate)
            with contextlib.suppress(BlockingIOError):
                client.turn(epoll, at_most=max(0, allowed - client.moved))


def wait(port: int, *, seconds: float) -> dict[str, float]:
    """Try until 64 bytes come back through ``port``; how long that took from now."""
    message = os.urandom(PING_BYTES)
    began = time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds:
        with contextlib.suppress(OSError, Stalled), _connected(port, timeout_s=seconds - taken) as client:
            _ping_once(client, message)
            return {"seconds": time.perf_counter() - began}
        time.sleep(POLL_S)
    raise Stalled(f"nothing came back within {seconds:g} s")


def listens(address: str, port: int, *, seconds: float) -> dict[str, float]:
    """Try until something accepts connections there; how long that took from now."""
    began = time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds:
        with contextlib.suppress(OSError), socket.create_connection((address, port), seconds - taken):
            return {"seconds": time.perf_counter() - began}
        time.sleep(POLL_S)
    raise Stalled(f"nothing listens on {address}:{port} within {seconds:g} s")


def _connected(
    port: int, source: str = "", *, address: str = LOOPBACK, timeout_s: float = TIMEOUT_S
) -> socket.socket:
    client = socket.socket()
    try:
        client.settimeout(timeout_s)
        if source:
            # The port is chosen when it connects, so that one port serves several destinations.
            client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            client.bind((source, 0))
        client.connect((address, port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        client.close()
        raise
    return client


def _ping_once(client: socket.socket, message: bytes) -> None:
    client.sendall(message)
    _receive_ping(client)


def _receive_ping(client: socket.socket) -> None:
    left = PING_BYTES
    while left:
        data = client.recv(left)
        if not data:
            raise Stalled("the connection ended before the answer")
        left -= len(data)


def _percentiles(taken: list[float]) -> dict[str, float]:
    if not taken:
        raise Stalled("not one round in the time given")
    taken.sort()
    return {
        "p50_us": taken[len(taken) // 2] * 1e6,
        "p99_us": taken[min(len(taken) - 1, len(taken) * 99 // 100)] * 1e6,
        "count": len(taken),
    }
