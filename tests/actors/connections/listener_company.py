"""A listener, and ingress connections that are actors which only hold their client."""

from typing import Any

from actors.connections.listener import Listener
from actors.connections.offers import KnownOffers
from actors.messages import agent as agent_messages
from actors.messages.client_count import ClientCount
from actors.messages.connection import CloseConnection, ServeClient
from actors.messages.listener import PlaceFree
from actors.messages.route_table import RoutesChanged
from actors.meters import Meters
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from mesh.connection.loops import LoopWatch
from tests.actors.company import IDENTITIES, Client, Ear, routes_of, start

OWN, NEAR, FAR = IDENTITIES[:3]
PORT = 5432
ADDRESS = TcpAddress("127.0.0.1", PORT)


class Ingress(Ear):
    """Holds its client."""

    clients: ClientCount[Any] | None = None

    def __init__(self, dispatcher: Any, prepare_for: Any) -> None:
        super().__init__(dispatcher)
        self.prepare_for = prepare_for

    def on_receive(self, message: Any) -> None:
        super().on_receive(message)
        match message:
            case ServeClient(socket=socket, clients=clients):
                self.socket = self.own(socket)
                self.clients = clients
            case CloseConnection():
                self.stop_now()

    def release(self) -> None:
        if self.clients is not None:
            self.clients.leave(self.socket)
            if self.clients.awaited_by is not None:
                self.tell(self.clients.awaited_by, PlaceFree())

    @property
    def candidates(self) -> list[Any]:
        """What it was told to try, in this order."""
        (command,) = self.of(ServeClient)
        return [offer.party for offer in command.candidates]


class House:
    """Where the listener lives."""

    def __init__(
        self,
        *,
        max_connections: int = 0,
        may_use: bool = True,
        address: TcpAddress = ADDRESS,
        believed: frozenset[str] = frozenset(),
        is_granted: bool = False,
    ) -> None:
        self.world = VirtualWorld(1)
        self.routes = start(self.world)
        self.root = start(self.world)
        self.meters = Meters()
        self.ingresses: list[Ingress] = []
        self.settings = {
            "name": "postgres-main here",
            "key": "postgres-main",
            "address": address,
            "max_connections": max_connections,
            "believed": believed,
            "is_granted": is_granted,
            "may_use": lambda: may_use,
            "route_table": self.routes.ref,
            "start_ingress": self._start_ingress,
            "clients": ClientCount(),
            "loops": LoopWatch(),
            "offers": KnownOffers(),
            "meters": self.meters,
            "root": self.root.ref,
        }

    def open(self) -> Listener:
        self.listener = start(self.world, Listener, **self.settings)
        return self.listener

    def _start_ingress(self, prepare_for: Any, listener: Any) -> Any:
        ref = Ingress.start(self.world.dispatcher("here"), prepare_for)
        self.ingresses.append(self.world.dispatcher("here").actors[-1])
        return ref

    def port_troubles(self) -> list[str | None]:
        """What the root has heard of the listener's port."""
        reports = self.root.of(agent_messages.PartReported)
        assert {report.name for report in reports} == {self.settings["name"]}
        return [report.trouble for report in reports]

    def offer(self, *records: Any, equally_near: bool = False) -> None:
        """These offer the key, each one hop further than the one before, unless told otherwise."""
        self.tell(RoutesChanged(routes_of(OWN, *records, equally_near=equally_near)))

    def tell(self, *told: Any) -> None:
        for message in told:
            self.listener.ref.tell(message)
        self.world.run(0.0)

    def connect(self, port: int = PORT) -> Client:
        client = start(self.world, Client, TcpAddress("127.0.0.1", port))
        self.world.run(0.01)
        return client
