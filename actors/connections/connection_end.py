"""What both ends of a tunneled connection share: bytes between a local socket and a sealed stream.

The stream is pure and says what to do; this actor does it. Reading stops when the stream has no credit,
writing when the socket has no room, and nothing is held in between but what the credit covers.
"""

import enum
import errno
import logging
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final, Generic, TypeVar

from actors.connections.connection_settings import NOT_SENT_BYTES, RESET_MEANINGS, ConnectionSettings
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_link as link_messages
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.alarm import Alarm
from actors.runtime.gather import drop_sent
from actors.runtime.seam import Dispatcher, HangUp, ListeningSocket, Ref, StreamSocket
from mesh.connection.session_handshake import Session
from mesh.connection.stream import Effects, ResetCode, Stream
from mesh.deadlines import Deadlines
from mesh.link.frames import Frame
from mesh.sampling import sampled
from mesh.trust.identity import AgentId

log = logging.getLogger("mesh.connections")

READS_PER_TURN: Final = 3
"""Reads before other actors have their turn: three quarters of a megabyte of a bulk transfer at the most."""

MAX_WAITING_PIECES: Final = 1_024
"""As many as one gathered write takes. More are joined: a piece of 2 bytes takes 45, credit counts 2."""

HANG_UP_POLL_S: Final = 1.0
"""How often an unread socket is looked at: its reset or close would otherwise go unseen."""

DRAIN_AFTER_RESET_S: Final = 10.0
"""How long bytes that preceded the other end's reset may wait for a slow local socket."""

DRAIN_BEFORE_RESET_S: Final = 10.0
"""How long bytes that preceded the local socket's own reset may wait for the stream's credit."""


M = TypeVar("M")


class Due(enum.IntEnum):
    """What an end waits for, beside its stream."""

    OPENING = 0
    """What the opening waits for; the subclasses keep it."""
    HANG_UP_POLL = 1
    """To look whether the local socket, unread, has hung up."""
    PATH = 2
    """There has been no path for too long."""
    DRAINED = 3
    """What preceded the other end's reset has waited long enough for the local socket."""
    READ_OUT = 4
    """What preceded the local socket's reset has waited long enough for credit."""


class Break(enum.Enum):
    """Whether the local socket is broken: it takes nothing more, but may hold what came before its reset."""

    NONE = "none"
    SHOWN = "shown"
    """Reading it shows the reset, once all else has been read."""
    HIDDEN = "hidden"
    """A send has taken its error away: reading will show an end of stream instead, which is none."""


class ConnectionEnd(Actor[M | messages.EndInbound], Generic[M]):
    """One end of a tunneled connection; the subclasses open it, each in its own way."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        table: Ref[table_messages.Inbound],
        settings: ConnectionSettings,
        meters: Meters,
    ) -> None:
        super().__init__(dispatcher)
        self._table = table
        self._settings = settings
        self._meters = meters
        self._key = ""
        """The routing key, once it is known."""
        self._socket: StreamSocket | None = None
        self._session: Session | None = None
        self._stream: Stream | None = None
        self._remote: AgentId | None = None
        self._link: Ref[link_messages.SendFrames] | None = None
        self._waiting: deque[bytes | memoryview] | None = None
        """Bytes from the stream for the local socket; none is None, for an empty deque takes 760 bytes."""
        self._reading = False
        self._writing = False
        self._at_end = False
        """The local socket has sent its end of stream."""
        self._break = Break.NONE
        self._peer_finished = False
        self._peer_reset: ResetCode | None = None
        self._done = False
        self._deadlines = Deadlines(Due)
        self._alarm = Alarm(self, _LOOK)

    # -- the stream ------------------------------------------------------------------------------------------

    def _start_stream(
        self, session: Session, remote: AgentId, link: Ref[link_messages.SendFrames] | None, credit: int
    ) -> None:
        """Begin to carry bytes; ``credit`` is what the other end takes at first."""
        self._remote = remote
        self._link = link
        self._session = session
        settings = self._settings
        self._stream = Stream(
            session=session,
            send_credit=credit,
            budget=settings.budget,
            reroute_timeout_s=settings.reroute_timeout_s,
            idle_probe_s=settings.idle_probe_s,
        )
        self._watch_read(self._socket is not None)

    def _common(self, message: messages.EndInbound) -> None:
        """Handle what both ends handle alike."""
        match message:
            case messages.SegmentsArrived(frames=frames):
                self._receive(frames)
            case messages.DeadlineReached():
                self._deadline_reached()
            case messages.PathChanged(link=link):
                self._path_changed(link)
            case messages.PeerRestarted():
                self._lose("the other end's agent has restarted")
            case messages.CloseConnection(reason=reason):
                self._lose(reason)

    def _receive(self, frames: Sequence[Frame]) -> None:
        if self._stream is not None:
            self._apply(self._stream.receive(frames, self.now()))

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
            self._deadlines[Due.DRAINED] = self.now() + DRAIN_AFTER_RESET_S
            if self._socket is not None:
                self._other_end_reset(effects.peer_reset)
        self._done = self._done or effects.done
        taken = self._write()
        if taken:
            more = stream.delivered(taken, self.now())
            frames = [*frames, *more.frames] if more.frames else frames
            self._done = self._done or more.done
        if frames:
            self._send(frames)
        self._settle()

    def _other_end_reset(self, code: ResetCode) -> None:
        """Say that the connection was broken off by the other end, or for what the stream thinks of it."""
        log.info("%s reset: %s", self, RESET_MEANINGS[code], extra=sampled(self._key))
        self._meters.connections_reset += 1

    def _send(self, frames: Sequence[Frame]) -> None:
        # Without a link the frames are let go: the stream keeps what matters and repeats it on a new path.
        if frames and self._link is not None:
            self.tell(self._link, link_messages.SendFrames(tuple(frames)))

    def _settle(self) -> None:
        """Bring socket, timers and the actor's own life in line with the stream."""
        stream = self._stream
        if stream is None:
            return
        if self._socket is not None:
            if self._peer_reset is not None:
                if not self._waiting:
                    self._drop_socket(reset=True)
            elif self._at_end and self._peer_finished and not self._waiting:
                self._drop_socket(reset=False)
        if self._socket is not None:
            ended = self._at_end or self._peer_reset is not None
            if ended or not self._reading:  # who is being read is looked at when it has been read
                self._watch_read(not ended and stream.writable_bytes > 0)
        if self._done and self._socket is None:
            self.stop_now()
        elif self._done and not self._waiting:
            self._drop_socket(reset=not (self._at_end and self._peer_finished))
            self.stop_now()
        else:
            self._arm()

    # -- time ------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Be woken at the earliest deadline, or before."""
        deadline = min(self._deadlines)
        if self._stream is not None:
            deadline = min(deadline, self._stream.deadline())
        if deadline < self._alarm.at:
            self._alarm.arm(deadline, self.now())

    def _deadline_reached(self) -> None:
        self._alarm.disarm()
        now, deadlines = self.now(), self._deadlines
        if now >= deadlines[Due.OPENING]:
            self._opening_deadline_reached(now)
        if deadlines.take(Due.HANG_UP_POLL, now):
            self._poll_hang_up(now)
        if deadlines.take(Due.PATH, now):
            self._lose("no path to the other end")
        elif deadlines.take(Due.DRAINED, now):
            self._lose("the local socket does not take what preceded the other end's reset")
        elif deadlines.take(Due.READ_OUT, now):
            self._local_reset([])
        stream, session = self._stream, self._session
        if stream is not None and now >= stream.deadline():
            self._apply(stream.timeout(now))
        elif stream is not None and session is not None and stream.idle:
            session.rest()
        if not self.actor_stopped.is_set():
            self._arm()

    def _opening_deadline_reached(self, now: float) -> None:
        """Do what is due of the opening, and set ``Due.OPENING`` anew."""
        raise NotImplementedError

    def _path_changed(self, link: Ref[link_messages.SendFrames] | None) -> None:
        self._link = link
        self._deadlines[Due.PATH] = inf
        if link is None:
            self._deadlines[Due.PATH] = self.now() + self._settings.reroute_timeout_s
            self._arm()
        elif self._stream is not None:
            self._apply(self._stream.path_changed(self.now()))

    def _lose(self, why: str) -> None:
        """End at once, resetting the local socket and, where it can still be reached, the other end."""
        log.info("%s reset: %s", self, why, extra=sampled(self._key))
        if self._peer_reset is None:  # else it has been counted
            self._meters.connections_reset += 1
        self._drop_socket(reset=True)
        self.stop_now()

    def release(self) -> None:
        """Let go of everything; an open socket is reset, for an end of stream must not be invented."""
        self._drop_socket(reset=True)
        if self._stream is not None:
            if not self._done:
                self._send(self._stream.reset(ResetCode.CANCELLED, self.now()).frames)
            self._stream.release()

    # -- the local socket ------------------------------------------------------------------------------------

    def on_readable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Take bytes from the local socket into the stream, as far as its credit goes."""
        stream, local = self._stream, self._socket
        if stream is None or local is None:
            return
        buffer = self._dispatcher.read_buffer
        now = self.now()
        frames: list[Frame] = []
        reads = 0
        while True:
            room = min(stream.writable_bytes, len(buffer))
            if room <= 0:
                self._watch_read(False)
                break
            if reads == READS_PER_TURN:
                break
            reads += 1
            try:
                count = local.recv_into(buffer[:room])
            except BlockingIOError:
                break
            except OSError:
                self._local_reset(frames)
                return
            if count == 0:
                if self._break is not Break.HIDDEN:
                    self._at_end = True
                    frames.extend(stream.finish(now).frames)
                if self._break is not Break.NONE:
                    self._local_reset(frames)
                    return
                break
            self._meters.bytes_sent += count
            frames.extend(stream.send(buffer[:count], now).frames)
            if count < room:
                break
        self._send(frames)
        self._settle()

    def on_writable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Go on writing to the local socket."""
        self._apply(_NOTHING)

    def _write(self) -> int:
        """Write what waits, as far as the socket takes it; the bytes that are out of the way."""
        waiting = self._waiting
        if self._socket is None or self._break is not Break.NONE:
            # Nobody is left to take them; they count as delivered, so that the stream can end.
            self._waiting = None
            return sum(len(piece) for piece in waiting) if waiting else 0
        taken = 0
        while waiting:
            try:
                sent = self._socket.send(waiting)
            except BlockingIOError:
                break
            except OSError as error:
                self._meters.bytes_received += taken
                self._broke(Break.HIDDEN if error.errno == errno.ECONNRESET else Break.SHOWN)
                return taken + self._write()
            taken += sent
            drop_sent(waiting, sent)
        if not waiting:
            self._waiting = None
            if self._peer_finished:
                self._socket.shutdown_write()
        self._meters.bytes_received += taken
        if waiting or self._writing:
            self._watch_write(bool(waiting))
        return taken

    def _broke(self, how: Break) -> None:
        """The local socket has been reset. What it sent before is still to be read, as credit allows."""
        self._break = how
        self._watch_write(False)
        self._deadlines[Due.HANG_UP_POLL] = inf
        if self._at_end or self._stream is None:
            self._local_reset([])
        else:
            self._deadlines[Due.READ_OUT] = self.now() + DRAIN_BEFORE_RESET_S
            self._watch_read(self._stream.writable_bytes > 0)

    def _local_reset(self, frames: list[Frame]) -> None:
        """The local socket was reset: so is the stream."""
        self._drop_socket(reset=False)
        self._waiting = None
        if self._stream is not None:
            if self._peer_reset is None:  # else it has been counted
                self._meters.connections_reset += 1
            effects = self._stream.reset(ResetCode.RESET, self.now())
            self._done = self._done or effects.done
            self._send([*frames, *effects.frames])
            self._settle()

    def _drop_socket(self, *, reset: bool) -> None:
        socket, self._socket = self._socket, None
        if socket is None:
            return
        if reset:
            socket.abort()
        else:
            socket.close()
        self.disown(socket)
        if self._writing:
            self._count_unsent(False)
        self._reading = self._writing = False
        self._deadlines[Due.HANG_UP_POLL] = inf
        self._deadlines[Due.READ_OUT] = inf
        self._socket_gone(socket)

    def _socket_gone(self, socket: StreamSocket) -> None:
        """The local socket is closed; a subclass may tell somebody."""

    def _watch_read(self, enabled: bool) -> None:
        if self._socket is None:
            return
        if enabled != self._reading:
            self._reading = enabled
            self._socket.watch_read(enabled)
        if enabled:
            self._deadlines[Due.HANG_UP_POLL] = inf
        elif self._deadlines[Due.HANG_UP_POLL] == inf and self._break is Break.NONE:
            self._deadlines[Due.HANG_UP_POLL] = self.now() + HANG_UP_POLL_S

    def _watch_write(self, enabled: bool) -> None:
        if self._socket is not None and enabled != self._writing:
            self._writing = enabled
            self._socket.watch_write(enabled)
            self._count_unsent(enabled)

    def _count_unsent(self, waits: bool) -> None:
        """A socket that takes no more holds as much as may wait unsent in the kernel: that is memory, too."""
        budget = self._settings.budget
        if waits:
            budget.reserve(NOT_SENT_BYTES)
        else:
            budget.release(NOT_SENT_BYTES)

    def _poll_hang_up(self, now: float) -> None:
        if self._socket is None or self._reading:
            return
        if self._socket.hung_up() is HangUp.GONE and not (self._at_end and self._peer_finished):
            self._broke(Break.SHOWN)
            self._apply(_NOTHING)
        else:
            self._deadlines[Due.HANG_UP_POLL] = now + HANG_UP_POLL_S

    def _forget(self, remote: AgentId, connection: int, *, is_exit: bool) -> None:
        """Tell the connection table that this connection no longer ends here."""
        self.tell(self._table, table_messages.ConnectionEnded(remote, connection, is_exit))


_NOTHING: Final = Effects()
_LOOK: Final = messages.DeadlineReached()
