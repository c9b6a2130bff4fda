"""Bytes through three agents: bulk, many connections at once, and nothing left of them."""

import hashlib
import os
import random
import resource
import socket
import threading
import time

import pytest

from scripts.lab.agents import THREADS_ON_DEMAND
from scripts.lab.clients import connect, digest_until_end, read_all, send_random
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, Task, echo
from scripts.lab.waiting import wait_until

MIB = 1024 * 1024
BULK_BYTES = int(os.environ.get("MESH_SYSTEM_BYTES", str(64 * MIB)))
"""Each way; set it to 1073741824 for the full gibibyte."""

BULK_TIMEOUT_S = 60 + BULK_BYTES / MIB
CONNECTIONS = 100
OPEN_CONNECTIONS = 1_100
"""More than the 1,024 descriptors that a process usually may have."""


@pytest.mark.timeout(int(BULK_TIMEOUT_S) + 60)
def test_bulk_each_way_one_after_the_other_with_half_close(chain):
    """The way back begins when the way there has ended: a half-closed connection carries bulk."""
    served = []

    def serve(client):
        client.settimeout(BULK_TIMEOUT_S)
        served.append(digest_until_end(client))
        served.append(send_random(client, BULK_BYTES))
        client.shutdown(socket.SHUT_WR)

    with Service(serve, port=chain.target_port), connect(chain.port, timeout_s=BULK_TIMEOUT_S) as client:
        sent = send_random(client, BULK_BYTES)
        client.shutdown(socket.SHUT_WR)
        received = digest_until_end(client)
    assert served[0] == (BULK_BYTES, sent)
    assert received == (BULK_BYTES, served[1])


@pytest.mark.timeout(int(BULK_TIMEOUT_S) + 60)
def test_bulk_both_ways_at_once(chain):
    byte_count = BULK_BYTES // 2
    served = []

    def serve(client):
        client.settimeout(BULK_TIMEOUT_S)
        sending = Task(send_and_finish, client, byte_count)
        served.append(digest_until_end(client))
        served.append(sending.result(BULK_TIMEOUT_S))

    with Service(serve, port=chain.target_port), connect(chain.port, timeout_s=BULK_TIMEOUT_S) as client:
        sending = Task(send_and_finish, client, byte_count)
        received = digest_until_end(client)
        sent = sending.result(BULK_TIMEOUT_S)
    assert served[0] == (byte_count, sent)
    assert received == (byte_count, served[1])


def send_and_finish(sock, byte_count):
    digest = send_random(sock, byte_count)
    sock.shutdown(socket.SHUT_WR)
    return digest


def test_many_connections_of_random_size_and_timing(chain):
    """None is corrupted, and afterwards none is left: the fixture counts."""
    chance = random.Random(2_000_011)
    plans = [
        (int(10 ** chance.uniform(0, 5.7)), chance.uniform(0, 1.0), chance.randrange(1, 9))
        for _ in range(CONNECTIONS)
    ]
    start = threading.Event()
    with Service(echo, port=chain.target_port):
        tasks = [Task(exchange, chain.port, start, *plan) for plan in plans]
        start.set()
        for task in tasks:
            sent, received = task.result()
            assert sent == received


def exchange(port, start, byte_count, delay_s, pieces):
    """Send random bytes in pieces of random size after a random delay; digests of both directions."""
    start.wait()
    time.sleep(delay_s)  # the load's own shape: nothing waits for anything to have happened by then
    data = os.urandom(byte_count)
    with connect(port) as client:
        reading = Task(read_all, client)
        for position in range(0, byte_count, max(1, byte_count // pieces)):
            client.sendall(data[position : position + max(1, byte_count // pieces)])
        client.shutdown(socket.SHUT_WR)
        received = reading.result()
    return hashlib.sha256(data).hexdigest(), hashlib.sha256(received).hexdigest()


def test_open_connections_take_no_threads(chain):
    """Each end has one descriptor for one, and no thread."""
    needed = 2 * OPEN_CONNECTIONS + 200  # this process has both the clients and the targets
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < needed:
        pytest.skip(f"{needed} descriptors are needed, the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    threads = {agent.name: agent.process.threads() for agent in chain.agents}
    clients = []
    try:
        with Service(port=chain.target_port, backlog=OPEN_CONNECTIONS) as service:
            for _ in range(OPEN_CONNECTIONS):
                clients.append(connect(chain.port))
                clients[-1].sendall(b"x")
            service.wait_for_clients(OPEN_CONNECTIONS)
            wait_until(
                lambda: chain.branch.stats()["open_connections"] == OPEN_CONNECTIONS, "all are open at branch"
            )
            wait_until(lambda: chain.hq.stats()["open_connections"] == OPEN_CONNECTIONS, "all are open at hq")
            for agent in chain.agents:
                assert agent.process.threads() <= threads[agent.name] + THREADS_ON_DEMAND
            assert chain.relay.stats()["stream_count"] == 0
            assert {target.recv(1) for target in service.clients} == {b"x"}
            for client in clients:
                client.close()
            assert {target.recv(1) for target in service.clients} == {b""}
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_one_after_another_leave_nothing(chain):
    with Service(echo, port=chain.target_port):
        for number in range(100):
            with socket.create_connection((LOOPBACK, chain.port), timeout=10) as client:
                data = b"%d" % number
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == data
