"""The servers of the load: one epoll loop each, so that what is measured is the way to them.

Bulk protocol: the client sends one byte ``U`` or ``D`` and a 64-bit count. ``U``: it then sends so many
bytes, and the server answers with the 64-bit count of what came. ``D``: the server sends so many bytes and
closes. Echo protocol: whatever comes goes back.
"""

import json
import os
import select
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Final

CHUNK_BYTES: Final = 256 * 1024
"""For one system call: fits the second-level cache, so the copy is as cheap as it gets."""

HEADER: Final = struct.Struct(">cQ")
COUNT: Final = struct.Struct(">Q")
BACKLOG: Final = 4096

_IN: Final = select.EPOLLIN
_OUT: Final = select.EPOLLOUT


def serve(kind: str, addresses: Sequence[str]) -> None:
    """Serve ``bulk`` or ``echo`` on one port that the kernel chooses, until standard input ends.

    The port is the same on every address.
    """
    epoll = select.epoll()
    listening: dict[int, socket.socket] = {}
    port = 0
    for address in addresses:
        one = socket.create_server((address, port), backlog=BACKLOG)
        one.setblocking(False)
        port = one.getsockname()[1]
        listening[one.fileno()] = one
        epoll.register(one.fileno(), _IN)
    epoll.register(sys.stdin.fileno(), _IN)
    print(json.dumps({"port": port}), flush=True)
    served: dict[int, _BulkServer | _EchoServer] = {}
    make = _BulkServer if kind == "bulk" else _EchoServer
    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == sys.stdin.fileno():
                return
            if descriptor in listening:
                _accept(listening[descriptor], epoll, served, make)
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

    _buffer = memoryview(bytearray(CHUNK_BYTES))

    def __init__(self, client: socket.socket) -> None:
        self.socket = client

    def turn(self, _epoll: select.epoll) -> bool:
        count = self.socket.recv_into(self._buffer)
        if count:
            self.socket.send(self._buffer[:count])
        return count == 0


class _BulkServer:
    """One bulk transfer."""

    _buffer = memoryview(bytearray(CHUNK_BYTES))
    _data = memoryview(os.urandom(CHUNK_BYTES))

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
            data = self.socket.recv(HEADER.size - len(self._header))
            self._header += data
            if len(self._header) == HEADER.size:
                direction, self._left = HEADER.unpack(self._header)
                self._total = self._left
                self._sending = direction == b"D"
                if self._sending:
                    epoll.modify(self.socket.fileno(), _OUT)
            return not data
        count = self.socket.recv_into(self._buffer)
        self._left -= count
        if self._left == 0 and count:
            self.socket.send(COUNT.pack(self._total))
        return count == 0

    def _send(self) -> bool:
        if self._left == 0:
            return True
        self._left -= self.socket.send(self._data[: min(self._left, CHUNK_BYTES)])
        return self._left == 0
