"""Host names to addresses, on a fixed number of threads."""

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from mesh.addresses import TcpAddress

RESOLVER_THREADS: Final = 4
"""Look-ups under way at a time. More would only queue at the name server."""

MAX_WAITING_LOOKUPS: Final = 1024
"""Beyond this a look-up fails at once: names that never resolve must not pile up."""

Addresses: TypeAlias = tuple[TcpAddress, ...]
Answer: TypeAlias = Callable[[Addresses, str], None]


def literal_address(host: str, port: int) -> TcpAddress | None:
    """The address when ``host`` is an IP literal (it may have a zone: ``fe80::1%2``), else ``None``."""
    if not host or not (host[-1].isdigit() or ":" in host):
        return None  # no literal ends otherwise; getaddrinfo need not look
    try:
        addresses = _lookup(host, port, socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return None
    return addresses[0]


def local_addresses(host: str, port: int) -> Addresses:
    """The addresses of ``localhost`` and the names below it, which need no look-up; none for any other name.

    Source: RFC 6761 section 6.3.
    """
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return TcpAddress("127.0.0.1", port), TcpAddress("::1", port)
    return ()


class Resolver:
    """Look-ups in the order of asking, each answered exactly once, on one of the resolver's own threads."""

    def __init__(self, threads: int = RESOLVER_THREADS, max_waiting: int = MAX_WAITING_LOOKUPS) -> None:
        self._waiting: queue.Queue[tuple[str, int, Answer] | None] = queue.Queue(max_waiting)
        # Daemons: getaddrinfo cannot be interrupted, and a name server that is silent must not delay an exit.
        self._threads = [
            threading.Thread(target=self._run, name=f"resolver-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads, all of them at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each thread end after the look-up it has under way; what waits is dropped. Does not wait."""
        while True:
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                break
        self._waiting.put(None)  # each thread that takes it puts it back for the next

    def lookup(self, host: str, port: int, answer: Answer) -> None:
        """Find the addresses of ``host``; ``answer`` gets them in the system's order.

        It gets none and the reason where the look-up fails. A full queue is answered before this returns.
        """
        try:
            self._waiting.put_nowait((host, port, answer))
        except queue.Full:
            answer((), f"{self._waiting.maxsize} look-ups are waiting already")

    def _run(self) -> None:
        while True:
            job = self._waiting.get()
            if job is None:
                self._waiting.put(None)
                return
            host, port, answer = job
            try:
                addresses = _lookup(host, port, 0)
            except (OSError, ValueError) as error:  # ValueError: a name that cannot even be asked for
                answer((), f"cannot resolve {host!r}: {getattr(error, 'strerror', None) or error}")
            else:
                answer(addresses, "")


def _lookup(host: str, port: int, flags: int) -> Addresses:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return tuple(dict.fromkeys(TcpAddress(_host(sockaddr), port) for *_, sockaddr in found))


def _host(sockaddr: tuple[Any, ...]) -> str:
    """The literal, with the zone that Python keeps apart: RFC 4007, section 11."""
    zone = sockaddr[3] if len(sockaddr) > 3 else 0
    return f"{sockaddr[0]}%{zone}" if zone else str(sockaddr[0])
