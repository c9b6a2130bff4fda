"""Look a name up and connect to it, for an actor: the one way to reach out, and the one way to give that up.

:class:`mesh.reaching.Reaching` decides; this carries out what it decides and keeps what is under way.
"""

from collections.abc import Collection
from functools import partial
from math import inf
from typing import TypeAlias, assert_never

from actors.messages.reaching import ReachDue
from actors.runtime.alarm import Alarm
from actors.runtime.seam import (
    Attempt,
    Connected,
    ConnectFailed,
    Dispatcher,
    NamesResolved,
    Ref,
    SocketOptions,
    StreamSocket,
)
from mesh import reaching
from mesh.addresses import SocketAddress, TcpAddress


class Contact:
    """What was reached; the caller owns ``socket`` now.

    ``address`` is the one of its addresses that accepted.
    """

    __slots__ = ("address", "socket")

    def __init__(self, socket: StreamSocket, address: SocketAddress) -> None:
        self.socket = socket
        self.address = address


Answer: TypeAlias = NamesResolved | Connected | ConnectFailed
"""What the dispatcher tells the actor."""

Report: TypeAlias = Answer | ReachDue
"""What the actor hears of it, and hands to :meth:`Reach.take` unread."""

Outcome: TypeAlias = Contact | reaching.Failure


class Reach:
    """What one actor tries to reach: one address at a time, again and again.

    Args:
        dispatcher: the actor's.
        ref: the actor, which hears the dispatcher's answers.
        options: of the sockets.
        timer_ref: the actor, if it is to be sent :class:`ReachDue`; else it looks at :attr:`due_at`.
    """

    __slots__ = (
        "_alarm",
        "_dispatcher",
        "_machine",
        "_pending",
        "_ref",
        "_token",
        "options",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        ref: Ref[Answer],
        options: SocketOptions,
        *,
        timer_ref: Ref[ReachDue] | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._ref = ref
        self.options = options
        """For what is begun from now on."""
        self._alarm = (
            None if timer_ref is None else Alarm(partial(dispatcher.schedule, timer_ref), ReachDue())
        )
        self._machine: reaching.Reaching | None = None
        self._token = 0
        """Is never used twice, so that a late answer about an earlier address is recognised."""
        self._pending: dict[int, tuple[int, Attempt]] = {}
        """The machine's number (0 for the look-up) and what is under way, by token."""

    @property
    def under_way(self) -> bool:
        """Whether something is being reached."""
        return self._machine is not None

    @property
    def due_at(self) -> float:
        """When :class:`ReachDue` is to be taken; infinity if nothing is under way."""
        return inf if self._machine is None else self._machine.due_at

    def begin(
        self,
        address: SocketAddress,
        within_s: float,
        last: Collection[SocketAddress] = (),
        without: Collection[SocketAddress] = (),
    ) -> None:
        """Reach ``address`` instead of what was being reached; see :class:`mesh.reaching.Reaching`."""
        if self._machine is not None:
            self.cancel()
        now = self._dispatcher.now()
        self._machine = reaching.Reaching(address, now, within_s, last, without)
        effects = self._machine.start(now)
        if not effects and isinstance(address, TcpAddress):
            self._token += 1
            lookup = self._dispatcher.resolve(self._ref, address.host, address.port, self._token)
            self._pending[self._token] = (0, lookup)
        self._carry_out(effects)
        self._arm()

    def take(self, report: Report) -> Outcome | None:
        """Go on; the outcome, once there is one. What is late is dropped."""
        machine, now = self._machine, self._dispatcher.now()
        if isinstance(report, ReachDue):
            if self._alarm is not None:
                self._alarm.disarm()
            effects = () if machine is None else machine.timeout(now)
            return self._go_on(effects)
        number, _ = self._pending.pop(report.token, (-1, None))
        if machine is None or number < 0:
            if isinstance(report, Connected):
                report.let_go()
            return None
        match report:
            case NamesResolved(addresses=addresses, reason=reason):
                return self._go_on(machine.resolved(addresses, reason, now))
            case ConnectFailed(error_number=error_number, reason=reason):
                return self._go_on(machine.failed(number, error_number, reason, now))
            case Connected(socket=socket):
                return self._connected(socket, machine.connected(number))
            case _:
                assert_never(report)

    def cancel(self) -> None:
        """Give up what is under way, if anything is."""
        if self._machine is None:
            return
        self._machine = None
        pending, self._pending = self._pending, {}
        for _, attempt in pending.values():
            attempt.cancel()
        self._arm()

    def _connected(self, socket: StreamSocket, address: SocketAddress | None) -> Contact | None:
        if address is None:
            socket.close()
            self._arm()
            return None
        self.cancel()
        return Contact(socket, address)

    def _go_on(self, effects: tuple[reaching.Effect, ...]) -> reaching.Failure | None:
        outcome = self._carry_out(effects)
        if outcome is not None:
            self.cancel()
        else:
            self._arm()
        return outcome

    def _carry_out(self, effects: tuple[reaching.Effect, ...]) -> reaching.Failure | None:
        for effect in effects:
            match effect:
                case reaching.Connect(number=number, address=address):
                    self._token += 1
                    attempt = self._dispatcher.connect(self._ref, address, self._token, self.options)
                    self._pending[self._token] = (number, attempt)
                case reaching.Unreachable(failure=failure):
                    return failure
                case _:
                    assert_never(effect)
        return None

    def _arm(self) -> None:
        if self._alarm is None:
            return
        if self.due_at > self._alarm.at:
            self._alarm.disarm()
        self._alarm.arm(self.due_at, self._dispatcher.now())
