"""Both ends of a connection with a wire between them, and whom they talk to inside their agents."""

from collections.abc import Callable
from typing import Any

import msgspec

from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS, ConnectionSettings
from actors.connections.exit_connection import ExitConnection
from actors.connections.ingress_connection import IngressConnection
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
from mesh.connection.candidates import Offer
from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.connection.key_stock import KeyStock
from mesh.connection.session_handshake import (
    OpenReply,
    OpenRequest,
    Party,
    Session,
    SessionInitiator,
    SessionResponder,
)
from mesh.connection.stream import INITIAL_WINDOW_BYTES, StreamBudget
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import Identity, Instance
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from tests.actors.company import IDENTITIES, Ear, record_of, start
from tests.actors.links.link_company import RawPeer, socket_pair
from tests.mesh.connection.replies import reply_with

INGRESS, EXIT, OTHER_EXIT = IDENTITIES[:3]
KEY = "my-api"
TARGET = TcpAddress("target", 80)
BUDGET_BYTES = 1 << 28
WIRE_LATENCY_S = 0.005


def settings_of(identity: Identity, **changes: Any) -> ConnectionSettings:
    static = key_pair(identity.public_key)
    settings = ConnectionSettings(
        own_id=identity.id,
        instance=Instance(identity.public_key[:16]),
        static=static,
        shared=SharedSecrets(static),
        budget=StreamBudget(BUDGET_BYTES),
        numbers=ConnectionNumbers(),
        ephemerals=KeyStock(lambda count: b"e" * count, lambda: 0.0),
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
        return Offer(party, is_leaving=False, hop_count=1, rtt_step=self.rtt_step, name=EXIT_NAME)

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
            self.tell(message.connection, messages.TargetGranted(self.target))
        elif self.crashes:
            self.stop_now()


class World:
    """The world with a client and a target, whose programs are in the hands of the test."""

    def __init__(self) -> None:
        self.world = VirtualWorld(1)
        self.ingress_meters, self.exit_meters = Meters(), Meters()
        self.listener = start(self.world, Offers, host="branch")
        self.clients = ClientCount()
        self.came = 0
        self.endpoint = start(self.world, Endpoint, host="hq")
        self.endpoints = {KEY: self.endpoint.ref}
        self.record = record_of(INGRESS)
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
        self.clients.enter(ours)
        self.came += 1
        self.ingress.ref.tell(messages.ServeClient(ours, self.clients, offers))

    def start_exit(self, frame: Frame, *, link: Any, table: Table, settings: ConnectionSettings) -> None:
        ExitConnection.start(
            self.world.dispatcher("hq"),
            open_frame=frame,
            party=settings_of(INGRESS).party,
            record=self.record,
            link=link,
            endpoints=self.endpoints,
            table=table.ref,
            settings=settings,
            meters=self.exit_meters,
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


class Ends(World):
    """A client, the ingress's end, a wire, the exit's end and a target."""

    def __init__(self, options: SocketOptions = CONNECTION_SOCKET_OPTIONS, **changes: Any) -> None:
        super().__init__()
        self.to_exit = start(self.world, Wire, self._reach_exit, host="branch")
        self.to_ingress = start(self.world, Wire, self._reach_ingress, host="hq")
        self.ingress_table = start(self.world, Table, {EXIT.id: self.to_exit}, host="branch")
        self.exit_table = start(self.world, Table, {}, host="hq")
        self.ingress_settings = settings_of(INGRESS, **changes)
        self.exit_settings = settings_of(EXIT, **changes)
        self.start_ingress(
            self.exit_settings.party,
            table=self.ingress_table,
            settings=self.ingress_settings,
            options=options,
        )
        self.target: Any = None

    def _reach_exit(self, frames: tuple[Frame, ...]) -> None:
        if self.exit is None and frames[0].type == FrameType.OPEN:
            self.start_exit(
                frames[0], link=self.to_ingress.ref, table=self.exit_table, settings=self.exit_settings
            )
        elif self.exit is not None and self.exit.ref.is_alive():
            self.exit.ref.tell(messages.SegmentsArrived(frames))

    def _reach_ingress(self, frames: tuple[Frame, ...]) -> None:
        if self.ingress.ref.is_alive():
            self.ingress.ref.tell(messages.SegmentsArrived(frames))

    def open(self) -> "Ends":
        """Let the connection open."""
        self.run(0.1)
        self.target = self.take_target()
        self.run(0.1)
        return self

    def cut(self, is_cut: bool) -> None:
        """Lose every frame on the way."""
        self.to_exit.is_cut = self.to_ingress.is_cut = is_cut

    def path(self, *, exists: bool) -> None:
        """Tell both ends that the path is gone, or there again."""
        self.cut(not exists)
        for end, far, wire in (
            (self.ingress, EXIT, self.to_exit),
            (self.exit, INGRESS, self.to_ingress),
        ):
            if end.ref.is_alive():
                end.ref.tell(messages.PathChanged(far.id, wire.ref if exists else None))
        self.run(0.0)

    @property
    def is_over(self) -> bool:
        """Both ends are gone, and all they held is given back, once."""
        return (
            not self.ingress.ref.is_alive()
            and not self.exit.ref.is_alive()
            and self.world.open_sockets("branch") == self.world.open_sockets("hq") == 0
            and self.ingress_settings.budget.reserved_bytes == 0
            and self.exit_settings.budget.reserved_bytes == 0
            and self.ingress_table.ended == [(1, False)]
            and self.exit_table.ended == [(1, True)]
            and self.clients_left == self.left_endpoint == 1
        )


class Candidate:
    """An exit as the ingress meets it: it answers when the test says so."""

    def __init__(self, scene: World, identity: Identity) -> None:
        self.settings = settings_of(identity)
        self.wire = start(scene.world, Wire, lambda frames: None, host="branch")
        self._scene = scene

    @property
    def opens(self) -> list[Frame]:
        return self.wire.of(FrameType.OPEN)

    def answer(self, code: str = "", socket_tag: bytes = b"") -> Session | None:
        """Accept its OPEN, or reject it with ``code``."""
        frame, session = self.reply(code, socket_tag)
        self.send(frame)
        return session

    def reply(self, code: str = "", socket_tag: bytes = b"") -> tuple[Frame, Session | None]:
        """The frame of its answer, unsent."""
        frame = self.opens[-1]
        responder = SessionResponder(
            local=self.settings.party,
            remote=settings_of(INGRESS).party,
            connection=frame.connection,
            static=self.settings.static,
            ephemeral=key_pair(self.settings.static.public),
        )
        request = responder.read_open(frame)
        assert request == OpenRequest(KEY, INITIAL_WINDOW_BYTES)
        if code:
            return reply_with(responder, OpenReply(accepted=False, code=code, reason="because"))
        accepting = OpenReply(accepted=True, credit=INITIAL_WINDOW_BYTES, socket_tag=socket_tag)
        return reply_with(responder, accepting)

    def send(self, *frames: Frame) -> None:
        self._scene.ingress.ref.tell(messages.SegmentsArrived(frames))
        self._scene.run(0.0)


class Opening(World):
    """An ingress with one candidate or two, of which it knows the first ``known`` from the start.

    With ``stands_by`` it has prepared for the first one, and its client comes with :meth:`serve`.
    """

    def __init__(
        self,
        *identities: Any,
        known: int = 2,
        register: bool = True,
        rtt_step: int = 0,
        stands_by: bool = False,
        **changes: Any,
    ) -> None:
        super().__init__()
        self.listener.rtt_step = rtt_step
        self.exits = [Candidate(self, identity) for identity in identities]
        wires = {each.settings.own_id: each.wire for each in self.exits}
        self.table = start(self.world, Table, wires, host="branch")
        self.table.answers = register
        self.settings = settings_of(INGRESS, **changes)
        self.began_at = self.world.now()
        self.parties = [each.settings.party for each in self.exits[:known]]
        if stands_by:
            self.stand_by(self.parties[0], table=self.table, settings=self.settings)
        else:
            self.start_ingress(
                *self.parties, table=self.table, settings=self.settings, options=CONNECTION_SOCKET_OPTIONS
            )
        self.run(0.0)

    def offer(self, *exits: Candidate) -> None:
        """These offer the key from now on."""
        self.listener.parties = tuple(each.settings.party for each in exits)

    @property
    def looks(self) -> int:
        """How often the listener was asked who offers the key."""
        return len(self.listener.of(listener_messages.FindCandidates))

    def tell(self, message: Any) -> None:
        self.ingress.ref.tell(message)
        self.run(0.0)

    @property
    def is_over(self) -> bool:
        """The end is gone, and all it held is given back, once."""
        given_back = sorted(number for number, _ in self.table.ended)
        return (
            not self.ingress.ref.is_alive()
            and given_back == list(range(1, self.table.numbers + 1))
            and self.clients_left == 1
            and self.world.open_sockets("branch") == 0
            and self.settings.budget.reserved_bytes == 0
        )


class Asker:
    """An ingress as the exit meets it."""

    def __init__(self, number: int = 7, key: str = KEY, seed: bytes = b"e" * 32) -> None:
        self._number, self._seed = number, seed
        self.initiator = self.unasked()
        self.open = self.initiator.open_frame(OpenRequest(key, INITIAL_WINDOW_BYTES))

    def unasked(self) -> SessionInitiator:
        """Its side of the handshake, before it has said anything."""
        settings = settings_of(INGRESS)
        return SessionInitiator(
            local=settings.party,
            remote=settings_of(EXIT).party,
            connection=self._number,
            static=settings.static,
            ephemeral=key_pair(self._seed),
        )
