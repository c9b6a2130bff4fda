"""Services that targets are, on threads of this process."""

import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self

from scripts.lab.clients import CHUNK_BYTES, read_all
from scripts.lab.ports import LOOPBACK
from scripts.lab.waiting import wait_until

TIMEOUT_S: Final = 60.0

Serve = Callable[[socket.socket], object]


class Service:
    """Serves each connection on a thread with ``serve(socket)``; whatever it raises fails ``close``.

    ``serve=None`` only accepts, and keeps what it accepted in ``clients``.
    """

    def __init__(
        self,
        serve: Serve | None = None,
        *,
        port: int = 0,
        host: str = LOOPBACK,
        path: str | Path | None = None,
        backlog: int = 1024,
    ) -> None:
        if path is not None:
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listening.bind(str(path))
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listening = socket.socket(family, socket.SOCK_STREAM)
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listening.bind((host, port))
            self.port: int = self._listening.getsockname()[1]
        self._listening.listen(backlog)
        self._serve = serve
        self.clients: list[socket.socket] = []
        self.failures: list[Exception] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            client.settimeout(TIMEOUT_S)
            if self._serve is None:
                self.clients.append(client)
                continue
            thread = threading.Thread(target=self._run, args=(self._serve, client), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, serve: Serve, client: socket.socket) -> None:
        with client:
            try:
                serve(client)
            except Exception as error:  # noqa: BLE001 - ``close`` tells of it
                self.failures.append(error)

    def wait_for_clients(self, count: int = 1) -> list[socket.socket]:
        """Wait until so many connections have come; all that have."""
        wait_until(lambda: len(self.clients) >= count, f"{count} connections reach the target")
        return self.clients

    def stop_listening(self) -> None:
        """Refuse from now on."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(TIMEOUT_S)
        self._listening.close()

    def close(self) -> None:
        """Refuse from now on, and wait for what is still served.

        Raises:
            AssertionError: serving a connection has failed.
        """
        self.stop_listening()
        for client in self.clients:
            client.close()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        if self.failures:
            raise AssertionError(self.failures)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self.close()
        else:
            with contextlib.suppress(AssertionError):
                self.close()


def echo(client: socket.socket) -> None:
    """Send back what comes, then the end of stream."""
    while data := client.recv(CHUNK_BYTES):
        client.sendall(data)
    client.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _until_reset() -> Iterator[None]:
    """Ends when the client resets, whatever is being done to its socket then."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN}:
            raise


def echo_until_reset(client: socket.socket) -> None:
    """As ``echo``, for clients that may reset, as an exit that is killed does."""
    with _until_reset():
        echo(client)


def announce(name: bytes) -> Serve:
    """A service that says its name, and ends; an exit that was not chosen may reset it."""

    def serve(client: socket.socket) -> None:
        with _until_reset():
            client.sendall(name)
            client.shutdown(socket.SHUT_WR)
            read_all(client)

    return serve


class Task:
    """A function on a thread of its own; ``result`` waits for it and hands on what it raised."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._function, self._arguments = function, arguments
        self._result: Any = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - handed on
            self._failure = error

    @property
    def is_done(self) -> bool:
        """Whether the function has returned or raised."""
        return not self._thread.is_alive()

    def result(self, timeout_s: float = TIMEOUT_S) -> Any:
        """What the function returns, or raises.

        Raises:
            TimeoutError: it is not done within ``timeout_s``.
        """
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._function.__name__} is not done within {timeout_s:g} s")
        if self._failure is not None:
            raise self._failure
        return self._result
