"""Clients: raw TCP, with every byte accounted for."""

import hashlib
import os
import socket
import struct
from typing import Final

from scripts.lab.ports import LOOPBACK
from scripts.lab.waiting import wait_until

CHUNK_BYTES: Final = 256 * 1024


def connect(port: int, host: str = LOOPBACK, timeout_s: float = 20.0) -> socket.socket:
    """A client of a listener; waits while the listener refuses, for routes take milliseconds to arrive."""

    def attempt() -> socket.socket:
        return socket.create_connection((host, port), timeout=timeout_s)

    # Not a reset: that is an answer, and to ask again would count twice.
    return wait_until(attempt, f"{host}:{port} accepts", not_yet=ConnectionRefusedError)


def refuses(port: int, host: str = LOOPBACK) -> bool:
    """Whether a connection is refused."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # accepted, and reset before ``connect`` returned
    return False


def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end of stream."""
    pieces = []
    while data := sock.recv(CHUNK_BYTES):
        pieces.append(data)
    return b"".join(pieces)


def read_exactly(sock: socket.socket, count: int) -> bytes:
    """The next ``count`` bytes.

    Raises:
        EOFError: the stream ended before.
    """
    pieces = []
    while count:
        data = sock.recv(min(count, CHUNK_BYTES))
        if not data:
            raise EOFError(f"{count} bytes are missing")
        pieces.append(data)
        count -= len(data)
    return b"".join(pieces)


def send_random(sock: socket.socket, byte_count: int) -> str:
    """Send so many random bytes; their SHA-256."""
    digest = hashlib.sha256()
    while byte_count:
        piece = os.urandom(min(byte_count, CHUNK_BYTES))
        digest.update(piece)
        sock.sendall(piece)
        byte_count -= len(piece)
    return digest.hexdigest()


def digest_until_end(sock: socket.socket) -> tuple[int, str]:
    """Count and SHA-256 of everything up to the end of stream."""
    digest, count = hashlib.sha256(), 0
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while received := sock.recv_into(buffer):
        digest.update(buffer[:received])
        count += received
    return count, digest.hexdigest()


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_reset(sock: socket.socket, timeout_s: float) -> bool:
    """Whether a reset arrives within ``timeout_s``.

    Raises:
        AssertionError: something else arrives.
        TimeoutError: nothing arrives.
    """
    sock.settimeout(timeout_s)
    try:
        data = sock.recv(1)
    except ConnectionResetError:
        return True
    raise AssertionError(f"expected a reset, found {data!r}")


def resets_clients(port: int, timeout_s: float = 5) -> bool:
    """Whether a client is accepted and then reset; the reset may be quicker than ``connect`` returns."""
    try:
        with connect(port) as client:
            return is_reset(client, timeout_s)
    except ConnectionResetError:
        return True
