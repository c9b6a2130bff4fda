"""One side of one conversation, on one socket: sends what it has to, and compares what it hears."""

from typing import Any, Final

from actors.runtime.actor import Actor
from actors.runtime.seam import StreamSocket
from scripts.simulation.conversation import Heard

READ_BYTES: Final = 64 * 1024


class Talk:
    """One side of one conversation, on one socket."""

    def __init__(self, actor: Actor[Any], socket: StreamSocket, heard: Heard) -> None:
        self.actor = actor
        self.socket = socket
        self.heard = heard
        self.expected: bytes | None = None
        self.outgoing = memoryview(b"")
        self.may_send = 0
        self.finishing = False
        self.half_closed = False
        self.aborts_at: int | None = None

    def send(self, data: bytes) -> None:
        """Send all of ``data``, as there is room."""
        self.outgoing = memoryview(data)
        self.may_send = len(data)

    def pump(self) -> None:
        """Go on sending; half-close behind the last byte where that is wanted."""
        heard = self.heard
        while heard.sent < self.may_send and not heard.is_over:
            try:
                heard.sent += self.socket.send([self.outgoing[heard.sent : self.may_send]])
            except BlockingIOError:
                self.socket.watch_write(True)
                return
            except OSError as error:
                self.broken(error.errno or -1)
                return
        if heard.is_over:
            return
        self.socket.watch_write(False)
        if heard.sent == len(self.outgoing) and self.finishing and not self.half_closed:
            self.half_closed = True
            self.socket.shutdown_write()
            self.over_if_ended()

    def read(self) -> None:
        """Take what has arrived and compare it."""
        heard, buffer = self.heard, self.actor.dispatcher.read_buffer
        try:
            count = self.socket.recv_into(buffer[:READ_BYTES])
        except BlockingIOError:
            return
        except OSError as error:
            self.broken(error.errno or -1)
            return
        if count == 0:
            heard.ended = True
            heard.cut_short = self.expected is None or heard.byte_count != len(self.expected)
            self.socket.watch_read(False)
            self.over_if_ended()
            return
        taken = bytes(buffer[:count])
        self.take(taken)
        if self.aborts_at is not None and heard.byte_count >= self.aborts_at:
            self.leave()

    def take(self, data: bytes) -> None:
        """Compare bytes."""
        heard = self.heard
        if self.expected is None or self.expected[heard.byte_count : heard.byte_count + len(data)] != data:
            heard.wrong = True
        heard.byte_count += len(data)
        heard.heard_at = self.actor.now()

    def leave(self) -> None:
        """Reset."""
        if not self.heard.is_over:
            self.heard.left = True
            self.socket.abort()
            self._over()

    def broken(self, number: int) -> None:
        """The stream is broken."""
        self.heard.error = number
        self.socket.close()
        self._over()

    def over_if_ended(self) -> None:
        """Close where both directions have ended."""
        if self.heard.ended and self.half_closed and not self.heard.is_over:
            self.socket.close()
            self._over()

    def _over(self) -> None:
        self.heard.finished_at = self.actor.now()
        self.actor.disown(self.socket)
