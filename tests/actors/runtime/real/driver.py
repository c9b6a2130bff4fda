"""A program on a real dispatcher, driven step by step from the test's thread."""

import queue
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from actors.runtime.actor import Actor
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import PLAIN_OPTIONS, Connected, SocketOptions
from mesh.addresses import TcpAddress

LIMIT_S = 10.0
LOCAL = "127.0.0.1"


class Do(msgspec.Struct, frozen=True):
    """Command: run ``action`` in a turn and answer with what it returns."""

    action: Callable[["Program"], Any]


class Program(Actor[Any]):
    """Does what the test says and passes on what it hears; readiness is reported once for each watch."""

    def __init__(self, dispatcher: Any) -> None:
        super().__init__(dispatcher)
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.reports = 0
        self.keep_watching = False

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Do):
            return message.action(self)
        self.heard.put(message)
        return None

    def on_readable(self, socket_: Any) -> None:
        self.reports += 1
        if not self.keep_watching:
            socket_.watch_read(False)
        self.heard.put(("readable", socket_))

    def on_writable(self, socket_: Any) -> None:
        socket_.watch_write(False)
        self.heard.put(("writable", socket_))


class Driver:
    """A program, driven step by step from the test's thread."""

    def __init__(self, dispatcher: LoopDispatcher) -> None:
        self.dispatcher = dispatcher
        self.ref = Program.start(dispatcher)
        self.heard = self.do(lambda program: program.heard)

    def do(self, action: Callable[[Program], Any]) -> Any:
        return self.ref.ask(Do(action), timeout=LIMIT_S)

    def bind(self, address: Any, *, listen: bool = True, options: SocketOptions = PLAIN_OPTIONS) -> Any:
        def action(program: Program) -> Any:
            bound = program.own(program.dispatcher.bind(address, options))
            if listen:
                bound.listen()
            return bound

        return self.do(action)

    def connect(self, address: Any, options: SocketOptions = PLAIN_OPTIONS) -> Any:
        self.do(lambda program: program.dispatcher.connect(program.ref, address, 7, options))
        heard = self.heard.get(timeout=LIMIT_S)
        if isinstance(heard, Connected):
            self.do(lambda program: program.own(heard.socket))
        return heard

    def accept(self, listener: Any) -> Any:
        self.do(lambda _: listener.watch_read(True))
        assert self.heard.get(timeout=LIMIT_S) == ("readable", listener)
        return self.do(lambda program: program.own(listener.accept()))

    def pair(self, options: SocketOptions = PLAIN_OPTIONS) -> tuple[Any, Any, Any]:
        listener = self.bind(TcpAddress(LOCAL, 0))
        client = self.connect(TcpAddress(LOCAL, listener.port), options).socket
        return client, self.accept(listener), listener


def refusal(port: int, host: str = LOCAL) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
        return client.connect_ex((host, port))
