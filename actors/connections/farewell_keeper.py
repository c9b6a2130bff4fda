"""Keeps the farewells of connections that have ended, and forgets them in their time."""

from collections.abc import Callable

from actors.connections.remote_certificates import ConnectionId
from actors.messages.connection_table import FarewellsOver
from actors.runtime.alarm import Alarm
from actors.runtime.seam import Timer
from mesh.connection.farewells import FAREWELLS_S, Farewells
from mesh.link.frames import Frame


class FarewellKeeper:
    """Those of a connection table's agent; times are monotonic seconds.

    Args:
        schedule: has a message sent to the table in so many seconds.
    """

    def __init__(self, schedule: Callable[[float, FarewellsOver], Timer]) -> None:
        self._kept: Farewells[ConnectionId] = Farewells()
        self._alarm = Alarm(schedule, FarewellsOver())

    def keep(self, key: ConnectionId, farewell: tuple[Frame, ...], now: float) -> None:
        """The connection ``key`` has ended here, and has said this last."""
        self._kept.keep(key[0], key, farewell, now)
        self._alarm.arm(now + FAREWELLS_S, now)

    def answer(self, key: ConnectionId, asked: Frame) -> tuple[Frame, ...]:
        """What to send to whoever ``asked``; empty if there is nothing to say."""
        return self._kept.answer(key[0], key, asked)

    def forget(self, key: ConnectionId) -> None:
        """Another connection has this name now."""
        self._kept.forget(key[0], key)

    def expire(self, now: float) -> None:
        """The alarm has rung: forget what is over."""
        self._alarm.disarm()
        self._alarm.arm(self._kept.expire(now), now)

    def end(self) -> None:
        """Do not ring any more, and let go of the table."""
        self._alarm.end()
