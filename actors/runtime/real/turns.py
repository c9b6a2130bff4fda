"""Which actor has its turn next on an event loop: those with mail, in passes, in the order of their mail."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from actors.runtime.mailbox import Mailbox

BATCH_MESSAGES: Final = 64
"""Messages an actor handles in one turn."""

PASS_MESSAGES: Final = 256
"""Messages that come up during a pass and are still handled in it, about a millisecond's worth, before
sockets and timers are looked at. What waited when the pass began is handled in any case: so what arrives
faster than it is handled waits in the kernel, which slows its sender down, and not in mailboxes, which have
no bound."""

ALONE_S: Final = 25e-6
"""A socket that reports readiness so long after the last pass ended was the only one: the loop has looked at
all of them in between. What it made ready then runs at once, not in the loop's next round, which costs 10 us
more (a round trip through three agents 145 us without the agents' own work, against 110 us). Sockets that
report one after the other share a pass, so that links send what all of them said in one write."""

_now: Final = time.monotonic
"""Compiled code looks up an imported name in its module each time."""


class Turns:
    """The mailboxes that wait for a turn on ``loop``."""

    __slots__ = ("_awake", "_loop", "_pass_ended_at", "_ready", "_thread_id")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread_id: int | None = None
        self._ready: deque[Mailbox] = deque()
        self._awake = False
        """Whether a pass is to come, or under way."""
        self._pass_ended_at = 0.0

    def begin(self) -> None:
        """This thread runs the loop from now on."""
        self._thread_id = threading.get_ident()

    def end(self) -> None:
        """Wake the loop no more; what is still queued waits for :meth:`clear`."""
        self._awake = True

    def clear(self) -> None:
        """Give nobody a turn any more."""
        self._ready.clear()

    def enqueue(self, mailbox: Mailbox) -> None:
        """Give ``mailbox`` a turn soon. Any thread may call it.

        No lock is needed: a sender appends and then reads ``_awake``; the pass, or a socket's report, clears
        ``_awake`` and then looks at the queue. One wake-up serves all that became ready since.
        """
        self._ready.append(mailbox)
        if not self._awake:
            self._awake = True
            if threading.get_ident() == self._thread_id:
                self._loop.call_soon(self._run)
            else:
                with contextlib.suppress(RuntimeError):  # the loop has closed, and every mailbox with it
                    self._loop.call_soon_threadsafe(self._run)

    def socket_ready(self, callback: Callable[..., None], arguments: tuple[object, ...]) -> None:
        """Let a socket report its readiness; see that what it makes ready has its turn."""
        if self._awake:  # a pass is to come
            callback(*arguments)
            return
        self._awake = True
        try:
            callback(*arguments)
        finally:
            self._awake = False
            if self._ready:
                self._awake = True
                if _now() - self._pass_ended_at >= ALONE_S:
                    self._run()
                else:
                    self._loop.call_soon(self._run)

    def _run(self) -> None:
        ready = self._ready
        left = PASS_MESSAGES
        try:
            for _ in range(len(ready)):
                mailbox = ready.popleft()
                left -= mailbox.run(BATCH_MESSAGES, len(mailbox.queue)) or 1
            while ready and left > 0:
                left -= ready.popleft().run(BATCH_MESSAGES) or 1
        finally:
            self._pass_ended_at = _now()
            self._awake = False
            if ready:
                self._awake = True
                self._loop.call_soon(self._run)
