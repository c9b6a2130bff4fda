"""A connection table among connections, links and a root that only listen, and the frames that reach it."""

from typing import Any

from actors.connections.connection_table import ConnectionTable
from actors.messages import connection_table as messages
from actors.messages import peer_link as link_messages
from actors.messages.route_table import RoutesChanged
from actors.meters import Meters
from actors.runtime.virtual.world import VirtualWorld
from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.connection.pair_sessions import PairLimits, PairSessions
from mesh.connection.pending_open import PendingOpen
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import NO_AGENT, AgentId, Instance
from mesh.trust.policy import Policy
from scripts.lab.frames import changed
from tests.actors.company import IDENTITIES, Ear, record_of, routes_of, start

OWN, ALICE, BOB, STRANGER = IDENTITIES[:4]
OWN_INSTANCE = Instance(b"o" * 16)
ALICE_INSTANCE = Instance(b"a" * 16)
BOB_INSTANCE = Instance(b"b" * 16)


def frame(kind: FrameType, number: int = 7, source: AgentId = ALICE.id, **changes: Any) -> Frame:
    made = Frame(kind, False, source, OWN.id, number, 0, b"sealed")
    return changed(made, **changes)


def open_frame(number: int = 7, source: AgentId = ALICE.id, body: bytes = b"") -> Frame:
    instances = ALICE_INSTANCE + OWN_INSTANCE
    return frame(FrameType.OPEN, number, source, body=body or instances + b"handshake")


class House:
    def __init__(self, max_pending_opens: int = 100) -> None:
        self.world = VirtualWorld(1)
        self.meters = Meters()
        self.numbers = ConnectionNumbers()
        self.pairs = PairSessions(PairLimits())
        self.exits: list[Ear] = []
        self.exit_arguments: list[tuple[Any, ...]] = []
        self.link, self.other_link = start(self.world), start(self.world)
        self.table = start(
            self.world,
            ConnectionTable,
            own_id=OWN.id,
            instance=OWN_INSTANCE,
            numbers=self.numbers,
            pairs=self.pairs,
            start_exit=self._start_exit,
            max_pending_opens=max_pending_opens,
            policy=Policy({}, {}),
            meters=self.meters,
        )
        self.routes(record_of(ALICE, instance=b"a"), record_of(BOB, instance=b"b"))
        self.forward({ALICE.id: self.link.ref, BOB.id: self.link.ref})

    def _start_exit(self, *arguments: Any) -> Any:
        ref = Ear.start(self.world.dispatcher("here"))
        self.exits.append(self.world.dispatcher("here").actors[-1])
        self.exit_arguments.append(arguments)
        return ref

    def pending(self, exit_number: int = 0) -> PendingOpen:
        """What an exit connection was given to speak of its OPEN."""
        pending: PendingOpen = self.exit_arguments[exit_number][-1]
        return pending

    def tell(self, *told: Any) -> None:
        for message in told:
            self.table.ref.tell(message)
        self.world.run(0.0)

    def arrive(self, *frames: Frame) -> None:
        self.tell(messages.FramesArrived(frames, NO_AGENT))

    def routes(self, *records: Any) -> None:
        self.tell(RoutesChanged(routes_of(OWN, *records)))

    def forward(self, links: dict[AgentId, Any]) -> None:
        self.tell(link_messages.ForwardingChanged(links, None))

    def register(
        self, exit_id: AgentId = ALICE.id, exit_instance: Instance = ALICE_INSTANCE
    ) -> tuple[Ear, int]:
        connection = start(self.world)
        number = self.numbers.take()
        self.tell(messages.RegisterIngress(connection.ref, exit_id, exit_instance, number))
        return connection, number

    def counts(self) -> tuple[int, int, int]:
        counts = self.world.ask(self.table.ref, messages.GetConnectionCounts())
        return counts.ingress, counts.exit, counts.pending_opens

    def sent(self, link: Ear | None = None) -> list[Frame]:
        commands = (link or self.link).of(link_messages.SendFrames)
        return [sent for command in commands for sent in command.frames]


def from_bob(number: int) -> Frame:
    return open_frame(number, BOB.id, BOB_INSTANCE + OWN_INSTANCE + b"handshake")
