"""Whatever connections may leave behind is found: for each thing a bug that leaves it."""

import pytest

from actors.connections.connection_end import ConnectionEnd
from actors.connections.connection_table import ConnectionTable
from actors.connections.exit_connection import ExitConnection
from actors.connections.ingress_connection import IngressConnection
from actors.links.output import LinkOutput
from actors.runtime.actor import Actor
from mesh.connection.stream import StreamBudget
from mesh.link.send_queue import SendQueue
from scripts.simulation.conversation import Terms
from scripts.simulation.invariants import InvariantError, held
from scripts.simulation.service import ServiceTalk
from tests.simulation.mesh_world import mesh_world, three_agents


def keep_connection_actors(monkeypatch):
    stop_now = Actor.stop_now

    def stay(self):
        if not isinstance(self, ConnectionEnd):
            stop_now(self)

    monkeypatch.setattr(Actor, "stop_now", stay)


def keep_connections(monkeypatch):
    monkeypatch.setattr(ConnectionTable, "_ended", lambda *_: None)


def keep_sockets(monkeypatch):
    def forget_to_close(self, **_):
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.watch_read(False)
            self.disown(socket)
            self._socket_gone(socket)

    monkeypatch.setattr(ConnectionEnd, "_drop_socket", forget_to_close)


def keep_frames(monkeypatch):
    flush = LinkOutput.flush

    def late(self, now):
        return self.queue.frames == 1 or flush(self, now)

    monkeypatch.setattr(LinkOutput, "flush", late)
    monkeypatch.setattr(LinkOutput, "push", lambda self, frames: list(map(self.queue.push, frames)))


def keep_waiting_bytes(monkeypatch):
    pop_batch = SendQueue.pop_batch

    def keep_one(self, max_bytes):
        before = self.data.byte_count
        batch = pop_batch(self, max_bytes)
        self._budget.free_bytes -= before > self.data.byte_count
        return batch

    monkeypatch.setattr(SendQueue, "pop_batch", keep_one)


def keep_reservations(monkeypatch):
    monkeypatch.setattr(StreamBudget, "release", lambda *_: None)


def keep_clients(monkeypatch):
    monkeypatch.setattr(IngressConnection, "_socket_gone", lambda *_: None)


def keep_places(monkeypatch):
    monkeypatch.setattr(ExitConnection, "_leave_endpoint", lambda _: None)


def keep_sockets_of_the_service(monkeypatch):
    def forget_to_close(self):
        if self.heard.ended and self.half_closed and not self.heard.is_over:
            self.heard.finished_at = self.actor.now()

    monkeypatch.setattr(ServiceTalk, "over_if_ended", forget_to_close)


PLANTED = {
    "connection actors": keep_connection_actors,
    "connections": keep_connections,
    "sockets": keep_sockets,
    "queued frames": keep_frames,
    "waiting bytes": keep_waiting_bytes,
    "reserved bytes": keep_reservations,
    "clients of listeners": keep_clients,
    "connections of endpoints": keep_places,
    "sockets of the service": keep_sockets_of_the_service,
}


@pytest.mark.interpreted
@pytest.mark.parametrize("what", PLANTED)
def test_what_a_bug_leaves_is_found(what, monkeypatch):
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.converse(Terms(1, 1000, 1000))
        mesh.run_until_said(5.0)
        mesh.assert_nothing_left(10.0)
        PLANTED[what](monkeypatch)
        mesh.converse(Terms(2, 100_000, 100_000))
        mesh.run(10.0)
        with pytest.raises(InvariantError, match=f"nothing is left: .*'{what}'"):
            mesh.assert_nothing_left(5.0)


def test_each_thing_that_may_be_left_has_its_bug():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        assert set(PLANTED) == {*held(mesh, "hq"), "sockets of the service"}
