"""A mesh in a simulated world, as the tests want it: with assertions, and links that misbehave."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import actors.root.composition
from actors.links.peer_link import PeerLink
from actors.runtime.seam import SocketOptions
from mesh.addresses import TcpAddress
from scripts.simulation import invariants, world
from scripts.simulation.world import KEY, LISTEN_PORT, SERVICE_PORT, simulated_mesh

__all__ = ["KEY", "LISTEN_PORT", "SERVICE_PORT", "MeshWorld", "mesh_world", "three_agents"]


class MeshWorld(world.MeshWorld):
    """Agents, services and clients; one seed, one history."""

    def run_until_said(self, limit_s: float) -> None:
        """Let time pass until every conversation is over at the client."""
        invariants.conversations_end(self, limit_s)

    def converge(self, limit_s: float = 20.0) -> None:
        """Let time pass until all running agents know the same of the mesh."""
        self.run(0.5)
        invariants.agents_agree(self, limit_s)

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
        mock.patch.object(actors.root.composition, "PeerLink", router),
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
