"""A member that floods a bottleneck which others' connections cross: in the simulated world, to the byte."""

import contextlib
import statistics

import pytest

from mesh.addresses import TcpAddress
from mesh.routing.records import ListenerEntry
from scripts.simulation import echoes
from scripts.simulation.conversation import Terms
from tests.security.floods import FLOODS, numbers
from tests.security.simulated import SimulatedMember
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world

BOTTLENECK_BYTES_PER_S = 1.25e6
FLOOD_BYTES_PER_S = 2e6
THIN_BYTES_PER_S = 125e3
BYTES = 1_500_000
SHARE = 0.4
LIMIT_S = 60.0


class Scene:
    """Branch and the member - relay - hq; between these two is the bottleneck."""

    def __init__(self, mesh, bytes_per_s, **granted):
        self.mesh = mesh
        mesh.network.shape("relay", "hq", bytes_per_s=bytes_per_s, latency_s=0.005)
        mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT, echoes.KEY: echoes.LISTEN_PORT})
        mesh.plan("relay")
        services = {
            KEY: TcpAddress("service", SERVICE_PORT),
            echoes.KEY: TcpAddress("shell", echoes.SERVICE_PORT),
        }
        mesh.plan("hq", peers=["relay"], endpoints=services)
        mesh.serve("service")
        echoes.Echo.start(mesh.world.dispatcher("shell"))
        mesh.start()
        mesh.converge()
        dispatcher = mesh.world.dispatcher("mallory")
        authority = mesh.identity("authority")
        SimulatedMember.start(dispatcher, peer="relay", authority=authority, **granted)
        (self.member,) = mesh.actors_on("mallory", SimulatedMember)
        mesh.run_until(lambda: self.member.wire.is_up, LIMIT_S)
        self.typed = echoes.Asked()
        self.is_quiet = False

    def type(self):
        echoes.Typist.start(
            self.mesh.world.dispatcher("client"),
            address=TcpAddress("branch", echoes.LISTEN_PORT),
            think_s=0.1,
            goes_on=lambda: not self.is_quiet,
            asked=self.typed,
        )

    def upload(self, byte_count):
        """Seconds until so many bytes have come across the bottleneck."""
        talk = self.mesh.converse(Terms(next(numbers), byte_count, 100))
        return self.mesh.run_until(lambda: talk.heard.is_over, LIMIT_S)

    def suffer(self, byte_count):
        """Beside newcomers and somebody who types: its seconds, each newcomer's, each answer's."""
        self.mesh.run(1.0)
        self.type()
        start = self.mesh.world.now()
        newcomers = {
            start + wait: self.mesh.converse(Terms(next(numbers), 100, 100), start_s=wait)
            for wait in (0.0, 0.5, 1.0, 1.5)
        }
        took = self.upload(byte_count)
        self.mesh.run(2.5)
        self.is_quiet = True
        self.mesh.run(0.5)
        opened = [
            talk.heard.finished_at - came if talk.heard.is_over else LIMIT_S
            for came, talk in newcomers.items()
        ]
        return took, opened, self.typed.round_trips_s


@contextlib.contextmanager
def scene_of(bytes_per_s, **granted):
    with mesh_world(1) as mesh:
        yield Scene(mesh, bytes_per_s, **granted)


@pytest.mark.parametrize("kind", FLOODS)
def test_beside_a_flood_of_one_member_others_keep_their_share(kind):
    make, may_relay = FLOODS[kind]
    with scene_of(BOTTLENECK_BYTES_PER_S, relay=may_relay) as scene:
        alone_s = scene.upload(BYTES)
        member, hq = scene.member, scene.mesh.id_of("hq")
        member.rate = FLOOD_BYTES_PER_S
        member.step = lambda: make(member.credentials.id, hq)
        took, opened, answers = scene.suffer(BYTES)
        assert alone_s / took > SHARE
        assert max(opened) < 2.0
        assert len(answers) > 10
        assert max(answers) < 0.5


def test_a_member_that_signs_large_records_all_the_time_leaves_a_thin_link_to_data():
    with scene_of(THIN_BYTES_PER_S) as scene:
        alone_s = scene.upload(400_000)

        def churn(number):
            entries = tuple(ListenerEntry(f"{number}-{n}", "a" * 220) for n in range(255))
            scene.member.tell(listeners=entries)

        start = scene.mesh.world.now()
        for number in range(120):
            scene.mesh.world.at(start + number / 3, lambda number=number: churn(number))
        took, opened, answers = scene.suffer(400_000)
        assert alone_s / took > SHARE
        # At 1 Mbit/s a record of the largest size takes half a second of the link, whoever waits.
        assert max(opened) < 4.0
        assert statistics.median(answers) < 1.0
