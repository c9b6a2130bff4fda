"""Calls that are held until somebody takes them: actors serve before all is loaded that answers for them."""

import threading
from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class HeldCalls(Generic[P]):
    """Callable from any thread, and returns at once. What came before :meth:`hand_to` is handed over then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[Callable[[], object]] = []
        self._take: Callable[P, object] = self._hold

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Have it taken."""
        with self._lock:
            self._take(*args, **kwargs)

    def _hold(self, *args: P.args, **kwargs: P.kwargs) -> None:
        self._held.append(lambda: self._take(*args, **kwargs))

    def hand_to(self, take: Callable[P, object]) -> None:
        """Have ``take`` called from now on, which does not block nor fail, one call at a time."""
        with self._lock:
            self._take = take
            for call in self._held:
                call()
            self._held.clear()
