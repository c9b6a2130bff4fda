"""Services that trials reach through the mesh: ``python -m scripts.trial_runs.services KIND PORT [NAME]``.

``bulk``: the client sends one byte, ``U`` or ``D``, and a 64-bit count. ``D``: the service sends so many
bytes of :func:`byte_stream` and ends. ``U``: it takes so many and answers with their SHA-256. ``echo``:
whatever comes goes back. ``web``: answers an HTTP request with a page that says NAME, and ends.
"""

import argparse
import contextlib
import hashlib
import random
import socketserver
import struct
from collections.abc import Iterator
from functools import cache
from typing import Final

from scripts import arguments as values

HEADER: Final = struct.Struct(">cQ")
CHUNK_BYTES: Final = 256 * 1024
PAGE_BYTES: Final = 2048
BACKLOG: Final = 1024
_COUNTER: Final = struct.Struct(">Q")


@cache
def _block() -> bytes:
    return random.Random(1).randbytes(CHUNK_BYTES - _COUNTER.size)  # noqa: S311 - bytes to recognise


def byte_stream(byte_count: int) -> Iterator[bytes]:
    """So many bytes in pieces, always the same; pieces differ, so that none can stand for another."""
    for number in range(-(-byte_count // CHUNK_BYTES)):
        piece = _COUNTER.pack(number) + _block()
        yield piece[: byte_count - number * CHUNK_BYTES]


@cache
def digest_of_stream(byte_count: int) -> bytes:
    """SHA-256 of :func:`byte_stream`."""
    digest = hashlib.sha256()
    for piece in byte_stream(byte_count):
        digest.update(piece)
    return digest.digest()


def page(name: str) -> bytes:
    """What ``web`` answers, head and body."""
    body = f"{name}\n".encode().ljust(PAGE_BYTES, b".")
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)


class _Bulk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        way, data = HEADER.unpack(self.rfile.read(HEADER.size))
        if way == b"D":
            for piece in byte_stream(data):
                self.request.sendall(piece)
            return
        digest = hashlib.sha256()
        while data and (piece := self.rfile.read1(min(data, CHUNK_BYTES))):
            digest.update(piece)
            data -= len(piece)
        self.wfile.write(digest.digest())


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(CHUNK_BYTES):
            self.request.sendall(data)


class _Web(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(page(self.server.name))  # type: ignore[attr-defined]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = BACKLOG
    name = ""

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients come and go as the trials please; they judge themselves what they got."""


_KINDS: Final = {"bulk": _Bulk, "echo": _Echo, "web": _Web}


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=_KINDS)
    parser.add_argument("port", type=values.port)
    parser.add_argument("name", nargs="?", default="")
    given = parser.parse_args()
    with (
        _Server(("127.0.0.1", given.port), _KINDS[given.kind]) as server,
        contextlib.suppress(KeyboardInterrupt),
    ):
        server.name = given.name
        server.serve_forever()


if __name__ == "__main__":
    main()
