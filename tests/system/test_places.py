"""max_connections, one connection after another: each closed and the next opened at once."""

import socket

import pytest

from scripts.lab.clients import connect, read_all, read_exactly, reset
from scripts.lab.services import Service, echo_until_reset

COUNT = 200


def say_and_close(client):
    client.sendall(b"x")
    assert read_exactly(client, 1) == b"x"


def finish_and_read(client):
    client.sendall(b"x")
    client.shutdown(socket.SHUT_WR)
    assert read_all(client) == b"x"


def say_and_reset(client):
    say_and_close(client)
    reset(client)


def say_nothing(client):
    """Its end of stream waits unread while the connection opens."""
    client.shutdown(socket.SHUT_WR)
    assert read_all(client) == b""


MANNERS = (say_and_close, finish_and_read, say_and_reset, say_nothing)


@pytest.mark.parametrize("limited", ["listener", "endpoint"])
def test_the_next_client_gets_the_place_of_the_one_before(mesh, limited):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    with Service(echo_until_reset) as service:
        hq.offer("a", service.port)
        port = branch.listen("a", max_connections=1 if limited == "listener" else None)
        if limited == "endpoint":
            hq.config["forward"]["endpoints"][0]["max_connections"] = 1
        for agent in (branch, relay, hq):
            agent.start()
        branch.wait_for_route("a")
        for manner in MANNERS:
            for _ in range(COUNT // len(MANNERS)):
                with connect(port) as client:
                    manner(client)
        assert branch.stats()["clients_refused_total"] == 0
        assert hq.stats()["opens_denied_total"] == 0
        for agent in (branch, hq):
            agent.wait_until_quiet()
