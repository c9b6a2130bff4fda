"""A mesh in a simulated world, as the tests want it: with assertions, and links that misbehave."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any
from unittest import mock

import msgspec

import actors.root.services
from actors.links.peer_link import PeerLink
from actors.messages.agent import ChangeCredentials, Configure
from actors.runtime.seam import SocketOptions
from actors.runtime.virtual.world import UNIX_START_S, is_answered
from mesh.addresses import TcpAddress
from mesh.trust.credentials import Credentials
from scripts.simulation import invariants, world
from scripts.simulation.conversation import Manner, Pace, Terms
from scripts.simulation.world import KEY, LISTEN_PORT, SERVICE_PORT, simulated_mesh

__all__ = [
    "KEY",
    "LISTEN_PORT",
    "MIB",
    "SERVICE_PORT",
    "MeshWorld",
    "diamond",
    "mesh_world",
    "talks",
    "three_agents",
    "transit_of",
]

MIB = 1024 * 1024


class MeshWorld(world.MeshWorld):
    """Agents, services and clients; one seed, one history."""

    def run_until_said(self, limit_s: float) -> None:
        """Let time pass until every conversation is over at the client."""
        invariants.conversations_end(self, limit_s)

    def converge(self, limit_s: float = 20.0) -> None:
        """Let time pass until all running agents know the same of the mesh."""
        self.run(0.5)
        invariants.agents_agree(self, limit_s)

    def certify(self, agent: str, **says: Any) -> None:
        """Give a running agent another certificate, of everything that is not said otherwise."""
        plan = self.plans[agent]
        granted = {
            "not_after": plan.setup.certificate.not_after,
            "may_register": ["*"],
            "may_relay": True,
        }
        wire = self._certificate(agent, **granted | says)
        certificate = plan.setup.trust.admit(wire, UNIX_START_S)
        credentials = Credentials(plan.setup.identity, wire, certificate, plan.setup.trust)
        plan.setup = plan.setup.with_credentials(credentials)
        plan.root.tell(ChangeCredentials(credentials))

    def reconfigure(self, name: str, **forward: Any) -> None:
        """Have a running agent have other endpoints or listeners."""
        config = self.plans[name].setup.config
        changed = msgspec.structs.replace(config.forward, **forward)
        answer = self.plans[name].root.ask(
            Configure(msgspec.structs.replace(config, forward=changed)), block=False
        )
        self.run_until(lambda: is_answered(answer), 5.0)

    def assert_nothing_wrong(self) -> None:
        """No byte that was not sent, no end of stream before all of it: whatever else has happened."""
        invariants.streams_are_whole(self)

    def assert_all_complete(self) -> None:
        """Every conversation has ended in order at both sides."""
        for conversation in self.conversations:
            invariants.is_complete(self, conversation)

    def assert_nothing_left(self, limit_s: float = 45.0) -> None:
        """All that connections took has been given back, soon, and the services' sockets too."""
        invariants.nothing_is_left(self, limit_s)

    def finish(self, limit_s: float = 45.0) -> str:
        """Assert that nothing is wrong and nothing left and that all agents agree; the trace's digest."""
        self.assert_nothing_wrong()
        self.assert_nothing_left(limit_s)
        self.converge()
        return self.world.trace_digest()


@contextlib.contextmanager
def mesh_world(seed: int, link_classes: dict[str, type[PeerLink]] | None = None) -> Iterator[MeshWorld]:
    """A mesh to be filled; in the end all its actors are ended."""
    router = _LinkRouter(link_classes or {})
    with (
        mock.patch.object(actors.root.services, "PeerLink", router),
        simulated_mesh(MeshWorld(seed)) as mesh,
    ):
        yield mesh


class _LinkRouter:
    """Stands for the class of links: starts another one on some hosts."""

    def __init__(self, classes: dict[str, type[PeerLink]]) -> None:
        self._classes = classes

    def start(self, dispatcher: Any, **arguments: Any) -> Any:
        return self._classes.get(dispatcher.host_name, PeerLink).start(dispatcher, **arguments)


def three_agents(
    mesh: MeshWorld,
    *,
    service_options: SocketOptions = SocketOptions(),  # noqa: B008
    **settings: Any,
) -> None:
    """Branch - relay - hq, a service that hq offers, and let them agree on the routes."""
    mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT}, **settings)
    mesh.plan("relay", **settings)
    mesh.plan("hq", peers=["relay"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)}, **settings)
    mesh.serve("service", options=service_options)
    mesh.start()
    mesh.converge()


def diamond(mesh: MeshWorld, **settings) -> None:
    """Two relays between branch and hq."""
    mesh.plan("branch", peers=["left", "right"], listeners={KEY: LISTEN_PORT}, **settings)
    mesh.plan("left", **settings)
    mesh.plan("right", **settings)
    mesh.plan("hq", peers=["left", "right"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)}, **settings)
    for one, other in (("branch", "left"), ("branch", "right"), ("left", "hq"), ("right", "hq")):
        mesh.network.shape(one, other, bytes_per_s=4e6, latency_s=0.005)
    mesh.serve("service")
    mesh.start()
    mesh.converge()


def transit_of(mesh: MeshWorld) -> str:
    """The relay that connections from branch to hq cross at present."""
    hop = mesh.snapshot("branch").next_hops[mesh.id_of("hq")]
    return "left" if hop == mesh.id_of("left") else "right"


def talks(mesh: MeshWorld, draw: random.Random, count: int = 6, size: int = 2 * MIB) -> None:
    for number in range(count):
        terms = Terms(number, draw.randrange(size), draw.randrange(size), Manner(draw.randrange(2)))
        pace = Pace(byte_count=draw.choice([0, 5000]), pause_s=0.02)
        mesh.converse(terms, pace, start_s=draw.random())
