"""Services that targets are, and clients: raw TCP, with every byte accounted for."""

import contextlib
import hashlib
import os
import socket
import struct
import threading

from tests.system.meshes import connect
from tests.system.processes import LOOPBACK, wait_until

CHUNK_BYTES = 256 * 1024
TIMEOUT_S = 60.0


class Service:
    """Serves each connection on a thread with ``serve(socket)``; whatever it raises fails ``close``.

    ``serve=None`` only accepts, and keeps what it accepted in ``clients``.
    """

    def __init__(self, serve=None, *, port=0, host=LOOPBACK, path=None, backlog=1024):
        if path is not None:
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listening.bind(str(path))
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listening = socket.socket(family, socket.SOCK_STREAM)
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listening.bind((host, port))
            self.port = self._listening.getsockname()[1]
        self._listening.listen(backlog)
        self._serve = serve
        self.clients = []
        self.failures = []
        self._threads = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            client.settimeout(TIMEOUT_S)
            if self._serve is None:
                self.clients.append(client)
                continue
            thread = threading.Thread(target=self._run, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, client):
        with client:
            try:
                self._serve(client)
            except Exception as error:  # noqa: BLE001 - the test hears of it in close
                self.failures.append(error)

    def wait_for_clients(self, count=1):
        wait_until(lambda: len(self.clients) >= count, f"{count} connections reach the target")
        return self.clients

    def stop_listening(self):
        """Refuse from now on."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(TIMEOUT_S)
        self._listening.close()

    def close(self):
        self.stop_listening()
        for client in self.clients:
            client.close()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        assert not self.failures, self.failures

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if exception[0] is None:
            self.close()
        else:
            with contextlib.suppress(AssertionError):
                self.close()


def echo(client):
    """Send back what comes, then the end of stream."""
    while data := client.recv(CHUNK_BYTES):
        client.sendall(data)
    client.shutdown(socket.SHUT_WR)


def announce(name):
    """A service that says its name, and ends; an exit that was not chosen may reset it."""

    def serve(client):
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(name)
            client.shutdown(socket.SHUT_WR)
            read_all(client)

    return serve


def read_all(sock):
    """Everything up to the end of stream."""
    pieces = []
    while data := sock.recv(CHUNK_BYTES):
        pieces.append(data)
    return b"".join(pieces)


def read_exactly(sock, count):
    pieces = []
    while count:
        data = sock.recv(min(count, CHUNK_BYTES))
        if not data:
            raise EOFError(f"{count} bytes are missing")
        pieces.append(data)
        count -= len(data)
    return b"".join(pieces)


def send_random(sock, byte_count):
    """Send so many random bytes; their SHA-256."""
    digest = hashlib.sha256()
    while byte_count:
        piece = os.urandom(min(byte_count, CHUNK_BYTES))
        digest.update(piece)
        sock.sendall(piece)
        byte_count -= len(piece)
    return digest.hexdigest()


def digest_until_end(sock):
    """Count and SHA-256 of everything up to the end of stream."""
    digest, count = hashlib.sha256(), 0
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while received := sock.recv_into(buffer):
        digest.update(buffer[:received])
        count += received
    return count, digest.hexdigest()


def reset(sock):
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_reset(sock, timeout_s):
    """Whether a reset arrives in time, and nothing before it; raises TimeoutError where nothing arrives."""
    sock.settimeout(timeout_s)
    try:
        data = sock.recv(1)
    except ConnectionResetError:
        return True
    raise AssertionError(f"expected a reset, found {data!r}")


def echo_until_reset(client):
    """As ``echo``, for clients that may reset."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        echo(client)


def resets_clients(port, timeout_s=5):
    """Whether a client is accepted and then reset; the reset may be quicker than ``connect`` returns."""
    try:
        with connect(port) as client:
            return is_reset(client, timeout_s)
    except ConnectionResetError:
        return True


class Task:
    """A function on a thread of its own; ``result`` waits for it and hands on what it raised."""

    def __init__(self, function, *arguments):
        self._function, self._arguments = function, arguments
        self._result = self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._result = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - handed on
            self._failure = error

    @property
    def is_done(self):
        return not self._thread.is_alive()

    def result(self, timeout_s=TIMEOUT_S):
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._function.__name__} is not done within {timeout_s:g} s")
        if self._failure is not None:
            raise self._failure
        return self._result
