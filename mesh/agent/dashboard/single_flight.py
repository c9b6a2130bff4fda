"""One question at a time to somebody who may not answer, however many people want to know."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mesh.agent.dashboard.stamps import Stamp
from mesh.agent.dashboard.status import NoAnswer, StatusUnavailable

T = TypeVar("T")

DEADLINE_S: Final = 0.7
"""How long anybody waits for an answer: with queueing and sending, a client hears within a second."""

HOLD_OFF_S: Final = 0.5
"""After a failure the next question waits this long, so that a queue of requests drains at once."""

KEEP_S: Final = 10.0
"""How old an answer may be that stands in for a newer one. An agent is busy for a second while thousands
of connections end at once; one that has said nothing for so long is stuck."""

FRESH_S: Final = 0.25
"""How old an answer may be that counts as one of now: whoever asks without pause causes four a second."""

CROWD: Final = 20
"""Looks at an answer from which on it counts as one of now for ``CROWD_TIMES`` as long: at 30 to 80 requests
a second, of all clients together. What they take is for the most part what it takes to make answers."""

CROWD_TIMES: Final = 4

_log = logging.getLogger("mesh.http")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """An answer and when it was given."""

    value: T
    age_s: float
    """0 for a fresh one, however long its reader took."""
    unix_s: float


class SingleFlight(Generic[T]):
    """Shares one call of ``fetch`` among all who ask while it runs, and for a moment after.

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
        keep_s: float = KEEP_S,
        fresh_s: float = FRESH_S,
        clock: Callable[[], float] = time.monotonic,
        unix_clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._deadline_s = deadline_s
        self._hold_off_s = hold_off_s
        self._keep_s = keep_s
        self._fresh_s = fresh_s
        self._clock = clock
        self._unix_clock = unix_clock
        self._last: tuple[T, float, float] | None = None
        """The latest answer, and when it was given by either clock; ``None`` after a real failure."""
        self._outdated: tuple[T, float, float] | None = None
        """An answer from before something has changed: it is not one of now, but may stand in for one."""
        self._looks = 0
        """At the latest answer."""
        self._lock = threading.Lock()
        self._calls: queue.SimpleQueue[Future[T] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._current: Future[T] | None = None
        """The call that those who ask now join."""
        self._running: Future[T] | None = None
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
            raise NoAnswer(f"no answer within {self._deadline_s:g} s") from None

    def stamp(self) -> Stamp:
        """What an answer of now would be made of; at once."""
        last = self._fresh()
        return Stamp(None if last is None else last[1])

    def fresh(self) -> T:
        """An answer that counts as one of now.

        Raises:
            StatusUnavailable: the call failed, or takes too long.
        """
        last = self._fresh()
        return self.get() if last is None else last[0]

    def latest(self) -> Answer[T]:
        """The answer as :meth:`fresh` has it, or the last one if that comes too late and is not too old.

        Raises:
            StatusUnavailable: the call failed, or takes too long and there is no answer that may stand in.
        """
        late: NoAnswer | None = None
        last = self._fresh()
        if last is not None:
            return Answer(last[0], 0.0, last[2])
        try:
            self.get()
        except NoAnswer as error:
            late = error
        with self._lock:
            last, now = self._last, self._clock()
        if last is None:  # after an answer too: a call that followed may have failed since
            raise late or StatusUnavailable("the agent has just stopped to answer")
        value, at, unix_s = last
        age_s = 0.0 if late is None else max(0.0, now - at)
        if age_s > self._keep_s:
            raise NoAnswer(f"the agent has not answered for {age_s:.0f} s") from late
        return Answer(value, age_s, unix_s)

    def outdate(self) -> None:
        """Something has changed: who asks from now on gets an answer of a call that begins from now on."""
        with self._lock:
            self._outdated = self._last
            if self._current is self._running:
                self._current = None

    def close(self) -> None:
        """Refuse further questions and let the thread end; one that hangs is left behind (it is a daemon)."""
        with self._lock:
            self._closed = True
        self._calls.put(None)

    def _fresh(self) -> tuple[T, float, float] | None:
        """The last answer, if it counts as one of now."""
        self._looks += 1  # not exact where several threads look, and need not be
        last = self._last  # read once: another thread may change it
        if last is None or last is self._outdated or self._closed:
            return None
        fresh_s = self._fresh_s * (CROWD_TIMES if self._looks >= CROWD else 1)
        return last if 0 <= self._clock() - last[1] < fresh_s else None

    def _join(self) -> tuple["Future[T]", float]:
        with self._lock:
            now = self._clock()
            if self._closed:
                raise StatusUnavailable("the agent is shutting down")
            if self._failure is not None and now < self._quiet_until:
                raise type(self._failure)(str(self._failure))
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
            with self._lock:
                self._running = call
            try:
                answer = self._fetch()
            except StatusUnavailable as error:
                failure = error
            except Exception:  # noqa: BLE001 - whatever it was, the waiters must hear
                _log.exception("%s failed", self._name)
                failure = StatusUnavailable("internal error; the log has the details")
            with self._lock:  # before the waiters wake: the next question then begins a call of its own
                is_outdated = self._current is not call
                self._running = None
                if not is_outdated:
                    self._current = None
                self._looks = 0
                self._failure = failure
                if failure is None:
                    self._last = (answer, self._clock(), self._unix_clock())  # type: ignore[assignment]
                    if is_outdated:
                        self._outdated = self._last
                elif not isinstance(failure, NoAnswer):
                    self._last = None
                self._quiet_until = self._clock() + self._hold_off_s
            if failure is None:
                call.set_result(answer)  # type: ignore[arg-type]  # fetch returned, so it is a T
            else:
                call.set_exception(failure)
