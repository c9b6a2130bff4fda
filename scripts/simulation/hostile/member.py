"""A hostile member at work: acts that are drawn, each for a while, several at once."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from actors.connections.offers import offer_of
from actors.diagnostics.desk import MAX_JOBS, Desk
from actors.messages import desk as desk_messages
from actors.messages import peer_link as link_messages
from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, ConnectFailed, Dispatcher, SocketOptions
from mesh.addresses import TcpAddress
from mesh.link.frames import Frame, FrameType
from scripts.simulation.hostile.invention import Inventor, records_frames
from scripts.simulation.hostile.links import RIGHT_SIZES, HostileLink, Inject, Odd, StopReading
from scripts.simulation.world import LISTEN_PORT, PEER_PORT, MeshWorld

TICK_S: Final = 0.02
BURST_BYTES: Final = 60_000
"""What a flood makes up in a tick: more than a link of 3 MB/s carries."""

MAX_BURST_FRAMES: Final = 150
SQUATTERS: Final = 3
"""Clients that a squatter starts in a tick."""
MAX_SQUATTERS: Final = 200
MAX_STRANGERS: Final = 80
DIAGNOSES: Final = 0.05
"""How likely a further diagnosis is begun in a tick."""

_FIRST_BYTES: Final = (b"", b"MESH", b"MESH\x01", b"MESH\x01\x00\x20", b"MESH\x02", b"GET / HTTP/1.1\r\n\r\n")


class Act(msgspec.Struct, frozen=True):
    """One thing that the member does for a while."""

    name: str
    start_s: float
    stop_s: float


class Play(msgspec.Struct, frozen=True):
    """Message to itself: go on with an act."""

    act: Act


class HostileMember(Actor[Any]):
    """Goes through its acts, on the links and the host of an agent that has a certificate.

    Args:
        mesh: the mesh that it is in.
        name: its agent.
        inventor: makes things up.
        draw: decides everything else.
        acts: what to do, and when, from the start.
        others: names of all other agents.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        mesh: MeshWorld,
        name: str,
        inventor: Inventor,
        draw: random.Random,
        acts: Sequence[Act],
        others: Sequence[str],
    ) -> None:
        super().__init__(dispatcher)
        self._mesh, self._name, self._invent, self._draw = mesh, name, inventor, draw
        self._acts, self._others = acts, others
        self._sequence = 2**20
        self._flood: dict[Act, Frame] = {}
        self._began_at = self.now()
        self._strangers = self._squatters = self._diagnoses = 0
        self.done: dict[str, int] = {}
        """How often each act had its turn."""

    def on_start(self) -> None:
        """Begin each act at its time."""
        for act in self._acts:
            self.schedule(act.start_s, Play(act))

    def on_receive(self, message: Any) -> None:
        """Time for an act to go on, or a socket of its own is connected."""
        match message:
            case Play(act=act):
                self._go_on(act)
            case Connected(token=token, socket=socket):
                self._connected(token, self.own(socket))
            case ConnectFailed():
                pass

    def on_readable(self, socket: Any) -> None:
        """It is told something."""
        try:
            count = socket.recv_into(self.dispatcher.read_buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            socket.close()
            self.disown(socket)

    def _go_on(self, act: Act) -> None:
        over = self.now() - self._began_at >= act.stop_s
        if act.name == "stop reading":
            self._tell_all(StopReading(not over))
        if over:
            return
        self.done[act.name] = self.done.get(act.name, 0) + 1
        _ACTS[act.name](self, act)
        self.schedule(TICK_S, Play(act))

    # -- links -----------------------------------------------------------------------------------------------

    @property
    def _links(self) -> list[HostileLink]:
        links = self._mesh.actors_on(self._name, HostileLink)
        return [link for link in links if link.peer_id is not None]

    def _tell_all(self, command: Inject | StopReading) -> None:
        for link in self._links:
            link.ref.tell(command)

    def _inject(self, wanted: Sequence[Frame | Odd], *, everywhere: bool = False) -> None:
        links = self._links
        for link in links if everywhere or not links else [self._draw.choice(links)]:
            link.ref.tell(Inject(wanted))

    def _fill(self, make: Callable[[], Frame | Odd], *, everywhere: bool = True) -> None:
        """As many as a link takes in a tick."""
        made: list[Frame | Odd] = []
        byte_count = 0
        while byte_count < BURST_BYTES and len(made) < MAX_BURST_FRAMES:
            each = make()
            made.append(each)
            byte_count += 72 + len(each.frame.body if isinstance(each, Odd) else each.body)
        self._inject(made, everywhere=everywhere)

    # -- acts ------------------------------------------------------------------------------------------------

    def junk(self, act: Act) -> None:
        """Some frames of every kind."""
        self._inject([self._invent.frame() for _ in range(self._draw.randrange(20))], everywhere=True)

    def own_junk(self, act: Act) -> None:
        """Frames of every kind in its own name: none of them costs the link for its source."""
        made = [self._invent.frame(honesty=1.0) for _ in range(self._draw.randrange(30))]
        own = self._mesh.id_of(self._name)
        honest = [each for each in made if isinstance(each, Frame) and each.source == own]
        self._inject(honest, everywhere=True)

    def flood(self, act: Act) -> None:
        """One frame, over and over, as fast as links go."""
        if act not in self._flood:
            frame = self._invent.frame(honesty=0.7)
            self._flood[act] = frame.frame if isinstance(frame, Odd) else frame
        frame = self._flood[act]
        self._fill(lambda: frame)

    def flood_of_kinds(self, act: Act) -> None:
        """Short frames of every kind from itself to everybody, as fast as links go."""
        self._fill(lambda: self._own_frame(self._draw.choice(_KINDS), 40))

    def flows(self, act: Act) -> None:
        """Short data on connections that do not exist, each frame another."""
        self._fill(lambda: self._own_frame(FrameType.DATA, 40))

    def bulk(self, act: Act) -> None:
        """One flow of data that heeds nothing."""
        if act not in self._flood:
            self._flood[act] = self._own_frame(FrameType.DATA, self._draw.choice([1400, 16_000, 65_552]))
        frame = self._flood[act]
        self._fill(lambda: frame)

    def opens(self, act: Act) -> None:
        """OPENs of any content in its own name, each of another connection."""
        self._fill(lambda: self._own_frame(FrameType.OPEN, 0))

    def later(self, act: Act) -> None:
        """Frames of a later version, as fast as links go."""
        self._fill(self._invent.later)

    def _own_frame(self, kind: FrameType, size: int) -> Frame:
        draw = self._draw
        size = RIGHT_SIZES.get(kind, size)
        own, connection = self._mesh.id_of(self._name), draw.getrandbits(63)
        return Frame(kind, False, own, self._invent.victim(), connection, 0, draw.randbytes(size))

    def odd(self, act: Act) -> None:
        """Now and then what breaks the protocol."""
        if self._draw.random() < 0.05:
            self._inject([self._invent.odd()])

    def misshapen(self, act: Act) -> None:
        """Now and then what cannot be read."""
        if self._draw.random() < 0.05:
            self._inject([self._invent.misshapen()])

    def ask(self, act: Act) -> None:
        """Questions, as fast as links go."""
        self._fill(self._invent.question, everywhere=False)

    def digests(self, act: Act) -> None:
        """Digests, at a rate that a link may have, and sometimes more."""
        if self._draw.random() < 0.1:
            self._inject([self._invent.digest() for _ in range(self._draw.choice([1, 1, 1, 50]))])

    def pages(self, act: Act) -> None:
        """Pages that nobody asked for."""
        self._inject([self._invent.pages()])

    def new_records(self, act: Act) -> None:
        """Another record of its own in each tick."""
        snapshot = self._mesh.routes(self._name)
        own = None if snapshot is None else snapshot.records.get(snapshot.own_id)
        if own is None:
            return
        records = []
        for _ in range(self._draw.choice([1, 1, 5])):
            self._sequence += 1
            records.append(self._invent.own_record(own.body, self._sequence))
        self._inject(records_frames(records), everywhere=self._draw.random() < 0.5)

    def fickle_records(self, act: Act) -> None:
        """It drains, and drains no more; it relays, and does not: another record of it in each tick."""
        snapshot = self._mesh.routes(self._name)
        own = None if snapshot is None else snapshot.records.get(snapshot.own_id)
        if own is not None:
            self._sequence += 1
            record = self._invent.fickle_record(own.body, self._sequence)
            self._inject(records_frames([record]), everywhere=True)

    def old_records(self, act: Act) -> None:
        """Records of others as they were, with other ages, many times."""
        records = [self._invent.old_record() for _ in range(self._draw.choice([1, 5, 20]))]
        self._inject(records_frames([each for each in records if each is not None]), everywhere=True)

    def strangers(self, act: Act) -> None:
        """Connections to acceptors that say little, and then nothing."""
        if self._strangers < MAX_STRANGERS:
            self._strangers += 1
            address = TcpAddress(self._draw.choice(self._others), PEER_PORT)
            self.dispatcher.connect(self.ref, address, 0, SocketOptions())

    def squat(self, act: Act) -> None:
        """Clients of its own listeners, who ask for services and say nothing."""
        for _ in range(SQUATTERS):
            if self._squatters < MAX_SQUATTERS:
                self._squatters += 1
                port = LISTEN_PORT + self._draw.randrange(2)
                self.dispatcher.connect(self.ref, TcpAddress(self._name, port), 1, SocketOptions())

    def _connected(self, token: int, socket: Any) -> None:
        if token == 0:
            first = self._draw.choice(_FIRST_BYTES) + self._draw.randbytes(self._draw.choice([0, 3, 32, 200]))
            if first:
                socket.send([first])
        socket.watch_read(True)

    def reconnect(self, act: Act) -> None:
        """Break a link now and then."""
        links = self._links
        if links and self._draw.random() < 0.05:
            self._draw.choice(links).ref.tell(link_messages.CloseLink("as it pleases"))

    def retire(self, act: Act) -> None:
        """Say of each link that it will be closed, as soon as there is one, and often."""
        self._inject(
            [self._invent.retirement() for _ in range(self._draw.choice([1, 1, 30]))], everywhere=True
        )

    def retire_links(self, act: Act) -> None:
        """The same by its own links, which do not want to be there any more either."""
        for link in self._links:
            if self._draw.random() < 0.1:
                link.ref.tell(link_messages.RetireLink("as it pleases"))

    def diagnose(self, act: Act) -> None:
        """Pings and benches of everybody, many at once, over and over."""
        snapshot = self._mesh.routes(self._name)
        if snapshot is None or self._draw.random() > DIAGNOSES:
            return
        for desk in self._mesh.actors_on(self._name, Desk):
            tasks = self._invent.diagnosis(list(snapshot.candidates))
            tasks = [task for task in tasks if task.agent_id in snapshot.hop_counts]
            offers = tuple(offer_of(snapshot, task.agent_id) for task in tasks)
            self._diagnoses += 1
            desk.ref.tell(desk_messages.EndJob(self._diagnoses - MAX_JOBS))
            desk.ref.tell(desk_messages.StartJob(tuple(tasks), offers, at_once=16))

    def stop_reading(self, act: Act) -> None:
        """Take nothing that comes, on no link."""


_KINDS: Final = (
    FrameType.OPEN,
    FrameType.ACK,
    FrameType.PROBE,
    FrameType.RESET,
    FrameType.SESSION_KEYS,
    FrameType.UNKNOWN,
    FrameType.DATA,
)

_ACTS: Final[dict[str, Callable[[HostileMember, Act], None]]] = {
    "junk": HostileMember.junk,
    "junk of its own": HostileMember.own_junk,
    "flood": HostileMember.flood,
    "flood of kinds": HostileMember.flood_of_kinds,
    "flows": HostileMember.flows,
    "bulk": HostileMember.bulk,
    "opens": HostileMember.opens,
    "later": HostileMember.later,
    "odd": HostileMember.odd,
    "misshapen": HostileMember.misshapen,
    "ask": HostileMember.ask,
    "digests": HostileMember.digests,
    "pages": HostileMember.pages,
    "new records": HostileMember.new_records,
    "old records": HostileMember.old_records,
    "strangers": HostileMember.strangers,
    "squat": HostileMember.squat,
    "reconnect": HostileMember.reconnect,
    "stop reading": HostileMember.stop_reading,
    "fickle records": HostileMember.fickle_records,
    "retire": HostileMember.retire,
    "retire links": HostileMember.retire_links,
    "diagnose": HostileMember.diagnose,
}
ACTS: Final = tuple(_ACTS)


def draw_acts(draw: random.Random, count: int, until_s: float) -> list[Act]:
    """So many acts, each for half a second up to three."""
    acts = []
    for _ in range(count):
        start_s = draw.uniform(0.2, until_s - 0.5)
        acts.append(Act(draw.choice(ACTS), start_s, min(until_s, start_s + draw.uniform(0.5, 3.0))))
    return sorted(acts, key=lambda act: act.start_s)
