"""Level-triggered readiness of a simulated socket."""

from collections.abc import Callable
from typing import Final, Protocol

from actors.runtime.seam import SocketOwner
from actors.runtime.virtual.clock import VirtualClock

PASS_S: Final = 10e-6
"""A level-triggered report that is not acted upon comes again after this: what a pass of a real loop takes.

Without it an owner that leaves a socket unread would stop the world's time instead of burning a core.
"""


class TurnHost(Protocol):
    """What a watch needs of the host that its socket is on."""

    clock: VirtualClock

    def post_turn(self, owner: SocketOwner, report: Callable[[int], None], attachment: int) -> None:
        """Run ``report``, which tells ``owner`` of a socket, as a turn of the owner's."""
        ...


class ReadinessWatch:
    """Level-triggered reports of one condition to one owner, each in a turn of its own."""

    __slots__ = ("_attachment", "_condition", "_host", "_posted", "_report", "enabled", "owner")

    def __init__(
        self,
        host: TurnHost,
        condition: Callable[[], bool],
        report: Callable[[SocketOwner], None],
    ) -> None:
        self._host = host
        self._condition = condition
        self._report = report
        self._posted = False
        self._attachment = 0
        self.enabled = False
        self.owner: SocketOwner | None = None

    def attach(self, owner: SocketOwner) -> None:
        """Report to ``owner``, once that is enabled."""
        self.owner = owner
        self.enabled = self._posted = False
        self._attachment += 1

    def enable(self, enabled: bool) -> None:
        """Report from now on, or stop.

        Raises:
            RuntimeError: nobody is attached.
        """
        if enabled and self.owner is None:
            raise RuntimeError("a socket is watched before it is attached to its owner")
        self.enabled = enabled
        self.check()

    def detach(self) -> None:
        """Report nothing any more."""
        self.enabled = False
        self.owner = None

    def check(self) -> None:
        """Post a report if the condition holds and none is on its way."""
        if self.enabled and not self._posted and self.owner is not None and self._condition():
            self._posted = True
            self._host.post_turn(self.owner, self._turn, self._attachment)

    def _turn(self, attachment: int) -> None:
        if attachment != self._attachment:
            return  # the socket has another owner by now
        # It stays posted during the report, so that what the owner causes meanwhile does not report twice.
        if self.enabled and self.owner is not None and self._condition():
            self._report(self.owner)
            if attachment != self._attachment:
                return
            if self.enabled and self._condition():
                self._host.clock.after(PASS_S, lambda: self._next_pass(attachment))
                return
        self._posted = False

    def _next_pass(self, attachment: int) -> None:
        if attachment == self._attachment:
            self._posted = False
            self.check()
