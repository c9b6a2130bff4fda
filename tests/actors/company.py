"""What the actors' tests share: an actor that only listens, and records of agents that nobody runs."""

from typing import Any

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, SocketOptions
from actors.runtime.virtual.world import UNIX_START_S, VirtualWorld
from mesh.addresses import TcpAddress
from mesh.routing.records import EndpointEntry, Record, RecordBody, trusted_record
from mesh.routing.routes import Candidate, RouteSnapshot
from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import Identity, Instance

AUTHORITY = Identity(bytes(32))
IDENTITIES = sorted((Identity(bytes((number,)) * 32) for number in range(1, 6)), key=lambda each: each.id)
"""In the order of their IDs."""


class Ear(Actor[Any]):
    """Hears, and does nothing."""

    def __init__(self, dispatcher: Any) -> None:
        super().__init__(dispatcher)
        self.heard: list[Any] = []

    def on_receive(self, message: Any) -> None:
        self.heard.append(message)

    def of(self, kind: type) -> list[Any]:
        """What it heard of one kind of message."""
        return [message for message in self.heard if isinstance(message, kind)]


class Client(Ear):
    """Connects to a port, and notes how that ends."""

    def __init__(self, dispatcher: Any, address: TcpAddress) -> None:
        super().__init__(dispatcher)
        self._address = address
        self.socket: Any = None
        self.end = ""

    def on_start(self) -> None:
        self.dispatcher.connect(self.ref, self._address, 1, SocketOptions())

    def on_receive(self, message: Any) -> None:
        match message:
            case Connected(socket=socket):
                self.socket = self.own(socket)
                socket.watch_read(True)
            case "leave":
                self.socket.abort()
                self.end = "left"
            case _:
                self.end = message.reason

    def on_readable(self, socket: Any) -> None:
        try:
            self.end = "data" if socket.recv_into(self.dispatcher.read_buffer) else "EOF"
        except OSError as error:
            self.end = error.strerror or ""
        socket.watch_read(False)


def start(world: VirtualWorld, kind: type = Ear, *args: Any, host: str = "here", **settings: Any) -> Any:
    """A new actor, started: the instance itself; its reference is ``.ref``."""
    dispatcher = world.dispatcher(host)
    kind.start(dispatcher, *args, **settings)
    actor = dispatcher.actors[-1]
    world.run(0.0)
    return actor


def record_of(identity: Identity, *keys: str, instance: bytes = b"i", valid_s: int = 100_000) -> Record:
    """The record of an agent that offers ``keys``, certified for the first ``valid_s`` seconds."""
    certificate = issue_certificate(
        AUTHORITY,
        subject=identity.public_key,
        name="agent",
        not_before=int(UNIX_START_S),
        not_after=int(UNIX_START_S) + valid_s,
        may_register=["*"],
        may_use=["*"],
        may_relay=True,
    )
    body = RecordBody(
        public_key=identity.public_key,
        epoch=1,
        sequence=1,
        instance=Instance(instance * 16),
        session_key=identity.public_key,
        certificate=certificate,
        relays=True,
        draining=False,
        withdrawn=False,
        endpoints=tuple(EndpointEntry(key, None) for key in keys),
    )
    return trusted_record(body, read_certificate(certificate))


def routes_of(
    own: Identity, *records: Record, next_hops: dict[Any, Any] | None = None, equally_near: bool = False
) -> RouteSnapshot:
    """A snapshot in which the offering agents are candidates in the order of ``records``."""
    offers: dict[str, tuple[Candidate, ...]] = {}
    for hop_count, record in enumerate(records):
        for key in record.offered_keys:
            offers[key] = (
                *offers.get(key, ()),
                Candidate(record.agent_id, 0 if equally_near else hop_count, 0),
            )
    return RouteSnapshot(
        own_id=own.id,
        version=1,
        next_hops=next_hops or {},
        hop_counts={},
        candidates=offers,
        records={record.agent_id: record for record in records},
    )
