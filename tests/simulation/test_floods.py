"""Beside a member that floods a bottleneck, what others do there goes on."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from actors.links.peer_link import PeerLink
from actors.messages import peer_link as link_messages
from actors.runtime.actor import Actor
from mesh.addresses import TcpAddress
from mesh.link.frames import SEALED_HEADER_BYTES, Frame, FrameType
from mesh.trust.identity import AgentId
from scripts.simulation import echoes
from scripts.simulation.conversation import Terms
from tests.frame_sizes import smallest_body
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, MeshWorld, mesh_world

BOTTLENECK_BYTES_PER_S = 1.25e6
THIN_BYTES_PER_S = 0.3e6
LONG_BYTES = 30_000
FLOOD_BYTES_PER_S = 2e6
TICK_S = 0.01
BULK_BYTES = 4_000_000
LIMIT_S = 60.0
numbers = itertools.count(1)


def stranger(number: int) -> AgentId:
    return AgentId(number.to_bytes(16, "big"))


@dataclass(frozen=True)
class Flood:
    """What a hostile agent sends: frames of a type, each with its source, connection and body."""

    kind: FrameType
    byte_count: int
    connection: Callable[[int], int]
    source: Callable[[int, AgentId], AgentId] = lambda _, own: own
    may_relay: bool = False
    in_name_of: str = "mallory"

    def frame(self, number: int, own: AgentId, destination: AgentId) -> Frame:
        body = smallest_body(self.kind) or bytes(self.byte_count)
        connection = self.connection(number)
        return Frame(self.kind, False, self.source(number, own), destination, connection, number, body)


FLOODS = {
    "short data of made-up connections": Flood(FrameType.DATA, 3900, lambda n: n),
    "acknowledgements": Flood(FrameType.ACK, 60, lambda n: n),
    "hints": Flood(FrameType.UNKNOWN, 0, lambda n: n),
    "openings": Flood(FrameType.OPEN, 1280, lambda n: n),
    "200 flows": Flood(FrameType.DATA, 60_000, lambda n: n % 200),
    "one flow that ignores marks": Flood(FrameType.DATA, 60_000, lambda _: 1),
    "short data of made-up agents": Flood(
        FrameType.DATA, 3900, lambda n: n, lambda n, _: stranger(n), may_relay=True
    ),
    "acknowledgements of made-up agents": Flood(
        FrameType.ACK, 60, lambda n: n, lambda n, _: stranger(n), may_relay=True
    ),
    "short data in another's name": Flood(
        FrameType.DATA, 3900, lambda n: n, may_relay=True, in_name_of="branch"
    ),
    "one flow in another's name": Flood(
        FrameType.DATA, 60_000, lambda _: 1, may_relay=True, in_name_of="branch"
    ),
    "rejections in another's name": Flood(
        FrameType.REJECT, 1280, lambda n: n, may_relay=True, in_name_of="branch"
    ),
}


class Flooder(Actor[Any]):
    """Tells its agent's link to send, as fast as the flood is."""

    def __init__(self, dispatcher: Any, flood: Flood, link: Any, own: AgentId, destination: AgentId) -> None:
        super().__init__(dispatcher)
        self.flood, self.link, self.own, self.destination = flood, link, own, destination
        self.owed_bytes = 0.0

    def on_start(self) -> None:
        """Begin."""
        self.on_receive("now")

    def on_receive(self, message: Any) -> None:
        """It is time for more."""
        self.owed_bytes += FLOOD_BYTES_PER_S * TICK_S
        frames = []
        while self.owed_bytes > 0:
            frames.append(self.flood.frame(next(numbers), self.own, self.destination))
            self.owed_bytes -= len(frames[-1].body) + SEALED_HEADER_BYTES
        self.link.tell(link_messages.SendFrames(tuple(frames)))
        self.schedule(TICK_S, "more")


@dataclass
class Scene:
    """Branch and mallory - relay - hq; between these two is the bottleneck.

    With an edge, branch and mallory - edge - relay - hq: what either sends comes to the relay by one link.
    """

    mesh: MeshWorld
    typed: echoes.Asked = field(default_factory=echoes.Asked)
    is_over: bool = False

    def build(self, *, may_relay: bool, edge: str = "relay") -> None:
        mesh = self.mesh
        mesh.network.shape("relay", "hq", bytes_per_s=BOTTLENECK_BYTES_PER_S, latency_s=0.005)
        mesh.plan("branch", peers=[edge], listeners={KEY: LISTEN_PORT, echoes.KEY: echoes.LISTEN_PORT})
        mesh.plan("relay")
        if edge != "relay":
            mesh.plan(edge, peers=["relay"])
        mesh.plan("mallory", peers=[edge], may_relay=may_relay)
        services = {
            KEY: TcpAddress("service", SERVICE_PORT),
            echoes.KEY: TcpAddress("shell", echoes.SERVICE_PORT),
        }
        mesh.plan("hq", peers=["relay"], endpoints=services)
        mesh.serve("service")
        echoes.Echo.start(mesh.world.dispatcher("shell"))
        mesh.start()
        mesh.converge()

    def flood(self, flood: Flood) -> None:
        mesh = self.mesh
        (link,) = mesh.actors_on("mallory", PeerLink)
        dispatcher = mesh.world.dispatcher("mallory")
        Flooder.start(dispatcher, flood, link.ref, mesh.id_of(flood.in_name_of), mesh.id_of("hq"))

    def type(self) -> None:
        echoes.Typist.start(
            self.mesh.world.dispatcher("client"),
            address=TcpAddress("branch", echoes.LISTEN_PORT),
            think_s=0.1,
            goes_on=lambda: not self.is_over,
            asked=self.typed,
        )

    def carry(self, byte_count: int, *, up: bool) -> float:
        """Seconds until so many bytes have come across the bottleneck."""
        sizes = {"up": byte_count, "down": 100} if up else {"up": 100, "down": byte_count}
        talk = self.mesh.converse(Terms(next(numbers), **sizes))
        return self.mesh.run_until(lambda: talk.heard.is_over, LIMIT_S)


@contextlib.contextmanager
def scene_of(flood: Flood, edge: str = "relay") -> Iterator[Scene]:
    with mesh_world(1) as mesh:
        scene = Scene(mesh)
        scene.build(may_relay=flood.may_relay, edge=edge)
        yield scene


def links(mesh: MeshWorld) -> int:
    return len(mesh.actors_on("relay", PeerLink))


@pytest.mark.parametrize("edge", ["relay", "edge"])
@pytest.mark.parametrize("kind", FLOODS)
def test_beside_a_flood_bulk_keeps_its_share_and_people_are_answered(kind, edge):
    flood = FLOODS[kind]
    with scene_of(flood, edge) as scene:
        mesh = scene.mesh
        alone_s = scene.carry(BULK_BYTES, up=True)
        scene.flood(flood)
        mesh.run(1.0)
        scene.type()
        start_s = mesh.world.now()
        newcomers = {
            start_s + wait_s: mesh.converse(Terms(next(numbers), 100, 100), start_s=wait_s)
            for wait_s in (0.0, 0.5, 1.0, 1.5, 2.0)
        }
        beside_s = scene.carry(BULK_BYTES, up=True)
        scene.is_over = True
        mesh.run(1.0)
        took = [talk.heard.finished_at - came_at for came_at, talk in newcomers.items()]
        answers = sorted(scene.typed.round_trips_s)
        assert links(mesh) == (3 if edge == "relay" else 2)
        assert alone_s / beside_s > 0.4
        assert max(took) < 2.0
        assert len(answers) > 10
        assert answers[-1] < 0.5


@pytest.mark.parametrize(
    "kind", ["short data of made-up connections", "200 flows", "one flow that ignores marks"]
)
def test_a_transfer_over_a_short_path_has_its_share_as_soon_as_a_flood_begins(kind):
    """Its window is what the path took without the flood: little, and so it must not miss its turns."""
    with scene_of(FLOODS[kind]) as scene:
        mesh = scene.mesh
        for one, other in (("branch", "relay"), ("mallory", "relay"), ("relay", "hq")):
            mesh.network.shape(one, other, latency_s=0.0003)
        number = next(numbers)
        mesh.converse(Terms(number, 100_000_000, 100))
        mesh.run(4.0)
        scene.flood(FLOODS[kind])
        mesh.run(0.5)
        before = mesh.records[number].byte_count
        mesh.run(4.0)
        assert mesh.records[number].byte_count - before > 0.4 * 4.0 * BOTTLENECK_BYTES_PER_S


@pytest.mark.parametrize("kind", FLOODS)
def test_who_types_is_answered_as_a_flood_begins_on_a_thin_link(kind):
    """The link has been idle but for that: it has not shown how little it carries."""
    flood = FLOODS[kind]
    with scene_of(flood) as scene:
        mesh = scene.mesh
        mesh.network.shape("relay", "hq", bytes_per_s=THIN_BYTES_PER_S)
        scene.type()
        mesh.run(1.0)
        scene.flood(flood)
        mesh.run(3.0)
        scene.is_over = True
        mesh.run(1.0)
        assert len(scene.typed.round_trips_s) > 15
        # A long frame that is being sent is waited for.
        assert max(scene.typed.round_trips_s) < (0.35 if flood.byte_count > LONG_BYTES else 0.25)
