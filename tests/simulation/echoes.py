"""Interactive users of a simulated mesh: a service that says everything back, a client that waits for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, Dispatcher, SocketOptions, StreamSocket
from mesh.addresses import TcpAddress

KEY: Final = "echo"
LISTEN_PORT: Final = 5007
SERVICE_PORT: Final = 7
KEYSTROKE: Final = b"k" * 40


class Echo(Actor[Any]):
    """Says back what it hears; its listeners and clients say so little that there is always room."""

    def on_start(self) -> None:
        """Listen."""
        self.listener = self.own(self.dispatcher.bind(TcpAddress("", SERVICE_PORT)))
        self.listener.listen()
        self.listener.watch_read(True)

    def on_receive(self, message: Any) -> None:
        """Nobody tells it anything."""
        raise AssertionError(message)

    def on_readable(self, socket: Any) -> None:
        """A client has come, or said something."""
        if socket is self.listener:
            self.own(socket.accept()).watch_read(True)
            return
        count = socket.recv_into(self.dispatcher.read_buffer)
        if count:
            socket.send([bytes(self.dispatcher.read_buffer[:count])])
        else:
            socket.close()
            self.disown(socket)


@dataclass
class Asked:
    """What a :class:`Typist` has met."""

    round_trips_s: list[float] = field(default_factory=list)
    is_over: bool = False


class Typist(Actor[Any]):
    """Sends a keystroke, waits for its echo, thinks, sends the next."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        address: TcpAddress,
        think_s: float,
        goes_on: Callable[[], bool],
        asked: Asked,
    ) -> None:
        super().__init__(dispatcher)
        self.address = address
        self.think_s = think_s
        self.goes_on = goes_on
        self.asked = asked
        self.socket: StreamSocket | None = None
        self.sent_at = 0.0
        self.heard = b""

    def on_start(self) -> None:
        """Connect."""
        self.dispatcher.connect(self.ref, self.address, 1, SocketOptions(no_delay=True))

    def on_receive(self, message: Any) -> None:
        """Connected, or thought enough."""
        if isinstance(message, Connected):
            self.socket = self.own(message.socket)
            self.socket.watch_read(True)
        elif self.socket is None:
            raise AssertionError(message)
        if self.goes_on():
            self.sent_at = self.now()
            self.socket.send([KEYSTROKE])
        else:
            self.socket.close()
            self.asked.is_over = True
            self.stop_now()

    def on_readable(self, socket: Any) -> None:
        """The echo, or a part of it."""
        count = socket.recv_into(self.dispatcher.read_buffer)
        self.heard += bytes(self.dispatcher.read_buffer[:count])
        if not KEYSTROKE.startswith(self.heard) or not count:
            raise AssertionError(f"heard {self.heard!r}")
        if self.heard == KEYSTROKE:
            self.heard = b""
            self.asked.round_trips_s.append(self.now() - self.sent_at)
            self.schedule(self.think_s, "thought enough")
