"""Host names to addresses, on a limited number of threads, each started when a look-up first needs it.

A look-up that nobody answers holds its thread for as long as the system tries, and nothing can interrupt it.
So names are told apart by how long their last look-up took. Slow ones share a third of the threads; a third
is kept for those that were quick, whatever happens; names never asked for have all but that.
"""

import socket
import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from mesh.addresses import TcpAddress, is_ipv4

RESOLVER_THREADS: Final = 12
"""Look-ups under way at a time."""

SLOW_S: Final = 1.0
"""A look-up that takes so long is slow: the system has begun to repeat itself, or is about to."""

MAX_REMEMBERED: Final = 1024
"""Names whose last look-up is remembered, the latest."""

MAX_WAITING_LOOKUPS: Final = 1024
"""Beyond this a look-up fails at once: names that never resolve must not pile up."""

Addresses: TypeAlias = tuple[TcpAddress, ...]
Answer: TypeAlias = Callable[[Addresses, str], None]


def literal_address(host: str, port: int) -> TcpAddress | None:
    """The address when ``host`` is an IP literal (it may have a zone: ``fe80::1%2``), else ``None``."""
    if not host or not (host[-1].isdigit() or ":" in host):
        return None  # no literal ends otherwise; getaddrinfo need not look
    if is_ipv4(host):
        return TcpAddress(host, port)
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


class Question:
    """Somebody's wish for the addresses of a host, which others may share."""

    __slots__ = ("_resolver", "answer", "host", "port")

    def __init__(self, resolver: "Resolver", host: str, port: int, answer: Answer) -> None:
        self._resolver = resolver
        self.host = host
        self.port = port
        self.answer = answer

    def cancel(self) -> None:
        """Want no answer any more; nothing happens if it is on its way. Any thread may call it."""
        self._resolver.drop(self)


class Resolver:
    """Look-ups in the order of asking, each question answered once, on one of the resolver's own threads.

    A name that must wait for others of its kind (see above) lets those behind it pass.

    A question for a host for which another one waits or is under way shares that look-up. So a name
    that is never answered holds one thread, however many ask for it.

    Args:
        threads: look-ups under way at a time, at most.
        max_waiting: names that wait, at most.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        threads: int = RESOLVER_THREADS,
        max_waiting: int = MAX_WAITING_LOOKUPS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_threads = threads
        self._max_waiting = max_waiting
        self._clock = clock
        self._max_slow = max(1, threads // 3)
        self._max_unproven = threads - threads // 3
        self._changed = threading.Condition()  # guards what follows
        self._waiting: dict[str, dict[Question, None]] = {}
        """By host, in the order of asking; and so are those under way."""
        self._under_way: dict[str, dict[Question, None]] = {}
        self._took_s: dict[str, float] = {}
        """By host: how long its last look-up took."""
        self._stopped = False
        self._threads: list[threading.Thread] = []
        self._idle = 0
        """Threads that wait for a name."""

    def stop(self) -> None:
        """Let each thread end after the look-up it has under way; what waits is dropped. Does not wait."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()

    def lookup(self, host: str, port: int, answer: Answer) -> Question:
        """Find the addresses of ``host``; ``answer`` gets them in the system's order.

        It gets none and the reason where the look-up fails. With too many waiting it is called before this
        returns.
        """
        question = Question(self, host, port, answer)
        with self._changed:
            questions = self._under_way.get(host, self._waiting.get(host))
            if questions is not None:
                questions[question] = None
                return question
            why_not = self._begin_to_wait(question)
        if why_not:
            answer((), why_not)
        return question

    def _begin_to_wait(self, question: Question) -> str:
        """Have a host looked up that nobody asks for yet; why that is impossible, or nothing."""
        if len(self._waiting) >= self._max_waiting:
            return f"{self._max_waiting} look-ups are waiting already"
        self._waiting[question.host] = {question: None}
        self._changed.notify()
        if len(self._waiting) > self._idle and len(self._threads) < self._max_threads and not self._stopped:
            # A daemon: nothing interrupts getaddrinfo, and a silent name server must not delay an exit.
            name = f"resolver-{len(self._threads)}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has none left for this user
                if not self._threads:
                    del self._waiting[question.host]
                    return "the system allows no more threads"
            else:
                self._threads.append(thread)
        return ""

    def drop(self, question: Question) -> None:
        """Forget a question, and a look-up that waits for nobody else."""
        with self._changed:
            host = question.host
            self._under_way.get(host, self._waiting.get(host, {})).pop(question, None)
            if not self._waiting.get(host, True):
                del self._waiting[host]

    def _run(self) -> None:
        while True:
            with self._changed:
                while (host := self._next_host()) is None and not self._stopped:
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                if host is None or self._stopped:
                    return
                self._under_way[host] = self._waiting.pop(host)
                began = self._clock()
            addresses: Addresses = ()
            reason = ""
            try:
                addresses = _lookup(host, 0, 0)
            except Exception as error:  # noqa: BLE001 -- whatever it is: who asked waits for an answer
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                reason = f"cannot resolve {host!r}: {why}"
            with self._changed:
                questions = self._under_way.pop(host)
                self._took_s.pop(host, None)
                self._took_s[host] = self._clock() - began
                if len(self._took_s) > MAX_REMEMBERED:
                    del self._took_s[next(iter(self._took_s))]
            for question in questions:
                port = question.port
                question.answer(tuple(TcpAddress(address.host, port) for address in addresses), reason)

    def _next_host(self) -> str | None:
        """Of the names that wait the first that may have a thread now."""
        if not self._waiting:
            return None
        slow = sum(self._is_slow(host) for host in self._under_way)
        unproven = slow + sum(host not in self._took_s for host in self._under_way)
        for host in self._waiting:
            if host in self._took_s and not self._is_slow(host):
                return host
            if unproven < self._max_unproven and not (self._is_slow(host) and slow >= self._max_slow):
                return host
        return None

    def _is_slow(self, host: str) -> bool:
        return self._took_s.get(host, 0.0) >= SLOW_S


def _lookup(host: str, port: int, flags: int) -> Addresses:
    if not host.isascii():  # Python would look up IDNA 2003's form of it, which may be another's name
        raise ValueError("expected a host name in ASCII (xn--...)")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return tuple(dict.fromkeys(TcpAddress(_host(sockaddr), port) for *_, sockaddr in found))


def _host(sockaddr: tuple[object, ...]) -> str:
    """The literal, with the zone that Python keeps apart: RFC 4007, section 11."""
    zone = sockaddr[3] if len(sockaddr) > 3 else 0
    return f"{sockaddr[0]}%{zone}" if zone else str(sockaddr[0])
