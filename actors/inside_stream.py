"""One end of a stream inside of this process: carries what a talk says and hears."""

from abc import abstractmethod
from functools import partial
from typing import Final, Generic, TypeVar

from actors.runtime.actor import Actor
from actors.runtime.alarm import Alarm
from actors.runtime.seam import Dispatcher, ListeningSocket, StreamSocket
from mesh.diagnostics.talk import Talk
from mesh.link.frames import MAX_SEGMENT_BYTES

PIECES_PER_TURN: Final = 4
"""Said, or heard, before other actors have their turn, of a segment each: a quarter of a megabyte."""

BUSY_S: Final = 0.25
"""How often to look whether something is due while nothing can be said."""

M = TypeVar("M")


class InsideStream(Actor[M], Generic[M]):
    """Owns the socket, and asks the talk what to do with it; the subclass says how it begins and ends.

    Args:
        dispatcher: where it runs.
        talk: what is said.
        due: the message for the time that the talk asks for; hand it to :meth:`_go_on`.
    """

    def __init__(self, dispatcher: Dispatcher, *, talk: Talk, due: M) -> None:
        super().__init__(dispatcher)
        self._talk = talk
        self._socket: StreamSocket | None = None
        self._unsent = memoryview(b"")
        self._is_shut = False
        self._has_heard_end = False
        self._alarm = Alarm(partial(dispatcher.schedule, self.ref), due)

    @abstractmethod
    def _finished(self) -> None:
        """The talk is over, in order or by time; the socket is still open."""

    @abstractmethod
    def _broken(self, why: str) -> None:
        """The stream is broken."""

    def _progressed(self) -> None:
        """Something was said or heard; a subclass may tell somebody."""

    def _begin(self, socket: StreamSocket) -> None:
        self._socket = self.own(socket)
        self._go_on()

    def release(self) -> None:
        """Let go of the stream."""
        self._alarm.end()
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()
            self.disown(socket)

    def on_readable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Let the talk hear."""
        self._carry(hears=True)

    def on_writable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Let the talk say more."""
        self._carry(hears=False)

    def _go_on(self) -> None:
        """Do what is due by now; on the message for that."""
        self._alarm.disarm()
        self._talk.look(self.now())
        self._carry(hears=False)

    def _carry(self, *, hears: bool) -> None:
        socket = self._socket
        if socket is None:
            return
        try:
            if hears:
                self._hear(socket)
            self._say(socket)
        except OSError as error:
            self._broken((error.strerror or str(error)).lower())
        else:
            self._settle(socket)

    def _hear(self, socket: StreamSocket) -> None:
        now, talk, buffer = self.now(), self._talk, self.dispatcher.read_buffer
        for _ in range(PIECES_PER_TURN):
            room = min(talk.room(now), MAX_SEGMENT_BYTES)
            if room <= 0:
                return
            try:
                count = socket.recv_into(buffer[:room])
            except BlockingIOError:
                return
            if count == 0:
                self._has_heard_end = True
                talk.ended(now)
                return
            talk.take(bytes(buffer[:count]), now)

    def _say(self, socket: StreamSocket) -> None:
        """Say what there is to say, as far as there is room."""
        now, talk = self.now(), self._talk
        for _ in range(PIECES_PER_TURN):
            if not self._unsent:
                self._unsent = memoryview(talk.next_piece(now))
            if not self._unsent:
                socket.watch_write(False)
                return
            try:
                sent = socket.send((self._unsent,))
            except BlockingIOError:
                break
            self._unsent = self._unsent[sent:]
        socket.watch_write(True)

    def _settle(self, socket: StreamSocket) -> None:
        now, talk = self.now(), self._talk
        if talk.has_expired or (talk.is_over and not self._unsent):
            self._finished()
            return
        if talk.has_finished and not self._unsent and not self._is_shut:
            self._is_shut = True
            socket.shutdown_write()
        socket.watch_read(not self._has_heard_end and talk.room(now) > 0)
        # While there is no room for what is said already, what is due has to wait.
        self._progressed()
        self._alarm.arm(max(talk.deadline(), now + BUSY_S if self._unsent else now), now)
