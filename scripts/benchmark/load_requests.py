"""A client of an agent's HTTP side that asks at a steady pace, in turns that its parent begins and ends."""

import contextlib
import json
import select
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

REQUEST_TIMEOUT_S: Final = 10.0

_CHUNK_BYTES: Final = 64 * 1024
_END_OF_HEADERS: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class Asking:
    """Requests one after another, on one connection or each on its own.

    Args:
        port: where the agent is asked.
        paths: what is asked for, in turn.
        keeps_alive: whether all share a connection.
    """

    def __init__(self, port: int, paths: Sequence[str], *, keeps_alive: bool) -> None:
        self._port = port
        self._keeps_alive = keeps_alive
        manner = "keep-alive" if keeps_alive else "close"
        self._requests = [
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: {manner}\r\n\r\n".encode()
            for path in paths
        ]
        self._client: socket.socket | None = None
        self._asked = 0

    def ask(self) -> bool:
        """The next request; whether it was answered with 200.

        Raises:
            OSError: it was not answered.
        """
        client, self._client = self._client, None
        if client is None:
            client = socket.create_connection(("127.0.0.1", self._port), REQUEST_TIMEOUT_S)
        try:
            client.sendall(self._requests[self._asked % len(self._requests)])
            self._asked += 1
            is_good, is_open = _answer(client)
        except BaseException:
            client.close()
            raise
        if self._keeps_alive and is_open:
            self._client = client
        else:
            client.close()
        return is_good

    def close(self) -> None:
        """Let go of the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _answer(client: socket.socket) -> tuple[bool, bool]:
    """Read an answer; whether it is 200, and whether the connection goes on."""
    data = b""
    while _END_OF_HEADERS not in data:
        more = client.recv(_CHUNK_BYTES)
        if not more:
            raise ConnectionError("the connection ended before the answer")
        data += more
    headers, _, body = data.partition(_END_OF_HEADERS)
    lines = headers.lower().split(b"\r\n")
    left = next(int(line[len(_LENGTH) :]) for line in lines if line.startswith(_LENGTH)) - len(body)
    while left > 0:
        more = client.recv(_CHUNK_BYTES)
        if not more:
            raise ConnectionError("the connection ended within the answer")
        left -= len(more)
    return lines[0].split()[1] == b"200", b"connection: close" not in lines


def ask_in_turns(port: int, paths: Sequence[str], *, rate: float, keeps_alive: bool) -> None:
    """Ask ``rate`` times a second in every second turn, until standard input ends.

    A byte that comes there begins a turn, or ends it; at the end what came of it is told in a line.
    """
    with contextlib.closing(Asking(port, paths, keeps_alive=keeps_alive)) as asking:
        _take_turns(asking, 1.0 / rate)


def _take_turns(asking: Asking, pause_s: float) -> None:
    while sys.stdin.buffer.raw.read(1):  # type: ignore[attr-defined]
        answered = failed = 0
        began = due = time.perf_counter()
        worked_s = time.process_time()
        while not select.select([sys.stdin.fileno()], [], [], max(0.0, due - time.perf_counter()))[0]:
            try:
                is_good = asking.ask()
            except OSError:
                is_good = False
            answered += is_good
            failed += not is_good
            due += pause_s
        if not sys.stdin.buffer.raw.read(1):  # type: ignore[attr-defined]
            return
        said = {
            "answered": answered,
            "failed": failed,
            "seconds": time.perf_counter() - began,
            "cpu_s": time.process_time() - worked_s,
        }
        print(json.dumps(said), flush=True)
