"""The stage on which sockets' contracts are held: the real kernel, and the in-memory network."""

import queue
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

import msgspec

from actors.runtime.actor import Actor
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import Connected, HangUp, SocketOptions
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import SocketAddress, TcpAddress

LIMIT_S: Final = 10.0
PAUSE_S: Final = 0.02
"""On loopback, or simulated and 1 ms away, a round trip takes a tenth of this at most."""
PLAIN: Final = SocketOptions()
SMALL_BUFFERS: Final = SocketOptions(send_buffer_bytes=262_144, receive_buffer_bytes=65_536)


class Do(msgspec.Struct, frozen=True):
    """Command: run ``action`` in a turn and answer with what it returns."""

    action: Callable[["Program"], Any]


class Program(Actor[Any]):
    """Does what the test says, and passes on what it hears; readiness is reported once for each watch."""

    def __init__(self, dispatcher: Any, heard: "queue.SimpleQueue[Any]") -> None:
        super().__init__(dispatcher)
        self.heard = heard
        self.reports_left = 1

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Do):
            return message.action(self)
        if isinstance(message, Connected):
            self.own(message.socket)
        self.heard.put(message)
        return None

    def on_readable(self, socket: Any) -> None:
        self._report("readable", socket, socket.watch_read)

    def on_writable(self, socket: Any) -> None:
        self._report("writable", socket, socket.watch_write)

    def poll(self, condition: Callable[[], bool]) -> None:
        """Pass on a mark as soon as ``condition`` holds."""
        if condition():
            self.heard.put("holds")
        else:
            self.schedule(0.001, Do(lambda program: program.poll(condition)))

    def _report(self, what: str, socket: Any, watch: Callable[[bool], None]) -> None:
        self.reports_left -= 1
        if self.reports_left == 0:
            self.reports_left = 1
            watch(False)
        self.heard.put((what, socket))


class Place(Protocol):
    """Where a contract is held: two dispatchers, and a way to wait."""

    near: Any
    far: Any
    far_host: str
    bound_host: str

    def ask(self, ref: Any, message: object) -> Any: ...

    def wait(self, heard: "queue.SimpleQueue[Any]") -> Any: ...


class RealPlace:
    far_host = bound_host = "127.0.0.1"

    def __init__(self) -> None:
        self.near = self.far = LoopDispatcher("contract")
        self.near.start()

    def ask(self, ref: Any, message: object) -> Any:
        return ref.ask(message, timeout=LIMIT_S)

    def wait(self, heard: "queue.SimpleQueue[Any]") -> Any:
        return heard.get(timeout=LIMIT_S)

    def stop(self) -> None:
        assert self.near.stop(LIMIT_S)


class VirtualPlace:
    def __init__(self, far: str, far_host: str, bound_host: str) -> None:
        self.world = VirtualWorld(1)
        self.near = self.world.dispatcher("near")
        self.far = self.world.dispatcher(far)
        self.far_host = far_host
        self.bound_host = bound_host

    def ask(self, ref: Any, message: object) -> Any:
        return self.world.ask(ref, message, LIMIT_S)

    def wait(self, heard: "queue.SimpleQueue[Any]") -> Any:
        self.world.run_while(heard.empty, LIMIT_S)
        return heard.get_nowait()

    def stop(self) -> None:
        self.world.stop()
        assert self.world.open_sockets("near") == 0
        assert self.world.open_sockets(self.far.host_name) == 0


class Side:
    """One program, driven step by step from outside."""

    def __init__(self, place: Place, dispatcher: Any) -> None:
        self.place = place
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.ref = Program.start(dispatcher, self.heard)

    def do(self, action: Callable[[Program], Any]) -> Any:
        return self.place.ask(self.ref, Do(action))

    def hear(self) -> Any:
        return self.place.wait(self.heard)

    def bind(self, address: SocketAddress, *, listen: bool = True, options: SocketOptions = PLAIN) -> Any:
        def action(program: Program) -> Any:
            socket = program.own(program.dispatcher.bind(address, options))
            if listen:
                socket.listen()
            return socket

        return self.do(action)

    def connect(self, address: SocketAddress, options: SocketOptions = PLAIN) -> Any:
        self.do(lambda program: program.dispatcher.connect(program.ref, address, 7, options))
        return self.hear()

    def accept(self, listener: Any) -> Any:
        self.do(lambda _: listener.watch_read(True))
        assert self.hear() == ("readable", listener)
        return self.do(lambda program: program.own(listener.accept()))

    def send(self, socket: Any, *buffers: bytes) -> int:
        return self.do(lambda _: socket.send(buffers))

    def await_readable(self, socket: Any) -> None:
        self.do(lambda _: socket.watch_read(True))
        assert self.hear() == ("readable", socket)

    def receive(self, socket: Any) -> bytes:
        """What one read gives, waiting for it; empty is the end of the stream."""
        self.await_readable(socket)

        def action(program: Program) -> bytes:
            count = socket.recv_into(program.dispatcher.read_buffer)
            return bytes(program.dispatcher.read_buffer[:count])

        return self.do(action)

    def receive_exactly(self, socket: Any, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.receive(socket)
            assert more, f"the stream ended after {len(data)} bytes"
            data += more
        return data

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what no readiness shows."""
        self.do(lambda program: program.poll(condition))
        assert self.hear() == "holds"

    def pause(self) -> None:
        """Let a few round trips pass."""
        self.do(lambda program: program.schedule(PAUSE_S, Do(lambda program: program.heard.put("paused"))))
        assert self.hear() == "paused"

    def hung_up(self, socket: Any) -> HangUp:
        return self.do(lambda _: socket.hung_up())


class Pair(msgspec.Struct):
    """A connection: ``client`` is the near side's socket, ``server`` the far side's."""

    near: Side
    client: Any
    far: Side
    server: Any
    listener: Any
    address: TcpAddress


def on_loopback() -> AbstractContextManager[Any]:
    return _stopping(RealPlace())


def same_host() -> AbstractContextManager[Any]:
    return _stopping(VirtualPlace("near", "127.0.0.1", "127.0.0.1"))


def two_hosts() -> AbstractContextManager[Any]:
    return _stopping(VirtualPlace("far", "far", ""))


@contextmanager
def _stopping(place: Any) -> Iterator[Any]:
    try:
        yield place
    finally:
        place.stop()


PLACES: Final = (on_loopback, same_host, two_hosts)


def make_pair(place: Any, near: Side, far: Side, options: SocketOptions = PLAIN) -> Pair:
    listener = far.bind(TcpAddress(place.bound_host, 0))
    address = TcpAddress(place.far_host, listener.port)
    connected = near.connect(address, options)
    assert isinstance(connected, Connected)
    return Pair(near, connected.socket, far, far.accept(listener), listener, address)
