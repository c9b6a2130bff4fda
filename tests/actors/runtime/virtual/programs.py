"""Programs for the simulated network: a server that echoes, and a client that keeps what it hears."""

from typing import Any

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, SocketOptions
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress, UnixAddress

PORT = 4433


class Server(Actor[Any]):
    """Accepts on one port and sends everything back."""

    def __init__(self, dispatcher: Any, *, bound: str = "") -> None:
        super().__init__(dispatcher)
        self.address = TcpAddress(bound, PORT)
        self.accepted: list[Any] = []
        self.accept_errors: list[Any] = []
        self.listener: Any = None

    def on_start(self) -> None:
        self.listener = self.own(self.dispatcher.bind(self.address))
        self.listener.listen()
        self.listener.watch_read(True)

    def on_readable(self, socket: Any) -> None:
        if socket is self.listener:
            try:
                client = self.own(socket.accept())
            except OSError as error:
                self.accept_errors.append(error.errno)
                socket.watch_read(False)
                return
            self.accepted.append(client)
            client.watch_read(True)
            return
        try:
            count = socket.recv_into(self.dispatcher.read_buffer)
        except ConnectionResetError:
            count = 0
        if count:
            socket.send([self.dispatcher.read_buffer[:count]])
        else:
            socket.close()
            self.disown(socket)
            self.accepted.remove(socket)


class Client(Actor[Any]):
    """Connects where it is told to, and keeps what it hears with the time."""

    def __init__(self, dispatcher: Any) -> None:
        super().__init__(dispatcher)
        self.heard: list[tuple[float, Any]] = []
        self.received = b""
        self.sockets: list[Any] = []
        self.released = 0

    def on_receive(self, message: Any) -> Any:
        match message:
            case TcpAddress() | UnixAddress():
                return self.dispatcher.connect(self.ref, message, 1, SocketOptions())
            case bytes():
                return self.sockets[-1].send([message])
            case str():
                return self.dispatcher.resolve(self.ref, message, 80, 2)
            case Connected(socket=socket):
                self.sockets.append(self.own(socket))
                socket.watch_read(True)
        self.heard.append((self.now(), message))
        return None

    def on_readable(self, socket: Any) -> None:
        try:
            count = socket.recv_into(self.dispatcher.read_buffer)
        except OSError as error:
            self.heard.append((self.now(), error.errno))
            socket.close()
            return
        self.received += bytes(self.dispatcher.read_buffer[:count])
        self.heard.append((self.now(), count))
        if not count:
            socket.close()

    def release(self) -> None:
        self.released += 1


def start(world: VirtualWorld, cls: Any, host: str, **options: Any) -> Any:
    ref = cls.start(world.dispatcher(host), **options)
    return world.dispatcher(host).actors[-1], ref


def connected(world: VirtualWorld) -> tuple[Client, Any, Server]:
    server, _ = start(world, Server, "b")
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("b", PORT))
    world.run(1.0)
    assert isinstance(client.heard.pop()[1], Connected)
    return client, ref, server
