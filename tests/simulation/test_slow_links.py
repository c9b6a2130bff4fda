"""A transit agent whose next link is slow: it holds little, nothing is lost, others keep their pace."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from actors.connections.ingress_connection import IngressConnection
from mesh.addresses import TcpAddress
from scripts.simulation import echoes
from scripts.simulation.conversation import Conversation, Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, MeshWorld, mesh_world

MIB = 1024 * 1024
SLOW_BYTES_PER_S = 1e6
FAST_BYTES_PER_S = 2e7
FAST_KEY = "fast"
FAST_PORT = 5433
LIMIT_S = 300.0


@dataclass
class Transit:
    """Branch - relay - hq over a slow link, relay - lab over a fast one; what happens at the relay."""

    mesh: MeshWorld
    bulk: list[Conversation] = field(default_factory=list)
    typed: echoes.Asked = field(default_factory=echoes.Asked)
    most_held_bytes: int = 0

    def build(self, relay_buffer_bytes: int) -> None:
        mesh = self.mesh
        mesh.network.shape("relay", "hq", bytes_per_s=SLOW_BYTES_PER_S, latency_s=0.005)
        listeners = {KEY: LISTEN_PORT, echoes.KEY: echoes.LISTEN_PORT, FAST_KEY: FAST_PORT}
        mesh.plan("branch", peers=["relay"], listeners=listeners)
        mesh.plan("relay", relay_buffer_bytes=relay_buffer_bytes)
        services = {
            KEY: TcpAddress("service", SERVICE_PORT),
            echoes.KEY: TcpAddress("shell", echoes.SERVICE_PORT),
        }
        mesh.plan("hq", peers=["relay"], endpoints=services)
        mesh.plan("lab", peers=["relay"], endpoints={FAST_KEY: TcpAddress("store", SERVICE_PORT)})
        mesh.serve("service")
        mesh.serve("store")
        echoes.Echo.start(mesh.world.dispatcher("shell"))
        mesh.start()
        mesh.converge()

    def start(self, connections: int, byte_count: int) -> None:
        """Start bulk over the slow link, and somebody who types over it for as long as that lasts."""
        self.bulk = [self.mesh.converse(Terms(number, byte_count, 100)) for number in range(connections)]
        echoes.Typist.start(
            self.mesh.world.dispatcher("client"),
            address=TcpAddress("branch", echoes.LISTEN_PORT),
            think_s=0.1,
            goes_on=lambda: not self.is_carried,
            asked=self.typed,
        )

    @property
    def budget(self) -> Any:
        return self.mesh.plans["relay"].relay_budget

    @property
    def is_carried(self) -> bool:
        return all(talk.heard.is_over for talk in self.bulk)

    def watch(self) -> None:
        """Judge what the relay holds now."""
        links = [actor for actor in self.mesh.actors_on("relay") if hasattr(actor, "_output")]
        held = sum(link._output.queue.byte_count - link._output.queue.control_bytes for link in links)
        assert held == self.budget.held_bytes <= self.budget.limit_bytes
        self.most_held_bytes = max(self.most_held_bytes, held)

    def run_until(self, is_so: Any) -> float:
        """Let time pass until ``is_so()``, with an eye on the relay at every step; the seconds it took."""

        def watched() -> bool:
            self.watch()
            return is_so()

        return self.mesh.run_until(watched, LIMIT_S)

    def finish(self) -> None:
        self.mesh.run(2.0)
        self.mesh.assert_all_complete()
        self.mesh.finish()
        assert self.budget.held_bytes == 0


@pytest.mark.parametrize(
    ("connections", "byte_count", "relay_buffer_mib"),
    [
        (60, 200_000, 64),  # all windows fit
        (200, 100_000, 4),  # they do not: the relay drops, and the senders repeat
    ],
)
def test_bulk_over_a_slow_link_stays_within_the_budget_and_lets_others_answer(
    connections, byte_count, relay_buffer_mib
):
    with mesh_world(1) as mesh:
        transit = Transit(mesh)
        transit.build(relay_buffer_mib * MIB)
        transit.start(connections, byte_count)
        took_s = transit.run_until(lambda: transit.is_carried and transit.typed.is_over)
        transit.finish()
        assert took_s < 1.5 * connections * byte_count / SLOW_BYTES_PER_S
        assert transit.most_held_bytes > connections * 10_000
        assert bool(transit.budget.dropped_frames) == (relay_buffer_mib == 4)
        answers = sorted(transit.typed.round_trips_s)
        # A turn of each bulk connection takes 0.5 s at the least, 13 s at first: 60 x 8 KiB, 200 x 64 KiB.
        assert len(answers) > took_s
        assert answers[len(answers) // 2] < 0.2
        assert answers[-1] < 0.5


def test_marks_shrink_windows_and_keep_the_queue_short_while_transfers_last():
    with mesh_world(1) as mesh:
        transit = Transit(mesh)
        transit.build(64 * MIB)
        transit.start(40, 500_000)
        transit.run_until(lambda: mesh.world.now() > 12.0)
        assert not transit.is_carried
        ends = [end for end in mesh.actors_on("branch", IngressConnection) if not end.stands_by]
        senders = [end._stream._sender for end in ends]
        assert len(senders) == 41
        assert sorted(sender._congestion.window_bytes for sender in senders)[20] < 32 * 1024
        assert transit.budget.held_bytes < MIB  # without marks: 3 MiB
        transit.run_until(lambda: transit.is_carried and transit.typed.is_over)
        transit.finish()


def test_a_slow_link_takes_nothing_from_a_fast_one():
    with mesh_world(1) as mesh:
        transit = Transit(mesh)
        transit.build(4 * MIB)
        mesh.network.shape("relay", "lab", bytes_per_s=FAST_BYTES_PER_S, latency_s=0.005)
        alone = mesh.converse(Terms(1000, 16 * MIB, 100), port=FAST_PORT)
        alone_s = mesh.run_until(lambda: alone.heard.is_over, LIMIT_S)
        transit.start(100, 100_000)
        transit.run_until(lambda: transit.budget.dropped_frames > 0)
        beside = mesh.converse(Terms(1001, 16 * MIB, 100), port=FAST_PORT)
        beside_s = transit.run_until(lambda: beside.heard.is_over)
        assert not transit.is_carried
        assert beside_s < 1.2 * alone_s
        transit.run_until(lambda: transit.is_carried and transit.typed.is_over)
        transit.finish()
