"""One question at a time to somebody who may not answer, however many people want to know."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final, Generic, TypeVar

from mesh.dashboard.status import StatusUnavailable

T = TypeVar("T")

DEADLINE_S: Final = 0.7
"""How long anybody waits for an answer: with queueing and sending, a client hears within a second."""

HOLD_OFF_S: Final = 0.5
"""After a failure the next question waits this long, so that a queue of requests drains at once."""

_log = logging.getLogger("mesh.http")


class SingleFlight(Generic[T]):
    """Shares one call of ``fetch`` among all who ask while it runs.

    ``fetch`` runs on one thread of its own, so a call that never returns costs that thread and nothing else:
    who joins it waits until *its* deadline, and who comes later hears at once that there is no answer.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[], T],
        *,
        deadline_s: float = DEADLINE_S,
        hold_off_s: float = HOLD_OFF_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._deadline_s = deadline_s
        self._hold_off_s = hold_off_s
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: queue.SimpleQueue[Future[T] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._current: Future[T] | None = None
        self._deadline = 0.0
        self._failure: StatusUnavailable | None = None
        self._quiet_until = 0.0
        self._closed = False

    def get(self) -> T:
        """The answer of a call that runs now or begins now; never waits longer than the deadline.

        Raises:
            StatusUnavailable: the call failed, or takes too long.
        """
        call, remaining_s = self._join()
        try:
            return call.result(timeout=max(0.0, remaining_s))
        except FutureTimeoutError:
            raise StatusUnavailable(f"no answer within {self._deadline_s:g} s") from None

    def close(self) -> None:
        """Refuse further questions and let the thread end; one that hangs is left behind (it is a daemon)."""
        with self._lock:
            self._closed = True
        self._calls.put(None)

    def _join(self) -> tuple["Future[T]", float]:
        with self._lock:
            now = self._clock()
            if self._closed:
                raise StatusUnavailable("the agent is shutting down")
            if self._failure is not None and now < self._quiet_until:
                raise StatusUnavailable(str(self._failure))
            if self._current is None:
                self._current = Future()
                self._deadline = now + self._deadline_s
                self._calls.put(self._current)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    self._thread.start()
            return self._current, self._deadline - now

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            answer: T | None = None
            failure: StatusUnavailable | None = None
            try:
                answer = self._fetch()
            except StatusUnavailable as error:
                failure = error
            except Exception:  # noqa: BLE001 - whatever it was, the waiters must hear
                _log.exception("%s failed", self._name)
                failure = StatusUnavailable("internal error; the log has the details")
            with self._lock:  # before the waiters wake: the next question then begins a call of its own
                self._current = None
                self._failure = failure
                self._quiet_until = self._clock() + self._hold_off_s
            if failure is None:
                call.set_result(answer)  # type: ignore[arg-type]  # fetch returned, so it is a T
            else:
                call.set_exception(failure)
