"""A dialer, whoever it dials, and the links that it makes, which only listen."""

from typing import Any

from actors.links.dialer import Dialer
from actors.messages.peer_directory import DialerReported
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from tests.actors.company import IDENTITIES, Ear, start

PORT = 4433
PEER = IDENTITIES[0].id


class Acceptor(Ear):
    """Takes whoever comes, and keeps them."""

    def on_start(self) -> None:
        self.clients: list[Any] = []
        listening = self.own(self.dispatcher.bind(TcpAddress("", PORT)))
        listening.listen()
        listening.watch_read(True)

    def on_readable(self, socket: Any) -> None:
        self.clients.append(self.own(socket.accept()))


class Link(Ear):
    """A link that the dialer made."""

    def __init__(self, dispatcher: Any, socket: Any) -> None:
        super().__init__(dispatcher)
        self.socket = socket

    def on_start(self) -> None:
        self.own(self.socket)


class House:
    def __init__(self) -> None:
        self.world = VirtualWorld(1)
        self.directory = start(self.world)
        self.links: list[Link] = []
        self.dialers: list[Any] = []
        self.tickets: list[bytes] = []

    def dial(self, host: str = "relay") -> Any:
        return start(
            self.world,
            Dialer,
            address=TcpAddress(host, PORT),
            expected=None,
            directory=self.directory.ref,
            start_link=self._start_link,
        )

    def _start_link(self, socket: Any, dialer: Any, expected: Any, ticket: bytes) -> Any:
        ref = Link.start(self.world.dispatcher("here"), socket)
        self.links.append(self.world.dispatcher("here").actors[-1])
        self.dialers.append(dialer)
        self.tickets.append(ticket)
        return ref

    def states(self) -> list[str | None]:
        return [report.state for report in self.directory.of(DialerReported)]

    def problem(self) -> str | None:
        """What the dashboard says last of the dialed peer."""
        return self.directory.of(DialerReported)[-1].problem

    def tell(self, dialer: Any, *told: Any) -> None:
        for message in told:
            dialer.ref.tell(message)
        self.world.run(0.0)
