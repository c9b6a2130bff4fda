"""What an end of a connection tells the connection table: of its path, of forged bodies, and of its end."""

from typing import Generic, TypeVar, assert_never

from actors.connections.due import RETURN_AFTER_S, Due
from actors.connections.told_connection import ToldConnection
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.runtime.alarm import Alarm
from actors.runtime.seam import Ref
from mesh.connection.endings import End
from mesh.connection.stream import PathVerdict
from mesh.earliest import earliest
from mesh.routing.detours import Proof
from mesh.trust.identity import AgentId

M = TypeVar("M")


class TabledConnection(ToldConnection[M], Generic[M]):
    """Stands in the connection table; the subclass sets what is declared here."""

    __slots__ = ("_alarm", "_number", "_remote", "_table")

    _alarm: Alarm[messages.DeadlineReached]
    _number: int
    _remote: AgentId | None
    _table: Ref[table_messages.Inbound]

    def _arm(self) -> None:
        """Be woken at the earliest deadline, or before."""
        deadline = earliest(self._deadlines)
        if self._stream is not None and (due := self._stream.deadline()) < deadline:
            deadline = due
        if deadline < self._alarm.at:
            self._alarm.arm(deadline, self.now())

    def _forged(self, count: int, remote: AgentId, number: int, via: AgentId) -> None:
        """Count bodies that did not authenticate; the table can name the peer that passed them on."""
        self._meters.frames_forged += count
        self.tell(self._table, table_messages.BodiesForged(remote, via, number, count))

    def _path_judged(self, verdict: PathVerdict) -> None:
        """Tell the table, which knows other first hops."""
        if self._remote is None:
            return
        end = self._remote, self._number, self.END is End.EXIT
        match verdict:
            case PathVerdict.FAILED:
                self.tell(self._table, table_messages.PathFailed(*end))
            case PathVerdict.PROVED:
                self.tell(self._table, table_messages.PathProved(*end, Proof.LOST))
            case PathVerdict.HEARD:
                self.tell(self._table, table_messages.PathProved(*end, Proof.SILENT))
            case PathVerdict.HELPED:
                self._return_later()
            case _:
                assert_never(verdict)

    def _answered_after_doubt(self, *, is_prompt: bool) -> None:
        """The opening, which had asked for another first hop, goes on."""
        own = 0 if self._stream is None else self._stream.unacknowledged_segments
        budget = self._settings.budget
        # Behind what others have sent an answer may be slow, and a hop that nothing waits at is faster then.
        is_alone = budget.unacknowledged_segments == own and not budget.is_slow(self.now())
        if is_prompt and is_alone and self._remote is not None:
            end = self._remote, self._number, self.END is End.EXIT
            self.tell(self._table, table_messages.PathProved(*end, Proof.CHANCE))
        else:
            self._return_later()

    def _return_later(self) -> None:
        """Nobody is to blame for sure: take the usual first hop again, after a while."""
        self._deadlines[Due.RETURN] = self.now() + RETURN_AFTER_S
        self._arm()

    def _forget(self, remote: AgentId, connection: int, *, is_exit: bool) -> None:
        """Tell the connection table that this connection no longer ends here."""
        stream = self._stream
        farewell = () if stream is None or connection != self._number else stream.farewell
        self.tell(self._table, table_messages.ConnectionEnded(remote, connection, is_exit, farewell))
