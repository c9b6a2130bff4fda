"""What the main thread waits for: signals, and what other threads have to say."""

import contextlib
import math
import os
import queue
import select
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Final, TypeAlias


class Job:
    """Something to be done by the main thread; whoever wants it waits for ``done``."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.done: Future[object] = Future()

    def run(self) -> None:
        """Do it, unless nobody waits any more."""
        if not self.done.set_running_or_notify_cancel():
            return
        try:
            self.done.set_result(self._work())
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
            self.done.set_exception(error)


Event: TypeAlias = signal.Signals | BaseException | Job | None
"""A signal, a fatal error, a job, or ``None`` when the agent has left."""

_READ_BYTES: Final = 4096


class Events:
    """Events in their order; signals arrive while :meth:`signals` is open.

    A pipe wakes the main thread; it is open until the process ends. A lock, as a queue has, would not do: a
    signal that comes just before the thread sleeps, or that the kernel hands to another thread, does not wake
    it.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._wake_up, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def put(self, event: Event) -> None:
        """Add an event; any thread may call it."""
        self._queue.put(event)
        with contextlib.suppress(BlockingIOError):  # full: it will wake up
            os.write(self._write, b"\0")

    def abandon_jobs(self) -> None:
        """Whoever waits for a job need not wait any longer: the main thread does none any more."""
        with contextlib.suppress(queue.Empty):
            while True:
                event = self._queue.get_nowait()
                if isinstance(event, Job):
                    event.done.cancel()

    def get(self, timeout_s: float | None = None) -> Event:
        """The next event, as soon as there is one; for the main thread.

        Raises:
            TimeoutError: there was none for ``timeout_s`` seconds.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(queue.Empty):
                return self._queue.get_nowait()
            if deadline is not None and not self._woken_within(deadline - time.monotonic()):
                raise TimeoutError
            os.read(self._wake_up, _READ_BYTES)

    def _woken_within(self, left_s: float) -> bool:
        waiting = select.poll()
        waiting.register(self._wake_up, select.POLLIN)
        return bool(waiting.poll(math.ceil(max(0.0, left_s) * 1000)))

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Take signals while the block runs; SIGHUP not where it is ignored (``nohup``)."""

        def handle(number: int, frame: FrameType | None) -> None:
            del frame
            self._queue.put(signal.Signals(number))

        numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        wake_up_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        before = {number: signal.signal(number, handle) for number in numbers}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # what has come since the start comes now
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wake_up_before)
