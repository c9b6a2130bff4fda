"""How connections end: each end as what it was, at once, and without leftovers."""

import socket
import time
from functools import partial

import pytest

from scripts.lab.clients import (
    connect,
    digest_until_end,
    is_reset,
    read_all,
    read_exactly,
    reset,
    resets_clients,
)
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, Task, echo_until_reset
from scripts.lab.waiting import wait_until

AT_ONCE_S = 1.0
"""No time-out of the product is shorter, so what comes sooner was not waited for."""

LOOK_PERIODS_S = 2.5
"""Two looks at a socket that is not being read."""

PIECE_BYTES = 64 * 1024
"""Fits into the buffers of a socket."""

STALL_BYTES = 64 * 1024 * 1024
"""More than all buffers and windows of one connection hold."""


@pytest.fixture
def service(chain):
    """A target that accepts and leaves the rest to the test."""
    with Service(port=chain.target_port) as service:
        yield service


@pytest.fixture
def pair(chain, service):
    """Both ends of a connection through the mesh: client and target."""
    client = connect(chain.port)
    with client:
        client.sendall(b"?")
        (target,) = service.wait_for_clients()
        assert target.recv(1) == b"?"
        target.sendall(b"!")
        assert client.recv(1) == b"!"
        yield client, target


def test_the_clients_end_of_stream_arrives_and_the_other_way_stays_open(pair):
    client, target = pair
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert read_all(target) == b"last words"
    target.sendall(b"answer")
    assert read_exactly(client, 6) == b"answer"
    target.close()
    assert client.recv(1) == b""


def test_the_targets_end_of_stream_arrives_and_the_other_way_stays_open(pair):
    client, target = pair
    target.sendall(b"last words")
    target.shutdown(socket.SHUT_WR)
    assert read_all(client) == b"last words"
    client.sendall(b"answer")
    assert read_exactly(target, 6) == b"answer"
    client.close()
    assert target.recv(1) == b""


def test_the_clients_reset_arrives_as_reset(pair):
    client, target = pair
    reset(client)
    assert is_reset(target, 5)


def test_the_targets_reset_arrives_as_reset(pair):
    client, target = pair
    reset(target)
    assert is_reset(client, 5)


def test_what_precedes_a_reset_is_delivered(pair):
    """The bytes were read by the agent before the reset came, as they would be by a peer."""
    client, target = pair
    target.sendall(b"before")
    assert read_exactly(client, 6) == b"before"
    reset(target)
    assert is_reset(client, 5)


def test_a_reset_of_an_end_that_had_finished_sending_arrives(pair):
    client, target = pair
    client.shutdown(socket.SHUT_WR)
    assert target.recv(1) == b""
    reset(target)
    assert is_reset(client, 5)


def test_a_client_that_closes_is_an_error_to_a_target_that_goes_on_sending(pair):
    """As without a mesh: a closed socket answers data with a reset."""
    client, target = pair
    client.close()
    assert target.recv(1) == b""
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send_for_ever(target)


def send_for_ever(sock):
    piece = bytes(64 * 1024)
    for _ in range(STALL_BYTES // len(piece)):
        sock.sendall(piece)


def test_data_and_end_of_stream_from_before_the_open_completes_arrive(chain, service):
    with socket.create_connection((LOOPBACK, chain.port), timeout=10) as client:
        client.sendall(b"early")
        client.shutdown(socket.SHUT_WR)
        (target,) = service.wait_for_clients()
        assert read_all(target) == b"early"
        target.sendall(b"late")
        target.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"late"


def test_a_refused_target_resets_the_client_at_once(chain):
    """Nothing listens at the target's port."""
    began = time.monotonic()
    assert resets_clients(chain.port)
    assert time.monotonic() - began < AT_ONCE_S


def test_many_clients_of_a_refused_target_are_reset_at_once(chain):
    began = time.monotonic()
    tasks = [Task(resets_clients, chain.port) for _ in range(50)]
    assert all(task.result() for task in tasks)
    assert time.monotonic() - began < 5 * AT_ONCE_S


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_a_client_that_leaves_before_the_open_completes_leaks_nothing(chain, leave):
    """The fixture waits until nothing is left; the target, too, sees every connection end."""
    with Service(echo_until_reset, port=chain.target_port):
        for _ in range(50):
            leave(socket.create_connection((LOOPBACK, chain.port), timeout=10))


def test_a_client_that_leaves_while_the_exit_is_silent_leaks_nothing(chain):
    chain.hq.pause()
    try:
        for _ in range(20):
            reset(socket.create_connection((LOOPBACK, chain.port), timeout=10))
    finally:
        chain.hq.resume()
    # The pause may have cost the link, and with it the route.
    chain.branch.wait_for_route(chain.KEY)


def test_a_slow_reader_stalls_itself_only(chain, service):
    with connect(chain.port) as slow:
        slow.sendall(b"?")
        (stalled,) = service.wait_for_clients()
        sending = Task(send_until_reset, stalled)
        wait_until_stalled(chain.hq)
        began = time.monotonic()
        with connect(chain.port) as quick:
            quick.sendall(b"!")
            target = service.wait_for_clients(2)[1]
            for _ in range(20):
                target.sendall(bytes(100_000))
                assert len(read_exactly(quick, 100_000)) == 100_000
        assert time.monotonic() - began < 10
        assert not sending.is_done
        reset(slow)
        assert sending.result() < STALL_BYTES


def test_what_a_target_sent_before_it_closed_waits_for_a_slow_reader(pair, chain):
    """Both ways have ended, and bytes still lie in the exit's socket because the reader gives no credit."""
    client, target = pair
    client.shutdown(socket.SHUT_WR)
    assert target.recv(1) == b""
    sent = send_until_untaken(target, chain.hq)
    target.close()
    time.sleep(LOOK_PERIODS_S)  # the time itself is tested: an unread socket is looked at each second
    count, _ = digest_until_end(client)
    assert count == sent


def send_until_untaken(sock, agent):
    """Send until an agent leaves a piece in its socket for a while; the bytes sent, all in all."""
    before, sent = agent.stats()["bytes_sent_total"], 0
    while True:
        sock.sendall(bytes(PIECE_BYTES))
        sent += PIECE_BYTES
        try:
            wait_until(partial(has_taken, agent, before + sent), "it is taken", 0.5)
        except AssertionError:
            return sent


def has_taken(agent, byte_count):
    return agent.stats()["bytes_sent_total"] == byte_count


def send_until_reset(sock):
    """Bytes sent until a reset comes."""
    sent, piece = 0, bytes(64 * 1024)
    while sent < STALL_BYTES:
        try:
            sent += sock.send(piece)
        except (ConnectionResetError, BrokenPipeError):
            return sent
    return sent


def wait_until_stalled(agent):
    """Wait until an agent has taken no byte of its local sockets between two looks, and some before."""
    before = [-1]

    def stalled():
        taken = agent.stats()["bytes_sent_total"]
        standing, before[0] = taken == before[0] and taken > 0, taken
        return standing

    wait_until(stalled, f"{agent.name} takes no more bytes")


def test_an_idle_connection_stays(pair, chain):
    """Longer than a peer may be silent: an agent must not take idle for dead."""
    client, target = pair
    limit_s = 4.0
    client.settimeout(limit_s)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(20)
    target.sendall(b"still here")
    assert read_exactly(client, 10) == b"still here"
    assert wait_until(lambda: chain.branch.stats()["open_connections"] == 1, "one connection is open")
