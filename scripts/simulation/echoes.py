"""Interactive users of a simulated mesh: a service that says everything back, a client that waits for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, ConnectFailed, Dispatcher, SocketOptions, StreamSocket
from mesh.addresses import TcpAddress

KEY: Final = "echo"
LISTEN_PORT: Final = 5007
SERVICE_PORT: Final = 7
KEYSTROKE: Final = b"k" * 40


class Echo(Actor[Any]):
    """Says back what it hears; its listeners and clients say so little that there is always room."""

    def __init__(self, dispatcher: Dispatcher, port: int = SERVICE_PORT) -> None:
        super().__init__(dispatcher)
        self.port = port

    def on_start(self) -> None:
        """Listen."""
        self.listener = self.own(self.dispatcher.bind(TcpAddress("", self.port)))
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
        try:
            count = socket.recv_into(self.dispatcher.read_buffer)
        except OSError:
            count = 0
        if count:
            socket.send([bytes(self.dispatcher.read_buffer[:count])])
        else:
            socket.close()
            self.disown(socket)


@dataclass
class Asked:
    """What a :class:`Typist` has met."""

    round_trips_s: list[float] = field(default_factory=list)
    """Of each keystroke that was answered; the first one opened the connection."""
    waits_since: float | None = None
    """When the keystroke was sent that has no answer yet."""
    is_over: bool = False
    broken: str = ""
    """What went wrong, if anything did."""


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
        self.heard = b""

    def on_start(self) -> None:
        """Connect."""
        self.asked.waits_since = self.now()
        self.dispatcher.connect(self.ref, self.address, 1, SocketOptions(no_delay=True))

    def on_receive(self, message: Any) -> None:
        """Connected or not, or thought enough."""
        if isinstance(message, ConnectFailed):
            self._end(f"not connected: {message.reason}")
            return
        if isinstance(message, Connected):
            self.socket = self.own(message.socket)
            self.socket.watch_read(True)
        if self.socket is None:
            return
        if not self.goes_on():
            self._end()
            return
        self.asked.waits_since = self.now()
        try:
            self.socket.send([KEYSTROKE])
        except OSError as error:
            self._end(f"not sent: {error.strerror}")

    def on_readable(self, socket: Any) -> None:
        """The echo, or a part of it."""
        try:
            count = socket.recv_into(self.dispatcher.read_buffer)
        except OSError as error:
            self._end(f"reset: {error.strerror}")
            return
        self.heard += bytes(self.dispatcher.read_buffer[:count])
        if not KEYSTROKE.startswith(self.heard) or not count:
            self._end(f"heard {self.heard!r}")
        elif self.heard == KEYSTROKE and self.asked.waits_since is not None:
            self.heard = b""
            self.asked.round_trips_s.append(self.now() - self.asked.waits_since)
            self.asked.waits_since = None
            self.schedule(self.think_s, "thought enough")

    def _end(self, broken: str = "") -> None:
        self.asked.broken, self.asked.waits_since, self.asked.is_over = broken, None, True
        if self.socket is not None:
            self.socket.close()
        self.stop_now()
