"""What both ends of a tunneled connection share: bytes between a local socket and a sealed stream.

The stream is pure and says what to do; this actor does it. Reading stops when the stream has no credit,
writing when the socket has no room, and nothing is held in between but what the credit covers.
"""

import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final, Generic, TypeVar

from actors.connections.connection_settings import RESET_MEANINGS, ConnectionSettings
from actors.connections.due import DRAIN_AFTER_END_S, DRAIN_AFTER_RESET_S, DRAIN_BEFORE_RESET_S, Due
from actors.connections.local_socket import Break
from actors.connections.tabled_connection import TabledConnection
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_link as link_messages
from actors.meters import Meters
from actors.runtime.alarm import Alarm
from actors.runtime.seam import Dispatcher, ListeningSocket, Ref, StreamSocket, Timer
from mesh.connection.endings import End, Ending, ending_of
from mesh.connection.session import Session
from mesh.connection.stream import NOTHING, Effects, ResetCode, Stream
from mesh.connection.stream.states import State
from mesh.link.frames import MAX_SEGMENT_BYTES, BytesLike, Frame
from mesh.trust.identity import AgentId

log = logging.getLogger("mesh.connections")

MOST_READ_BYTES: Final = 8 * MAX_SEGMENT_BYTES
"""Read at once from the local socket: full segments, as far as there is credit."""

READS_PER_TURN: Final = 2
"""Reads before other actors have their turn: a mebibyte of a bulk transfer at the most."""

MAX_WAITING_PIECES: Final = 1_024
"""As many as one gathered write takes. More are joined: a piece of 2 bytes takes 45, credit counts 2."""

M = TypeVar("M")


class ConnectionEnd(TabledConnection[M], Generic[M]):
    """One end of a tunneled connection; the subclasses open it, each in its own way."""

    __slots__ = ("_done", "_link", "_peer_reset", "_session", "_tells_of_closing")

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        table: Ref[table_messages.Inbound],
        settings: ConnectionSettings,
        meters: Meters,
        key: str,
    ) -> None:
        super().__init__(dispatcher, settings=settings, meters=meters, key=key)
        self._table = table
        self._number = 0
        """Of the connection, once it is known: to the chosen exit, if this is the ingress."""
        self._session: Session | None = None
        self._remote: AgentId | None = None
        self._link: Ref[link_messages.SendFrames] | None = None
        self._peer_reset: ResetCode | None = None
        self._done = False
        self._tells_of_closing = False
        """Whether somebody waits to hear that an end has finished."""
        self._alarm = Alarm(self._look_in, _LOOK)

    # -- the stream ------------------------------------------------------------------------------------------

    def _start_stream(
        self,
        session: Session,
        remote: AgentId,
        link: Ref[link_messages.SendFrames] | None,
        send_credit: int,
        credit: int,
    ) -> None:
        """Begin to carry bytes: ``send_credit`` is what the other end takes at first, ``credit`` this one."""
        self._remote = remote
        self._link = link
        self._session = session
        self._stream = self._settings.stream(session, send_credit, self.now(), credit)
        self._opened(session.id)
        self._watch_read(self._socket is not None)

    def _common(self, message: messages.EndInbound) -> None:
        """Handle what both ends handle alike."""
        match message:
            case messages.DeadlineReached():
                self._deadline_reached()
            case messages.PathChanged(link=link):
                self._path_changed(link)
            case messages.PeerRestarted():
                self._lose("the other end's agent has restarted")
            case messages.PeerExpired(why=why):
                self._lose(f"the certificate of the other end's agent {why}")
            case messages.CloseConnection(reason=reason):
                self._end_as(Ending.STOPPED, reason)
                self._lose(reason)
            case messages.RightsChanged():
                self._judge(message)
            case messages.CloseForOperator():
                self._end_as(Ending.OPERATOR)
                self._local_reset([], ResetCode.CLOSED_BY_OPERATOR)
            case messages.DescribeConnection(reply_to=reply_to):
                self.tell(reply_to, self._view())

    @abstractmethod
    def _judge(self, rights: messages.RightsChanged) -> None:
        """Break the connection off if it is not allowed any more."""

    def _forbid(self, why: str) -> None:
        self._end_as(Ending.FORBIDDEN, why)
        self._local_reset([], ResetCode.FORBIDDEN)

    def _apply(self, effects: Effects) -> None:
        """Do what the stream says; what the socket takes at once becomes credit in the same message."""
        stream = self._stream
        if stream is None:
            return
        frames = effects.frames
        if effects.delivered:
            if self._waiting is None:
                self._waiting = deque(effects.delivered)
            else:
                self._waiting.extend(effects.delivered)
                if len(self._waiting) > MAX_WAITING_PIECES:
                    self._waiting = deque((b"".join(self._waiting),))
        self._peer_finished = self._peer_finished or effects.peer_finished
        if effects.peer_reset is not None and self._peer_reset is None:
            self._peer_reset = effects.peer_reset
            self._reset_by_other_end(effects.peer_reset)
            self._wait_for_local_socket()
            if self._socket is not None:
                self._other_end_reset(effects.peer_reset)
        if effects.path is not None:
            self._path_judged(effects.path)
        self._done = self._done or effects.done
        taken = self._write()
        if taken:
            more = stream.delivered(taken, self.now())
            frames = [*frames, *more.frames] if more.frames else frames
            self._done = self._done or more.done
        if frames:
            self._send(frames)
        self._settle()

    def _reset_by_other_end(self, code: ResetCode) -> None:
        ending = ending_of(code, self.END)
        is_plain = ending in (Ending.CLIENT, Ending.SERVICE, Ending.OPERATOR)
        self._end_as(ending, "" if is_plain else RESET_MEANINGS[code])

    def _other_end_reset(self, code: ResetCode) -> None:
        """Say that the connection was broken off by the other end, or for what the stream thinks of it."""
        log.debug("%s reset: %s", self, RESET_MEANINGS[code])
        self._meters.connections_reset += 1

    def _send(self, frames: Sequence[Frame]) -> None:
        # Without a link the frames are dropped: the stream keeps what matters and repeats it on a new path.
        if frames and self._link is not None:
            self.tell(self._link, link_messages.SendFrames(tuple(frames)))

    def _settle(self) -> None:
        """Bring socket, timers and the actor's own life in line with the stream."""
        stream = self._stream
        if stream is None:
            return
        if self._socket is not None:
            if self._peer_reset is not None:
                if not self._waiting:  # a reset would take back what the kernel still has to send
                    self._drop_socket(reset=not self._peer_finished)
            elif self._at_end and self._peer_finished and not self._waiting:
                self._end_as(Ending.CLOSED)
                self._drop_socket(reset=False)
        if self._socket is not None:
            ended = self._at_end or self._peer_reset is not None
            if ended or not self._reading:  # while it is read, on_readable looks at its credit
                self._watch_read(not ended and stream.writable_bytes > 0)
        if self._done and self._socket is None:
            self.stop_now()
        elif self._done and not self._waiting:
            is_in_order = self._at_end and self._peer_finished
            self._end_as(Ending.CLOSED if is_in_order else Ending.LOST)
            self._drop_socket(reset=not is_in_order)
            self.stop_now()
        else:
            self._arm()
        if self._tells_of_closing and (self._at_end or self._peer_finished or self._peer_reset is not None):
            self._tells_of_closing = False
            self._closing()

    def _closing(self) -> None:
        """An end has finished; a subclass that tells of it tells somebody."""

    # -- time ------------------------------------------------------------------------------------------------

    def _look_in(self, delay_s: float, look: messages.DeadlineReached) -> Timer:
        # The alarm ends with this actor: its timers need not be noted down, as those of self.schedule() are.
        return self._dispatcher.schedule(self._actor_ref, delay_s, look)

    def _deadline_reached(self) -> None:
        self._alarm.disarm()
        now, deadlines = self.now(), self._deadlines
        if now >= deadlines[Due.OPENING]:
            self._opening_deadline_reached(now)
        if deadlines.take(Due.HANG_UP_POLL, now) and self._has_hung_up(now):
            self._broke(Break.SHOWN)
            self._apply(NOTHING)
        if deadlines.take(Due.RETURN, now) and self._remote is not None:
            retried = table_messages.PathRetried(self._remote, self._number, self.END is End.EXIT)
            self.tell(self._table, retried)
        if deadlines.take(Due.PATH, now):
            self._lose("no path to the other end")
        elif deadlines.take(Due.DRAINED, now):
            self._lose("the local socket does not take what preceded the other end's reset")
        elif deadlines.take(Due.READ_OUT, now):
            self._local_reset([])
        stream, session = self._stream, self._session
        if stream is not None and (now >= stream.deadline() or stream.is_worn):
            self._apply(stream.timeout(now))
        if stream is not None and session is not None and stream.idle:
            session.rest()  # at once after the last acknowledgement: nothing else is due for a long time
        if not self.actor_stopped.raised:
            self._arm()

    @abstractmethod
    def _opening_deadline_reached(self, now: float) -> None:
        """Do what is due of the opening, and set ``Due.OPENING`` anew."""

    def _path_changed(self, link: Ref[link_messages.SendFrames] | None) -> None:
        self._link = link
        self._deadlines[Due.PATH] = inf
        if link is None:
            self._deadlines[Due.PATH] = self.now() + self._settings.config.connections.reroute_timeout_s
            self._arm()
        elif self._stream is not None:
            self._apply(self._stream.path_changed(self.now()))

    def _lose(self, why: str) -> None:
        """End at once, resetting the local socket and, if it can still be reached, the other end."""
        self._end_as(Ending.LOST, why)
        # Without a local socket it only stays to repeat what it said, unless bytes of it may still be missed.
        if self._socket is not None or (self._stream is not None and self._stream.state is State.CLOSING):
            log.debug("%s reset: %s", self, why)
            if self._peer_reset is None:  # else it has been counted
                self._meters.connections_reset += 1
        self._drop_socket(reset=True)
        self.stop_now()

    def release(self) -> None:
        """Let go of everything; an open socket is reset, for an end of stream must not be invented."""
        if self._socket is not None and self._peer_reset is None:  # this end has crashed, or was stopped
            self._meters.connections_reset += 1
        if self._socket is not None:
            self._drop_socket(reset=True)
        if not self._is_recorded:
            self._no_longer_open()
        if self._stream is not None:
            if not self._done:
                self._send(self._stream.reset(ResetCode.CANCELLED, self.now()).frames)
            self._stream.release()
        self._alarm.end()

    # -- the local socket ------------------------------------------------------------------------------------

    def on_readable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Take bytes from the local socket into the stream, as far as its credit goes."""
        stream, local = self._stream, self._socket
        if stream is None or local is None:
            self._readable_while_opening()
            return
        buffer = self._dispatcher.read_buffer
        now = self.now()
        frames: list[Frame] = []
        reads, ends = 0, False
        while True:
            room = min(stream.writable_bytes, MOST_READ_BYTES)
            if room <= 0:
                self._watch_read(False)
                break
            if reads == READS_PER_TURN:
                break
            reads += 1
            try:
                if self._has_spoken:
                    count = local.recv_into(buffer[:room])
                else:
                    count, ends = self._read_first(local, buffer[:room])
            except BlockingIOError:
                break
            except OSError:
                self._local_reset(frames)
                return
            if count == 0:
                if self._break is not Break.HIDDEN:
                    self._finish(stream, frames)
                if self._break is not Break.NONE:
                    self._local_reset(frames)
                    return
                break
            self._meters.bytes_sent += count
            self._key_meter.sent_bytes += count
            if ends:
                self._finish(stream, frames, buffer[:count])
                break
            frames.extend(stream.send(buffer[:count], now).frames)
            if count < room:
                break
        if reads and self._break is not Break.NONE:  # there was credit, so more may come
            self._wait_for_credit()
        self._send(frames)
        self._settle()

    def _finish(self, stream: Stream, frames: list[Frame], last: BytesLike = b"") -> None:
        """The local socket has reached its end, after ``last``."""
        self._at_end = True
        effects = stream.finish(self.now(), last)
        frames.extend(effects.frames)
        self._done = self._done or effects.done

    def _readable_while_opening(self) -> None:
        """The local socket has something to read before there is a stream."""

    def on_writable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Go on writing to the local socket."""
        if self._peer_reset is not None:
            self._wait_for_local_socket()
        self._apply(NOTHING)

    def _wait_for_local_socket(self) -> None:
        """The other end has been reset: what preceded that is still to be taken."""
        patience_s = DRAIN_AFTER_END_S if self._peer_finished else DRAIN_AFTER_RESET_S
        self._deadlines[Due.DRAINED] = self.now() + patience_s

    def _broke(self, how: Break) -> None:
        """The local socket has been reset. What it sent before is still to be read, as credit allows."""
        self._break = how
        self._watch_write(False)
        self._deadlines[Due.HANG_UP_POLL] = inf
        if self._at_end or self._stream is None:
            self._local_reset([])
        else:
            self._wait_for_credit()
            self._watch_read(self._stream.writable_bytes > 0)

    def _wait_for_credit(self) -> None:
        """The local socket has been reset: what it sent before is still to be read."""
        patience_s = DRAIN_AFTER_END_S if self._end_waits else DRAIN_BEFORE_RESET_S
        self._deadlines[Due.READ_OUT] = self.now() + patience_s

    def _local_reset(self, frames: list[Frame], code: ResetCode = ResetCode.RESET) -> None:
        """The local socket was reset, or is to be: so is the stream."""
        self._end_as(Ending.SERVICE if self.END is End.EXIT else Ending.CLIENT)
        self._drop_socket(reset=code is not ResetCode.RESET)
        self._waiting = None
        if self._stream is not None:
            if self._peer_reset is None:  # else it has been counted
                self._meters.connections_reset += 1
            effects = self._stream.reset(code, self.now())
            self._done = self._done or effects.done
            self._send([*frames, *effects.frames])
            self._settle()


_LOOK: Final = messages.DeadlineReached()
