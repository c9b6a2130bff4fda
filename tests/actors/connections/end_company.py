"""The world around an end of a connection: whom it talks to inside its agent, and the wire."""

import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from actors.connections.arrived_open import ArrivedOpen, PairKeys
from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS, ConnectionSettings
from actors.connections.exit_connection import ExitConnection
from actors.connections.ingress_connection import IngressConnection
from actors.connections.inside_services import InsideServices
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages import endpoint as endpoint_messages
from actors.messages import listener as listener_messages
from actors.messages.client_count import ClientCount
from actors.messages.peer_link import SendFrames
from actors.meters import Meters
from actors.runtime.seam import SocketOptions
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import SocketAddress, TcpAddress
from mesh.config.schema import Config, ConnectionsSection
from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.connection.key_stock import KeyStock
from mesh.connection.key_terms import KeyTerms
from mesh.connection.offer import Offer
from mesh.connection.pair_sessions import PairLimits, PairSessions
from mesh.connection.party import Party
from mesh.connection.shares import Shares
from mesh.connection.stream import StreamBudget
from mesh.link.frames import Frame
from mesh.trust.identity import Identity, Instance
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from mesh.trust.policy import Policy
from tests.actors.company import IDENTITIES, Ear, record_of, start
from tests.actors.links.link_company import RawPeer, socket_pair

INGRESS, EXIT, OTHER_EXIT = IDENTITIES[:3]
KEY = "my-api"
RESET = "Connection reset by peer"
TARGET = TcpAddress("target", 80)
BUDGET_BYTES = 1 << 28
PLACES = 1000
WIRE_LATENCY_S = 0.005
_DRAWN = itertools.count()
"""For secrets of which no two are alike."""


def settings_of(identity: Identity, **changes: Any) -> ConnectionSettings:
    static = key_pair(identity.public_key)
    timeouts = {name: changes.pop(name) for name in ConnectionsSection.__struct_fields__ if name in changes}
    shared = SharedSecrets(static)
    ephemerals = KeyStock(lambda count: next(_DRAWN).to_bytes(count, "big"), lambda: 0.0)
    settings = ConnectionSettings(
        party=Party(id=identity.id, instance=Instance(identity.public_key[:16]), session_key=static.public),
        static=static,
        shared=shared,
        budget=StreamBudget(BUDGET_BYTES),
        numbers=ConnectionNumbers(),
        ephemerals=ephemerals,
        pairs=PairSessions(PairLimits()),
        terms=KeyTerms(static, shared, ephemerals.make, lambda: None),
        config=Config(connections=ConnectionsSection(**timeouts)),
        policy=Policy({}, {}),
        special={},
        doors={},
        places=Shares(PLACES),
    )
    return msgspec.structs.replace(settings, **changes)


class Wire(Ear):
    """Stands for the links from one end to the other."""

    def __init__(self, dispatcher: Any, deliver: Callable[[tuple[Frame, ...]], None]) -> None:
        super().__init__(dispatcher)
        self.frames: list[Frame] = []
        self.is_cut = False
        self._deliver = deliver

    def on_receive(self, message: Any) -> None:
        if isinstance(message, SendFrames):
            self.frames += message.frames
            if message.frames and not self.is_cut:
                self.schedule(WIRE_LATENCY_S, message.frames)
        else:
            self._deliver(message)

    def of(self, *kinds: Any) -> list[Frame]:
        return [frame for frame in self.frames if frame.type in kinds]


class Table(Ear):
    """Gives every connection the wire to its exit."""

    def __init__(self, dispatcher: Any, wires: dict[Any, Any]) -> None:
        super().__init__(dispatcher)
        self.wires = wires
        self.numbers = 0
        self.answers = True

    def on_receive(self, message: Any) -> None:
        super().on_receive(message)
        if isinstance(message, table_messages.RegisterIngress) and self.answers:
            self.numbers += 1
            wire = self.wires.get(message.exit_id)
            link = wire.ref if wire else None
            self.tell(message.connection, messages.IngressRegistered(message.exit_id, message.number, link))

    @property
    def ended(self) -> list[tuple[int, bool]]:
        """Numbers that have been given back, and whether by their exit."""
        return [(ended.connection, ended.is_exit) for ended in self.of(table_messages.ConnectionEnded)]


EXIT_NAME = "hq"


class Offers(Ear):
    """The listener: it knows who offers the key."""

    parties: tuple[Party, ...] = ()
    rtt_step = 0

    def offer(self, party: Party) -> Offer:
        return Offer(party, is_draining=False, hop_count=1, rtt_step=self.rtt_step, name=EXIT_NAME)

    def on_receive(self, message: Any) -> None:
        super().on_receive(message)
        if isinstance(message, listener_messages.FindCandidates):
            found = [self.offer(party) for party in self.parties if party not in message.tried]
            self.tell(message.reply_to, listener_messages.CandidatesFound(tuple(found)))


class Endpoint(Ear):
    """Lets every connection in, unless ``target`` is none: then it is late, or crashes over the question."""

    target: SocketAddress | None = TARGET
    crashes = False

    def on_receive(self, message: Any) -> None:
        super().on_receive(message)
        if isinstance(message, endpoint_messages.AdmitConnection) and self.target is not None:
            self.tell(message.connection, messages.TargetGranted(self.target, is_counted=False))
        elif self.crashes:
            self.stop_now()


class Pending:
    """A pending OPEN that keeps what its exit says, and counts nothing."""

    def __init__(self) -> None:
        self.used = 0
        self.settled_as: list[bool] = []

    def authenticated(self) -> None:
        self.used += 1

    def settled(self, *, is_in_use: bool) -> None:
        self.settled_as.append(is_in_use)


class World:
    """The world with a client and a target, whose programs are in the hands of the test."""

    def __init__(self) -> None:
        self.world = VirtualWorld(1)
        self.ingress_meters, self.exit_meters = Meters(), Meters()
        self.ingress_meters.listened.begin(KEY)
        self.exit_meters.served.begin(KEY)
        self.listener = start(self.world, Offers, host="branch")
        self.clients: ClientCount[Any] = ClientCount()
        self.came = 0
        self.endpoint = start(self.world, Endpoint, host="hq")
        self.endpoints = {KEY: self.endpoint.ref}
        self.record = record_of(INGRESS)
        self.pending = Pending()
        self.pair_keys: PairKeys = None
        self.client: Any = None
        self.ingress: Any = None
        self.exit: Any = None
        self.door = self.open_door(TARGET.port)

    def open_door(self, port: int, host: str = "target") -> Any:
        door = self.world.dispatcher(host).bind(TcpAddress("", port))
        door.listen()
        return door

    def start_ingress(
        self, *candidates: Party, table: Table, settings: ConnectionSettings, options: SocketOptions
    ) -> None:
        self.stand_by(None, table=table, settings=settings)
        self.serve(*candidates, options=options)

    def stand_by(self, prepare_for: Party | None, *, table: Table, settings: ConnectionSettings) -> None:
        """Start an ingress that has no client yet."""
        IngressConnection.start(
            self.world.dispatcher("branch"),
            key=KEY,
            prepare_for=None if prepare_for is None else self.listener.offer(prepare_for),
            listener=self.listener.ref,
            table=table.ref,
            settings=settings,
            meters=self.ingress_meters,
        )
        self.ingress = self.world.dispatcher("branch").actors[-1]

    def serve(self, *candidates: Party, options: SocketOptions = CONNECTION_SOCKET_OPTIONS) -> None:
        """Hand the ingress its client."""
        self.listener.parties = candidates
        theirs, ours = socket_pair(self.world, "client", "branch", options)
        self.client = start(self.world, RawPeer, theirs, None, False, host="client")
        offers = tuple(map(self.listener.offer, candidates))
        self.clients.enter(ours, self.ingress.ref)
        self.came += 1
        self.ingress.ref.tell(messages.ServeClient(ours, self.clients, offers))

    def start_exit(self, frame: Frame, *, link: Any, table: Table, settings: ConnectionSettings) -> None:
        ExitConnection.start(
            self.world.dispatcher("hq"),
            arrived=ArrivedOpen(frame, settings_of(INGRESS).party, self.record, self.pair_keys),
            pending=self.pending,
            link=link,
            endpoints=self.endpoints,
            table=table.ref,
            settings=settings,
            meters=self.exit_meters,
            inside=InsideServices(self.world.dispatcher("hq"), _nothing_inside),
        )
        self.exit = self.world.dispatcher("hq").actors[-1]

    def take_target(self, host: str = "target", door: Any = None) -> RawPeer:
        """The target's side of the connection that the exit has made."""
        accepted = (door or self.door).accept()
        return start(self.world, RawPeer, accepted, None, False, host=host)

    def run(self, duration_s: float) -> None:
        self.world.run(duration_s)

    @property
    def clients_left(self) -> int:
        return self.came - self.clients.connected

    @property
    def left_endpoint(self) -> int:
        return len(self.endpoint.of(endpoint_messages.ConnectionLeft))


def _nothing_inside(service: Any, caller: Any, leave: Any) -> Any:
    raise AssertionError("nobody asks for what is inside an agent")
