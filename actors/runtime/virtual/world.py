"""A simulated world: hosts, the network between them, and a clock that jumps from event to event.

The same actors that run on real sockets run here, hundreds of agents in one thread, and one seed always gives
the same history: a failing seed is a reproducible bug.
"""

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import pykka

from actors.runtime.seam import READ_BUFFER_BYTES
from actors.runtime.virtual.clock import Trace, VirtualClock, VirtualEvent
from actors.runtime.virtual.dispatcher import VirtualDispatcher
from actors.runtime.virtual.network import VirtualNetwork

UNIX_START_S: Final = 1_767_225_600.0
"""The wall clock at the world's start: 2026-01-01T00:00:00Z, so that a run does not depend on its day."""

MAX_TURNS_AN_INSTANT: Final = 1_000_000
"""Actors that keep each other busy without letting time pass would hang a simulation: so many are a bug."""


class VirtualWorld:
    """Runs everything, on the thread that calls it.

    Args:
        seed: Everything random is drawn from it.
        unix_start_s: What wall clocks show at the start.

    Used as a context manager, it ends all actors at the end.
    """

    def __init__(self, seed: int, *, unix_start_s: float = UNIX_START_S) -> None:
        self.seed: Final = seed
        self.unix_start_s = unix_start_s
        self.clock = VirtualClock()
        self.trace = Trace(self.clock, seed)
        self.network = VirtualNetwork(self.clock, self.trace)
        self.read_buffer = memoryview(bytearray(READ_BUFFER_BYTES))
        self.host_at_work = ""
        """Whose turn it is, or was last."""
        self._dispatchers: dict[str, VirtualDispatcher] = {}
        self._starts: dict[str, int] = {}
        self._ready: deque[VirtualDispatcher] = deque()
        self._fatal: BaseException | None = None
        self._running = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def now(self) -> float:
        """Seconds since the world's start."""
        return self.clock.now

    def dispatcher(self, host: str, clock_skew_s: float = 0.0) -> VirtualDispatcher:
        """The process on ``host``, started where none runs: at first, and again after :meth:`crash`.

        Args:
            host: Its name; others resolve it, and connect to it by name or by its address.
            clock_skew_s: How far the host's wall clock is ahead, in a process that this call starts.

        Raises:
            ValueError: ``host`` is an address, or means the local host.
        """
        dispatcher = self._dispatchers.get(host)
        if dispatcher is None or not dispatcher.is_alive:
            start = self._starts[host] = self._starts.get(host, 0) + 1
            self.trace.note("started", host, start)
            dispatcher = self._dispatchers[host] = VirtualDispatcher(
                self, self.network.host(host), seed=f"{self.seed} {host} {start}", clock_skew_s=clock_skew_s
            )
        return dispatcher

    def at(self, time_s: float, action: Callable[[], None]) -> VirtualEvent:
        """Do ``action``, a step of a scenario, at a time since the world's start."""
        return self.clock.at(time_s, action)

    def run_until(self, time_s: float) -> None:
        """Let everything happen up to and including the instant ``time_s``."""
        self._run(time_s, lambda: False)
        self.clock.now = max(self.clock.now, time_s)

    def run(self, duration_s: float) -> None:
        """Let everything happen in the next ``duration_s`` seconds."""
        self.run_until(self.clock.now + duration_s)

    def run_until_idle(self, limit_s: float) -> None:
        """Let everything happen until nothing is left to happen.

        Raises:
            TimeoutError: something still is after ``limit_s`` seconds.
        """
        self.run_while(lambda: self.clock.next_time() is not None, limit_s)

    def run_while(self, predicate: Callable[[], bool], limit_s: float) -> None:
        """Let time pass while ``predicate`` holds; it is asked before each step of the clock.

        Raises:
            TimeoutError: it still holds after ``limit_s`` seconds.
        """
        deadline = self.clock.now + limit_s
        self._run(deadline, lambda: not predicate())
        if predicate():
            self.clock.now = deadline
            raise TimeoutError(
                f"no end within {limit_s} virtual seconds, at {deadline} s with seed {self.seed}"
            )

    def ask(self, ref: "pykka.ActorRef[Any]", message: object, limit_s: float = 10.0) -> Any:
        """Ask an actor from outside and let time pass until it answers.

        Raises:
            TimeoutError: it has not after ``limit_s`` seconds.
            Exception: whatever its handler raised.
        """
        future = ref.ask(message, block=False)
        self.run_while(lambda: not is_answered(future), limit_s)
        return future.get(timeout=0)

    def pause(self, host: str) -> None:
        """Stop the process on ``host`` for a while (SIGSTOP); its kernel still takes bytes and clients.

        Raises:
            LookupError: no process runs there.
        """
        self._process(host).pause()

    def resume(self, host: str) -> None:
        """Let the process on ``host`` go on.

        Raises:
            LookupError: no process runs there.
        """
        self._process(host).resume()

    def crash(self, host: str) -> None:
        """Kill the process on ``host``: its connections are reset, its ports refuse, its actors are gone.

        :meth:`dispatcher` starts another process there.

        Raises:
            LookupError: no process runs there.
        """
        self._process(host).crash()

    def open_sockets(self, host: str) -> int:
        """Sockets that the process on ``host`` holds open."""
        return self.network.host(host).open_sockets

    def trace_digest(self) -> str:
        """A hash over all that has happened: the same for equal seeds and scenarios, in every process."""
        return self.trace.digest()

    def stop(self) -> None:
        """End all processes, actors first; the world can be looked at, but not run on."""
        for dispatcher in list(self._dispatchers.values()):
            dispatcher.stop()

    def announce(self, dispatcher: VirtualDispatcher) -> None:
        """Take note that ``dispatcher`` has turns to run."""
        self._ready.append(dispatcher)

    def report_fatal(self, error: BaseException) -> None:
        """Raise ``error`` from the run that is going on, or from the next."""
        if self._fatal is None:
            self._fatal = error

    def _process(self, host: str) -> VirtualDispatcher:
        dispatcher = self._dispatchers.get(host)
        if dispatcher is None or not dispatcher.is_alive:
            raise LookupError(f"no process runs on {host}")
        return dispatcher

    def _run(self, until_s: float, is_over: Callable[[], bool]) -> None:
        if self._running:
            raise RuntimeError("the world is running already: an actor or an event cannot run it")
        self._running = True
        try:
            self._run_ready()
            while not is_over():
                if not self.clock.step(until_s):
                    return
                if self._ready or self._fatal is not None:
                    self._run_ready()
        finally:
            self._running = False

    def _run_ready(self) -> None:
        turns = 0
        instant = self.clock.now
        ready = self._ready
        while ready or self._fatal is not None:
            if self._fatal is not None:
                fatal, self._fatal = self._fatal, None
                raise fatal
            dispatcher = ready.popleft()
            self.host_at_work = dispatcher.host_name
            if dispatcher.run_next():
                ready.append(dispatcher)
            turns += 1
            if turns > MAX_TURNS_AN_INSTANT:
                raise RuntimeError(f"{turns} turns at {instant} s, the last on {dispatcher.host_name}")


def is_answered(future: "pykka.Future[Any]") -> bool:
    """Whether there is an answer, or the failure of whoever should have given one."""
    try:
        future.get(timeout=0)
    except pykka.Timeout:
        return False
    except Exception:  # noqa: BLE001 - an answer all the same; whoever asks gets to see it
        return True
    return True
