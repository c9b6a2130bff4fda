"""A link on loopback that can be shaped and cut: a proxy between who dials and who accepts."""

from collections import deque
from typing import Any, Final

import msgspec

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, ConnectFailed, Dispatcher, SocketOptions
from mesh.addresses import TcpAddress

CHUNK_BYTES: Final = 65_536
HELD_BYTES: Final = 512 * 1024
"""Under way at most in one direction of a connection: what the kernels' buffers of a real path may hold."""

OPTIONS: Final = SocketOptions(reset_if_abandoned=True)


class Shape(msgspec.Struct, frozen=True):
    """Command: latency one way, and bandwidth, from now on."""

    latency_s: float
    bytes_per_s: float


class Cut(msgspec.Struct, frozen=True):
    """Command: carry nothing from the dialing to the accepting agent, or back, or neither."""

    there: bool
    back: bool


class Refuse(msgspec.Struct, frozen=True):
    """Command: reset all connections, and new ones, until healed."""


class Heal(msgspec.Struct, frozen=True):
    """Command: carry everything."""


class _Due(msgspec.Struct, frozen=True):
    """Timer: a flow has something that arrives now."""

    flow: "_Flow"


class _Way:
    """One direction of the link, which all its connections share."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.cut = False
        self.free_at = 0.0

    def arrival(self, now: float, byte_count: int) -> float:
        """When so many bytes that are sent now arrive."""
        self.free_at = max(now, self.free_at) + byte_count / self.shape.bytes_per_s
        return self.free_at + self.shape.latency_s


class _Flow:
    """One direction of one connection."""

    def __init__(self, link: "RealLink", source: Any, sink: Any, way: _Way) -> None:
        self.link, self.source, self.sink, self.way = link, source, sink, way
        self.held: deque[tuple[float, memoryview]] = deque()
        """What is under way; the end of the stream is empty."""
        self.byte_count = 0
        self.broken = False
        """The source was reset; so will the sink be, behind what is under way."""
        self.over = False
        self.armed = False
        """A timer runs for the first of what is under way."""
        self.reverse: _Flow | None = None

    def read(self) -> None:
        """Take from the source what has come."""
        buffer = self.link.dispatcher.read_buffer[:CHUNK_BYTES]
        try:
            count = self.source.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            self.broken = True
            count = 0
        if not count or self.byte_count + count >= HELD_BYTES:
            self.source.watch_read(False)
        self.byte_count += count
        now = self.link.now()
        self.held.append((self.way.arrival(now, count), memoryview(bytes(buffer[:count]))))
        self._arm()

    def _arm(self) -> None:
        if not self.armed:
            self.armed = True
            self.link.schedule(max(0.0, self.held[0][0] - self.link.now()), _Due(self))

    def pump(self) -> None:
        """Give the sink what has arrived."""
        while self.held and not self.way.cut and not self.over:
            due, data = self.held[0]
            if due > self.link.now():
                self._arm()
                return
            if not data:
                self.held.clear()
                self._end()
                return
            try:
                count = self.sink.send([data])
            except BlockingIOError:
                self.sink.watch_write(True)
                return
            except OSError:
                self._sink_is_gone()
                return
            self.byte_count -= count
            self.held[0] = (due, data[count:])
            if count == len(data):
                self.held.popleft()
            if not self.broken:
                self.source.watch_read(self.byte_count < HELD_BYTES and not self._has_ended())
        self.sink.watch_write(False)

    def _has_ended(self) -> bool:
        return bool(self.held) and not self.held[-1][1]

    def _end(self) -> None:
        self.over = True
        if self.broken:
            self.link.abort(self)
            return
        self.sink.shutdown_write()
        if self.reverse is not None and self.reverse.over:
            self.link.close(self)

    def _sink_is_gone(self) -> None:
        """The source learns it as it would over the link: on the other way, behind what is there."""
        self.over = True
        self.held.clear()
        reverse = self.reverse
        if reverse is not None and not reverse.over and not reverse.broken:
            reverse.broken = True
            reverse.held.append((reverse.way.arrival(self.link.now(), 0), memoryview(b"")))
            reverse._arm()


class RealLink(Actor[Any]):
    """The link between two agents.

    Args:
        port: where the dialing agent connects to.
        target: where the other one accepts.
    """

    def __init__(self, dispatcher: Dispatcher, *, port: int, target: int, shape: Shape) -> None:
        super().__init__(dispatcher)
        self._port, self._target = port, target
        self._there, self._back = _Way(shape), _Way(shape)
        self._refusing = False
        self._flows: dict[Any, _Flow] = {}
        """By the socket that is read."""
        self._dialing: dict[int, Any] = {}
        self._token = 0

    def on_start(self) -> None:
        """Accept."""
        self._listener = self.own(self.dispatcher.bind(TcpAddress("127.0.0.1", self._port), OPTIONS))
        self._listener.listen()
        self._listener.watch_read(True)

    def on_receive(self, message: Any) -> None:
        """Handle one message."""
        match message:
            case _Due(flow=flow):
                flow.armed = False
                flow.pump()
            case Shape():
                self._there.shape = self._back.shape = message
            case Cut(there=there, back=back):
                self._there.cut |= there
                self._back.cut |= back
            case Refuse():
                self._refusing = True
                for flow in list(self._flows.values()):
                    self.abort(flow)
            case Heal():
                self._there.cut = self._back.cut = self._refusing = False
                for flow in list(self._flows.values()):
                    flow.pump()
            case Connected(token=token, socket=socket):
                self._connected(self._dialing.pop(token), self.own(socket))
            case ConnectFailed(token=token):
                self._drop(self._dialing.pop(token), abort=True)

    def _connected(self, client: Any, server: Any) -> None:
        there = _Flow(self, client, server, self._there)
        back = _Flow(self, server, client, self._back)
        there.reverse, back.reverse = back, there
        self._flows |= {client: there, server: back}
        if self._refusing:
            self.abort(there)
            return
        client.watch_read(True)
        server.watch_read(True)

    def on_readable(self, socket: Any) -> None:
        """A client has come, or bytes have."""
        if socket is not self._listener:
            flow = self._flows.get(socket)
            if flow is not None:
                flow.read()
            return
        client = self.own(socket.accept())
        if self._refusing:
            self._drop(client, abort=True)
            return
        self._token += 1
        self._dialing[self._token] = client
        self.dispatcher.connect(self.ref, TcpAddress("127.0.0.1", self._target), self._token, OPTIONS)

    def on_writable(self, socket: Any) -> None:
        """There is room again."""
        flow = self._flows.get(socket)
        if flow is not None and flow.reverse is not None:
            flow.reverse.pump()

    def abort(self, flow: _Flow) -> None:
        """Reset a connection at both ends."""
        self._end(flow, abort=True)

    def close(self, flow: _Flow) -> None:
        """A connection has ended in order."""
        self._end(flow, abort=False)

    def _end(self, flow: _Flow, *, abort: bool) -> None:
        for each in (flow, flow.reverse):
            if each is not None and self._flows.pop(each.source, None) is not None:
                each.over = True
                each.held.clear()
                self._drop(each.source, abort=abort)

    def _drop(self, socket: Any, *, abort: bool) -> None:
        (socket.abort if abort else socket.close)()
        self.disown(socket)
