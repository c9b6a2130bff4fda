"""The local socket of a connection's end, a client's or a target's: what waits for it, and its hang-up.

Nobody reads a socket for which the stream has no credit, so it is asked each second whether it has hung up. A
socket that was reset may still hold what it sent before.
"""

import enum
import errno
from abc import abstractmethod
from collections import deque
from math import inf
from typing import Generic, TypeVar

from actors.connections.connection_settings import NOT_SENT_BYTES, ConnectionSettings
from actors.connections.due import HANG_UP_POLL_S, LEFT_S, NOTHING_DUE, Due
from actors.key_meters import KeyMeter
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.gather import drop_sent
from actors.runtime.seam import Dispatcher, HangUp, StreamSocket
from mesh.deadlines import Deadlines

M = TypeVar("M")


class Break(enum.Enum):
    """Whether the local socket is broken: it takes nothing more, but may hold what came before its reset."""

    NONE = "none"
    SHOWN = "shown"
    """Reading it shows the reset, once all else has been read."""
    HIDDEN = "hidden"
    """A send has taken its error away: reading will show an end of stream instead, which is none."""


class LocalSocketActor(Actor[M], Generic[M]):
    """Owns at most one local socket; the subclass reads it, and fills what waits for it."""

    # An agent may have ten thousand of these; a dictionary for so many attributes takes 1.2 KiB more.
    __slots__ = (
        "_at_end",
        "_break",
        "_deadlines",
        "_end_waits",
        "_has_spoken",
        "_key_meter",
        "_meters",
        "_peer_finished",
        "_reading",
        "_settings",
        "_socket",
        "_waiting",
        "_writing",
    )

    def __init__(
        self, dispatcher: Dispatcher, *, settings: ConnectionSettings, meters: Meters, key_meter: KeyMeter
    ) -> None:
        super().__init__(dispatcher)
        self._settings = settings
        self._meters = meters
        self._key_meter = key_meter
        self._deadlines = Deadlines(NOTHING_DUE)
        self._socket: StreamSocket | None = None
        self._waiting: deque[bytes | memoryview] | None = None
        """Bytes from the stream for the local socket; none is None, for an empty deque takes 760 bytes."""
        self._peer_finished = False
        """Nothing follows what waits: then the local socket is told the end of its stream."""
        self._at_end = False
        """The local socket has sent its end of stream."""
        self._end_waits = False
        """The local socket's end of stream was seen before its turn: behind what nobody reads yet."""
        self._has_spoken = False
        """The local socket has sent something, or its end; or it is not one that soon ends after that."""
        self._reading = False
        self._writing = False
        self._break = Break.NONE

    # -- for the subclass ------------------------------------------------------------------------------------

    @abstractmethod
    def _broke(self, how: Break) -> None:
        """The local socket has been reset. What it sent before is still to be read, as credit allows."""

    def _socket_gone(self, socket: StreamSocket) -> None:
        """The local socket is closed; a subclass may tell somebody."""

    # -- what waits ------------------------------------------------------------------------------------------

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
                self._key_meter.received_bytes += taken
                self._broke(Break.HIDDEN if error.errno == errno.ECONNRESET else Break.SHOWN)
                return taken + self._write()
            taken += sent
            drop_sent(waiting, sent)
        if not waiting:
            self._waiting = None
            if self._peer_finished and not self._at_end:  # else it is closed in this turn
                self._socket.shutdown_write()
        self._meters.bytes_received += taken
        self._key_meter.received_bytes += taken
        if waiting or self._writing:
            self._watch_write(bool(waiting))
        return taken

    # -- what is read ----------------------------------------------------------------------------------------

    def _read_first(self, socket: StreamSocket, buffer: memoryview) -> tuple[int, bool]:
        """Read what the local socket says first: bytes, and whether its stream ends with them.

        A short answer and its end make one frame, for which it is worth to look once more. Later that would
        be a system call for each message of a long conversation.

        Raises:
            BlockingIOError: nothing has come yet.
            OSError: it was reset before it said anything.
        """
        count = socket.recv_into(buffer)
        self._has_spoken = True
        if not 0 < count < len(buffer) or self._break is not Break.NONE:
            return count, False
        try:
            more = socket.recv_into(buffer[count:])
        except BlockingIOError:
            return count, False
        except OSError:
            self._broke(Break.HIDDEN)  # this look has taken the error away
            return count, False
        return count + more, more == 0

    # -- readiness -------------------------------------------------------------------------------------------

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

    # -- its end ---------------------------------------------------------------------------------------------

    def _has_hung_up(self, now: float) -> bool:
        """Whether the local socket, unread, was reset; if not, it is asked again later."""
        if self._socket is None or self._reading:
            return False
        hung_up = self._socket.hung_up()
        if hung_up is HangUp.GONE and not (self._at_end and self._peer_finished):
            return True
        self._end_waits = hung_up is not HangUp.NO
        if hung_up is HangUp.LEFT and self._at_end and self._deadlines[Due.READ_OUT] == inf:
            self._deadlines[Due.READ_OUT] = now + LEFT_S
        self._deadlines[Due.HANG_UP_POLL] = now + HANG_UP_POLL_S
        return False

    def _drop_socket(self, *, reset: bool) -> None:
        socket, self._socket = self._socket, None
        if socket is None:
            return
        if reset:
            socket.abort()
        else:
            socket.finish()
        self.disown(socket)
        if self._writing:
            self._count_unsent(False)
        self._reading = self._writing = False
        self._deadlines[Due.HANG_UP_POLL] = inf
        self._deadlines[Due.READ_OUT] = inf
        self._socket_gone(socket)
