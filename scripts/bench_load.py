"""The load of the benchmark: servers and clients, each a process of its own, on the standard library only.

They move octets with as few system calls and as little Python as they can, so that what is measured is the
way between them. Every command prints one JSON object: servers when they listen, clients when they are done.

Bulk protocol: the client sends one octet ``U`` or ``D`` and a 64-bit count. ``U``: it then sends so many
octets, and the server answers with the 64-bit count of what came. ``D``: the server sends so many octets and
closes. Echo protocol: whatever comes goes back.
"""

import argparse
import json
import os
import resource
import select
import socket
import struct
import sys
import time
from typing import Final

CHUNK_OCTETS: Final = 256 * 1024
"""For one system call: fits the second-level cache, so the copy is as cheap as it gets."""

HEADER: Final = struct.Struct(">cQ")
COUNT: Final = struct.Struct(">Q")
PING_OCTETS: Final = 64
BACKLOG: Final = 4096
HOLD_BATCH: Final = 64
"""Connections opened together where only their number matters."""

TIMEOUT_S: Final = 120.0
"""No client runs longer: a way that lost its octets must not stop the benchmark."""

_IN: Final = select.EPOLLIN
_OUT: Final = select.EPOLLOUT


class Stalled(Exception):  # noqa: N818 - it names what happened to the load, not a fault of the program
    """Nothing moved until the time was up, or the connection ended before all octets had come."""


def serve(kind: str) -> None:
    """Serve ``bulk`` or ``echo`` on a loopback port that the kernel chooses, until standard input ends."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listening.setblocking(False)
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    epoll = select.epoll()
    epoll.register(listening.fileno(), _IN)
    epoll.register(sys.stdin.fileno(), _IN)
    served: dict[int, _BulkServer | _EchoServer] = {}
    make = _BulkServer if kind == "bulk" else _EchoServer
    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == sys.stdin.fileno():
                return
            if descriptor == listening.fileno():
                _accept(listening, epoll, served, make)
                continue
            connection = served[descriptor]
            try:
                done = connection.turn(epoll)
            except BlockingIOError:
                done = False
            except OSError:
                done = True
            if done:
                del served[descriptor]
                connection.socket.close()


def _accept(
    listening: socket.socket,
    epoll: select.epoll,
    served: "dict[int, _BulkServer | _EchoServer]",
    make: "type[_BulkServer | _EchoServer]",
) -> None:
    for _ in range(BACKLOG):
        try:
            client, _address = listening.accept()
        except BlockingIOError:
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        served[client.fileno()] = make(client)
        epoll.register(client.fileno(), _IN)


class _EchoServer:
    """Sends back what comes; expects less at a time than a socket buffer holds."""

    _buffer = memoryview(bytearray(CHUNK_OCTETS))

    def __init__(self, client: socket.socket) -> None:
        self.socket = client

    def turn(self, _epoll: select.epoll) -> bool:
        count = self.socket.recv_into(self._buffer)
        if count:
            self.socket.send(self._buffer[:count])
        return count == 0


class _BulkServer:
    """One bulk transfer."""

    _buffer = memoryview(bytearray(CHUNK_OCTETS))
    _data = memoryview(os.urandom(CHUNK_OCTETS))

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self._header = b""
        self._left = 0
        self._total = 0
        self._sending = False

    def turn(self, epoll: select.epoll) -> bool:
        if self._sending:
            return self._send()
        if len(self._header) < HEADER.size:
            octets = self.socket.recv(HEADER.size - len(self._header))
            self._header += octets
            if len(self._header) == HEADER.size:
                direction, self._left = HEADER.unpack(self._header)
                self._total = self._left
                self._sending = direction == b"D"
                if self._sending:
                    epoll.modify(self.socket.fileno(), _OUT)
            return not octets
        count = self.socket.recv_into(self._buffer)
        self._left -= count
        if self._left == 0 and count:
            self.socket.send(COUNT.pack(self._total))
        return count == 0

    def _send(self) -> bool:
        if self._left == 0:
            return True
        self._left -= self.socket.send(self._data[: min(self._left, CHUNK_OCTETS)])
        return self._left == 0


class _BulkClient:
    """One transfer of ``octets`` in one direction."""

    _buffer = memoryview(bytearray(CHUNK_OCTETS))
    _data = memoryview(os.urandom(CHUNK_OCTETS))

    def __init__(self, port: int, octets: int, *, up: bool) -> None:
        self.socket = _connected(port)
        self._up = up
        self._left = octets
        self._total = octets
        self._answer = b""

    def begin(self) -> int:
        """Ask; what to wait for next."""
        self.socket.sendall(HEADER.pack(b"U" if self._up else b"D", self._total))
        self.socket.setblocking(False)
        return _OUT if self._up else _IN

    def turn(self, epoll: select.epoll) -> bool:
        """Go on; whether all has gone, or come, and been confirmed."""
        if not self._up:
            count = self.socket.recv_into(self._buffer)
            self._left -= count
            if count == 0:
                raise Stalled(f"the connection ended {self._left} octets early")
            return self._left == 0
        if self._left:
            self._left -= self.socket.send(self._data[: min(self._left, CHUNK_OCTETS)])
            if not self._left:
                epoll.modify(self.socket.fileno(), _IN)
            return False
        octets = self.socket.recv(COUNT.size - len(self._answer))
        self._answer += octets
        if not octets:
            raise Stalled("the connection ended before the other end confirmed the count")
        if len(self._answer) < COUNT.size:
            return False
        if COUNT.unpack(self._answer)[0] != self._total:
            raise Stalled("the other end counted another number of octets")
        return True


def bulk(port: int, *, up: bool, connections: int, octets: int, seconds: float) -> dict[str, float]:
    """Move ``octets`` in all over so many connections, or give up after ``seconds``; how long it took."""
    clients = [_BulkClient(port, octets // connections, up=up) for _ in range(connections)]
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
    return {"seconds": time.perf_counter() - began, "octets": octets // connections * connections}


def ping(port: int, *, rounds: int, seconds: float) -> dict[str, float]:
    """Send 64 octets and wait for them, over and over: percentiles in microseconds."""
    message = os.urandom(PING_OCTETS)
    with _connected(port) as client:
        for _ in range(20):
            _ping_once(client, message)
        until = time.perf_counter() + seconds
        taken = []
        while len(taken) < rounds and (began := time.perf_counter()) < until:
            _ping_once(client, message)
            taken.append(time.perf_counter() - began)
    return _percentiles(taken)


def connect_in_turn(port: int, *, rounds: int, seconds: float) -> dict[str, float]:
    """Connect, send 64 octets, wait for them, close, over and over: percentiles in microseconds."""
    message = os.urandom(PING_OCTETS)
    until = time.perf_counter() + seconds
    taken = []
    while len(taken) < rounds and (began := time.perf_counter()) < until:
        with _connected(port) as client:
            _ping_once(client, message)
            taken.append(time.perf_counter() - began)
    return _percentiles(taken)


def connect_at_once(port: int, *, rounds: int, width: int, seconds: float) -> dict[str, float]:
    """The same with ``width`` connections under way at any time: connections each second."""
    message = os.urandom(PING_OCTETS)
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
            octets = client.recv(PING_OCTETS)
            if len(octets) != PING_OCTETS:
                raise Stalled(f"an answer of {len(octets)} octets")
            client.close()
            del under_way[descriptor]
            finished += 1
    return {"per_second": rounds / (time.perf_counter() - began), "count": rounds}


def hold(port: int, count: int) -> None:
    """Open ``count`` connections, prove each with an echo, and keep them until standard input ends."""
    message = os.urandom(PING_OCTETS)
    held: list[socket.socket] = []
    while len(held) < count:
        batch = [_connected(port) for _ in range(min(HOLD_BATCH, count - len(held)))]
        for client in batch:
            client.sendall(message)
        for client in batch:
            _receive_ping(client)
        held += batch
    print(json.dumps({"count": len(held)}), flush=True)
    sys.stdin.buffer.read()


def _connected(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _ping_once(client: socket.socket, message: bytes) -> None:
    client.sendall(message)
    _receive_ping(client)


def _receive_ping(client: socket.socket) -> None:
    left = PING_OCTETS
    while left:
        octets = client.recv(left)
        if not octets:
            raise Stalled("the connection ended before the answer")
        left -= len(octets)


def _percentiles(taken: list[float]) -> dict[str, float]:
    if not taken:
        raise Stalled("not one round in the time given")
    taken.sort()
    return {
        "p50_us": taken[len(taken) // 2] * 1e6,
        "p99_us": taken[min(len(taken) - 1, len(taken) * 99 // 100)] * 1e6,
        "count": len(taken),
    }


def main() -> int:
    """Run one load; the exit status is 1 where it stalled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("load", choices=("serve", "bulk", "ping", "connect", "connect-at-once", "hold"))
    parser.add_argument("--kind", choices=("bulk", "echo"), default="echo")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--up", action="store_true")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--octets", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=TIMEOUT_S)
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    result: dict[str, float]
    try:
        match given.load:
            case "serve":
                serve(given.kind)
                return 0
            case "hold":
                hold(given.port, given.connections)
                return 0
            case "bulk":
                result = bulk(
                    given.port,
                    up=given.up,
                    connections=given.connections,
                    octets=given.octets,
                    seconds=given.seconds,
                )
            case "ping":
                result = ping(given.port, rounds=given.rounds, seconds=given.seconds)
            case "connect":
                result = connect_in_turn(given.port, rounds=given.rounds, seconds=given.seconds)
            case _:
                result = connect_at_once(
                    given.port, rounds=given.rounds, width=given.connections, seconds=given.seconds
                )
    except (Stalled, OSError) as error:
        print(json.dumps({"error": str(error) or type(error).__name__}), flush=True)
        return 1
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
