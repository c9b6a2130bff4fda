"""A SOCKS listener and what serves its clients, with ingress connections that only hold their client."""

from typing import Any

from actors.connections.named_service import NamedService
from actors.connections.offers import KnownOffers
from actors.connections.socks_listener import SocksListener
from actors.messages.client_count import ClientCount
from actors.messages.listener import CandidateServed
from actors.messages.route_table import RoutesChanged
from actors.meters import Meters
from actors.runtime.seam import Connected
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from mesh.config.schema import SocksSection
from mesh.connection.loops import LoopWatch
from mesh.socks.client import GREETING, request
from mesh.socks.numbers import PASSWORD_VERSION, VERSION, Method, Reply
from tests.actors.company import IDENTITIES, Client, record_of, routes_of, start
from tests.actors.connections.listener_company import Ingress

OWN, NEAR, FAR = IDENTITIES[:3]
KEY = "postgres-main"
ADDRESS = TcpAddress("127.0.0.1", 1080)
WELCOME = bytes((VERSION, Method.NONE))


class Program(Client):
    """A client that keeps what it is told."""

    def __init__(self, dispatcher: Any) -> None:
        super().__init__(dispatcher, ADDRESS)
        self.told = b""

    def on_receive(self, message: Any) -> None:
        match message:
            case bytes():
                assert self.socket.send((message,)) == len(message)
            case Connected() | "leave":
                super().on_receive(message)
            case _:
                self.end = message.reason

    def on_readable(self, socket: Any) -> None:
        try:
            count = socket.recv_into(self.dispatcher.read_buffer)
        except OSError as error:
            self.end = error.strerror or ""
            socket.watch_read(False)
            return
        self.told += bytes(self.dispatcher.read_buffer[:count])
        if not count:
            self.end = "EOF"
            socket.watch_read(False)

    @property
    def code(self) -> Reply:
        """The code of the reply that came last."""
        return Reply(self.told[-10:][1])


class SocksHouse:
    """Where the listener lives."""

    def __init__(self, *, may_use: bool = True, **section: Any) -> None:
        self.world = VirtualWorld(1)
        self.may_use = may_use
        self.meters = Meters()
        self.clients = ClientCount()
        self.routes = start(self.world)
        self.ingresses: list[Ingress] = []
        self.services: list[Any] = []
        self.socks = start(
            self.world,
            SocksListener,
            name="socks",
            section=SocksSection(address=ADDRESS, **section),
            may_use=lambda _: self.may_use,
            route_table=self.routes.ref,
            start_service=self._start_service,
            clients=self.clients,
            meters=self.meters,
            root=start(self.world).ref,
        )

    def _start_service(self, wanted: Any, snapshot: Any, asked_by: Any) -> Any:
        dispatcher = self.world.dispatcher("here")
        ref = NamedService.start(
            dispatcher,
            wanted=wanted,
            by=f"SOCKS listener {ADDRESS}",
            snapshot=snapshot,
            asked_by=asked_by,
            route_table=self.routes.ref,
            start_ingress=self._start_ingress,
            clients=self.clients,
            loops=LoopWatch(),
            offers=KnownOffers(),
            meters=self.meters,
        )
        self.services.append(ref)
        return ref

    def _start_ingress(self, prepare_for: Any, listener: Any) -> Any:
        ref = Ingress.start(self.world.dispatcher("here"), prepare_for)
        self.ingresses.append(self.world.dispatcher("here").actors[-1])
        listener.tell(CandidateServed(NEAR.id))
        return ref

    def offer(self, *identities: Any) -> None:
        """These offer the key from now on, the nearest first."""
        self.hear(routes_of(OWN, *(record_of(identity, KEY) for identity in identities)))

    def hear(self, routes: Any) -> None:
        for ref in (self.socks.ref, *self.services):
            if ref.is_alive():
                ref.tell(RoutesChanged(routes))
        self.world.run(0.0)

    def tell(self, message: Any) -> None:
        self.socks.ref.tell(message)
        self.world.run(0.0)

    def connect(self, said: bytes = b"") -> Program:
        program = start(self.world, Program)
        self.world.run(0.01)
        if said:
            program.ref.tell(said)
            self.world.run(0.01)
        return program

    def ask(self, host: str = KEY) -> Program:
        return self.connect(GREETING + request(host))

    @property
    def served(self) -> int:
        """Clients that connections have been started for."""
        return sum(each.clients is not None for each in self.ingresses)

    @property
    def standing_by(self) -> int:
        """Connections that wait for a client."""
        return sum(each.clients is None and each.ref.is_alive() for each in self.ingresses)


def login(user: str, password: str) -> bytes:
    """What a client says that has a password, and asks for the key."""
    greeting = bytes((VERSION, 2, Method.NONE, Method.PASSWORD))
    names = b"".join(bytes((len(each),)) + each.encode() for each in (user, password))
    return greeting + bytes((PASSWORD_VERSION,)) + names + request(KEY)
