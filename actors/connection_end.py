"""What both ends of a tunneled connection share: octets between a local socket and a sealed stream.

The stream is pure and says what to do; this actor does it. Reading stops when the stream has no credit,
writing when the socket has no room, and nothing is held in between but what the credit covers.
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from actors.gather import drop_sent
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_link as link_messages
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.seam import Dispatcher, HangUp, ListeningSocket, Ref, SocketOptions, StreamSocket, Timer
from mesh.frames import Frame
from mesh.identity import AgentId, Instance
from mesh.noise.primitives import KeyPair, SharedSecrets
from mesh.session import Party, Session
from mesh.stream import Effects, ResetCode, Stream, StreamBudget

log = logging.getLogger("mesh.connections")

CONNECTION_SOCKET_OPTIONS: Final = SocketOptions(reset_if_abandoned=True)
"""Of the sockets of clients and targets."""

READS_PER_TURN: Final = 4
"""Reads before other actors have their turn: a megabyte of a bulk transfer at the most."""

HANG_UP_POLL_S: Final = 1.0
"""How often an unread socket is looked at: its reset or close would otherwise go unseen."""

DRAIN_AFTER_RESET_S: Final = 10.0
"""How long octets that preceded the other end's reset may wait for a slow local socket."""

FIRST_REPEAT_S: Final = 0.25
"""First repetition of an unanswered OPEN or ACCEPT; each later one waits twice as long."""

MAX_REPEAT_S: Final = 2.0


def repeat_delay_s(repeats: int) -> float:
    """Seconds until an unanswered OPEN or ACCEPT is repeated, after so many repetitions."""
    return min(MAX_REPEAT_S, FIRST_REPEAT_S * 2.0 ** min(repeats, 8))


class ConnectionSettings(msgspec.Struct, frozen=True):
    """What all connections of an agent share."""

    own_id: AgentId
    instance: Instance
    static: KeyPair
    """The Noise static key of this instance's sessions."""
    shared: SharedSecrets
    """Its secrets."""
    budget: StreamBudget
    open_timeout_s: float = 10.0
    reroute_timeout_s: float = 30.0
    idle_probe_s: float = 60.0
    max_hops: int = 16

    @property
    def party(self) -> Party:
        """This agent as one end of a session."""
        return Party(id=self.own_id, instance=self.instance, session_key=self.static.public)


M = TypeVar("M")


class ConnectionEnd(Actor[M], Generic[M]):
    """One end of a tunneled connection; the subclasses open it, each in its own way."""

    def __init__(
        self, dispatcher: Dispatcher, *, table: Ref[Any], settings: ConnectionSettings, meters: Meters
    ) -> None:
        super().__init__(dispatcher)
        self._table = table
        self._settings = settings
        self._meters = meters
        self._socket: StreamSocket | None = None
        self._stream: Stream | None = None
        self._remote: AgentId | None = None
        self._link: Ref[Any] | None = None
        self._waiting: deque[bytes | memoryview] = deque()
        """Octets from the stream for the local socket."""
        self._reading = False
        self._writing = False
        self._at_end = False
        """The local socket has sent its end of stream."""
        self._peer_finished = False
        self._peer_reset: ResetCode | None = None
        self._done = False
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._polling = False
        self._path_generation = 0

    # -- the stream ------------------------------------------------------------------------------------------

    def _start_stream(self, session: Session, remote: AgentId, link: Ref[Any] | None, credit: int) -> None:
        """Begin to carry octets; ``credit`` is what the other end takes at first."""
        self._remote = remote
        self._link = link
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
            case messages.StreamTimerFired():
                self._timer_fired()
            case messages.HangUpPollDue():
                self._poll_hang_up()
            case messages.PathChanged(link=link):
                self._path_changed(link)
            case messages.PathTimedOut(generation=generation):
                if generation == self._path_generation and self._link is None:
                    self._lose("no path to the other end")
            case messages.PeerRestarted():
                self._lose("the other end's agent has restarted")
            case messages.DrainTimedOut():
                self._lose("the local socket does not take what preceded the other end's reset")
            case messages.CloseConnection():
                self._lose("closed")
            case messages.RepeatDue() | messages.OpenTimedOut():
                raise AssertionError("the subclasses handle these")

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
            self._waiting.extend(effects.delivered)
        self._peer_finished = self._peer_finished or effects.peer_finished
        if effects.peer_reset is not None and self._peer_reset is None:
            self._peer_reset = effects.peer_reset
            self._after(DRAIN_AFTER_RESET_S, messages.DrainTimedOut())
        self._done = self._done or effects.done
        taken = self._write()
        if taken:
            more = stream.delivered(taken, self.now())
            frames = [*frames, *more.frames] if more.frames else frames
            self._done = self._done or more.done
        self._send(frames)
        self._settle()

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
            self._watch_read(not self._at_end and self._peer_reset is None and stream.writable_octets > 0)
        if self._done and self._socket is None:
            self.stop_now()
        elif self._done and not self._waiting:
            self._drop_socket(reset=not (self._at_end and self._peer_finished))
            self.stop_now()
        else:
            self._arm()

    def _arm(self) -> None:
        """Keep a timer no later than the stream's deadline; one that is early looks again."""
        deadline = self._stream.deadline() if self._stream is not None else None
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._after(max(0.0, deadline - self.now()), messages.StreamTimerFired())

    def _timer_fired(self) -> None:
        self._timer = None
        if self._stream is None:
            return
        deadline = self._stream.deadline()
        if deadline is not None and self.now() >= deadline:
            self._apply(self._stream.timeout(self.now()))
        else:
            self._arm()

    def _path_changed(self, link: Ref[Any] | None) -> None:
        self._link = link
        self._path_generation += 1
        if link is None:
            self._after(self._settings.reroute_timeout_s, messages.PathTimedOut(self._path_generation))
        elif self._stream is not None:
            self._apply(self._stream.path_changed(self.now()))

    def _lose(self, why: str) -> None:
        """End at once, resetting the local socket and, where it can still be reached, the other end."""
        log.info("%s reset: %s", self, why)
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
        """Take octets from the local socket into the stream, as far as its credit goes."""
        stream, local = self._stream, self._socket
        if stream is None or local is None:
            return
        buffer = self.dispatcher.read_buffer
        now = self.now()
        frames: list[Frame] = []
        for _ in range(READS_PER_TURN):
            room = min(stream.writable_octets, len(buffer))
            if room <= 0:
                break
            try:
                count = local.recv_into(buffer[:room])
            except BlockingIOError:
                break
            except OSError:
                self._local_reset(frames)
                return
            if count == 0:
                self._at_end = True
                frames.extend(stream.finish(now).frames)
                break
            self._meters.octets_sent += count
            frames.extend(stream.send(buffer[:count], now).frames)
            if count < room:
                break
        self._send(frames)
        self._settle()

    def on_writable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Go on writing to the local socket."""
        self._apply(_NOTHING)

    def _write(self) -> int:
        """Write what waits, as far as the socket takes it; the octets that are out of the way."""
        if self._socket is None:
            # Nobody is left to take them; they count as delivered, so that the stream can end.
            count = sum(len(piece) for piece in self._waiting)
            self._waiting.clear()
            return count
        taken = 0
        waiting = self._waiting
        while waiting:
            try:
                sent = self._socket.send(waiting)
            except BlockingIOError:
                break
            except OSError:
                self._meters.octets_received += taken
                self._local_reset([])
                return 0
            taken += sent
            drop_sent(waiting, sent)
        self._meters.octets_received += taken
        if not waiting and self._peer_finished and self._peer_reset is None:
            self._socket.shutdown_write()
        self._watch_write(bool(waiting))
        return taken

    def _local_reset(self, frames: list[Frame]) -> None:
        """The local socket was reset: so is the stream."""
        self._drop_socket(reset=False)
        self._waiting.clear()
        if self._stream is not None:
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
        self._reading = self._writing = False
        self._socket_gone()

    def _socket_gone(self) -> None:
        """The local socket is closed; a subclass may tell somebody."""

    def _watch_read(self, enabled: bool) -> None:
        if self._socket is None:
            return
        if enabled != self._reading:
            self._reading = enabled
            self._socket.watch_read(enabled)
        if not enabled and not self._polling:
            self._polling = True
            self._after(HANG_UP_POLL_S, messages.HangUpPollDue())

    def _watch_write(self, enabled: bool) -> None:
        if self._socket is not None and enabled != self._writing:
            self._writing = enabled
            self._socket.watch_write(enabled)

    def _poll_hang_up(self) -> None:
        self._polling = False
        if self._socket is None or self._reading:
            return
        if self._socket.hung_up() is HangUp.GONE and not (self._at_end and self._peer_finished):
            self._local_reset([])
        else:
            self._polling = True
            self._after(HANG_UP_POLL_S, messages.HangUpPollDue())

    def _after(self, delay_s: float, message: messages.EndInbound) -> Timer:
        # Every subclass takes these messages, which a type variable cannot say.
        return self.schedule(delay_s, cast("M", message))

    def _forget(self, remote: AgentId, connection: int, *, is_exit: bool) -> None:
        """Tell the connection table that this connection no longer ends here."""
        self.tell(self._table, table_messages.ConnectionEnded(remote, connection, is_exit))


_NOTHING: Final = Effects()
