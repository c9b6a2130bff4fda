"""Which actor has its turn next: those with mail, in passes, in the order of their mail."""

from collections import deque
from typing import Final

from actors.runtime.mailbox import Mailbox
from actors.runtime.real.waker import Waker

BATCH_MESSAGES: Final = 64
"""Messages an actor handles in one turn."""

PASS_MESSAGES: Final = 256
"""Messages that come up during a pass and are still handled in it, about a millisecond's worth, before
sockets and timers are looked at. What waited when the pass began is handled in any case: so what arrives
faster than it is handled waits in the kernel, which slows its sender down, and not in mailboxes, which have
no bound."""


class Turns:
    """The mailboxes that wait for a turn, on the thread that ``waker`` wakes."""

    __slots__ = ("_waker", "ready")

    def __init__(self, waker: Waker) -> None:
        self._waker = waker
        self.ready: deque[Mailbox] = deque()

    def enqueue(self, mailbox: Mailbox) -> None:
        """Give ``mailbox`` a turn soon. Any thread may call it."""
        self.ready.append(mailbox)
        if self._waker.asleep:
            self._waker.wake()

    def run(self) -> None:
        """Run a pass."""
        ready = self.ready
        left = PASS_MESSAGES
        for _ in range(len(ready)):
            mailbox = ready.popleft()
            left -= mailbox.run(BATCH_MESSAGES, len(mailbox.queue)) or 1
        while ready and left > 0:
            left -= ready.popleft().run(BATCH_MESSAGES) or 1

    def clear(self) -> None:
        """Give nobody a turn any more."""
        self.ready.clear()
