"""Bulk transfers through a relay whose next link is slow: it holds little, loses nothing, and stays awake."""

import logging
import math
import os
import socket
import statistics
import threading
import time

import pytest

from scripts.lab.clients import connect, digest_until_end, read_all, read_exactly, send_random
from scripts.lab.services import Service, Task, echo
from tests.system.slow_link import SlowLink

log = logging.getLogger(__name__)

MIB = 1024 * 1024
CONNECTIONS = int(os.environ.get("MESH_SYSTEM_SLOW_CONNECTIONS", "60"))
"""Set it to 500 for the full load, which takes more than a minute. ``--log-cli-level=info`` shows figures."""
BYTES_PER_S = 1_000_000
BYTES = 120_000
"""In each transfer."""
RELAY_BUFFER_MIB = 64
TIMEOUT_S = 60 + 3 * CONNECTIONS * BYTES / BYTES_PER_S
KEYSTROKE = b"k" * 40
THINK_S = 0.02
SLOWEST_ANSWER_S = 5.0
"""Less than one turn of all transfers takes at 60 of them, let alone 500; p50 is a tenth of it."""


def answer_with_digest(client):
    client.settimeout(TIMEOUT_S)
    _, digest = digest_until_end(client)
    client.sendall(digest.encode())
    client.shutdown(socket.SHUT_WR)


def transfer(port):
    """Send; whether what arrived is what was sent."""
    with connect(port, timeout_s=TIMEOUT_S) as client:
        digest = send_random(client, BYTES)
        client.shutdown(socket.SHUT_WR)
        return read_all(client).decode() == digest


def type_and_wait(port, is_over):
    """Round trips in seconds, one after the other, until ``is_over``."""
    taken = []
    with connect(port, timeout_s=TIMEOUT_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not is_over.wait(THINK_S):
            start = time.monotonic()
            client.sendall(KEYSTROKE)
            assert read_exactly(client, len(KEYSTROKE)) == KEYSTROKE
            taken.append(time.monotonic() - start)
    return taken


@pytest.mark.timeout(int(TIMEOUT_S) + 60)
def test_bulk_on_a_slow_link_neither_fills_the_relay_nor_silences_others(mesh):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    relay.config["limits"] = {"relay_buffer": f"{RELAY_BUFFER_MIB}MiB"}
    is_over = threading.Event()
    with (
        SlowLink(relay.accept_port, BYTES_PER_S) as line,
        Service(answer_with_digest) as sink,
        Service(echo) as shell,
    ):
        hq.config["peers"] = [{"address": f"127.0.0.1:{line.port}"}]
        ports = {}
        for key, service in (("bulk", sink), ("shell", shell)):
            hq.offer(key, service.port)
            ports[key] = branch.listen(key)
        mesh.start()
        for key in ports:
            branch.wait_for_route(key)
        baseline = relay.process.memory()
        typing = Task(type_and_wait, ports["shell"], is_over)
        start = time.monotonic()
        transfers = [Task(transfer, ports["bulk"]) for _ in range(CONNECTIONS)]
        try:
            assert all(task.result(TIMEOUT_S) for task in transfers)
        finally:
            is_over.set()
        took_s = time.monotonic() - start
        answers = sorted(typing.result())
        stats = relay.stats()
    peak = relay.process.peak_memory() - baseline
    log.info("%d x %d bytes in %.1f s", CONNECTIONS, BYTES, took_s)
    log.info("relay: %.1f MiB, and %.1f more at the peak", baseline / MIB, peak / MIB)
    log.info("%d frames dropped", stats["queue_drops_total"])
    ranks = [answers[math.ceil(len(answers) * share) - 1] for share in (0.5, 0.99, 1.0)]
    log.info("%d answers: p50 %.3f, p99 %.3f, worst %.3f s", len(answers), *ranks)
    assert peak < RELAY_BUFFER_MIB * MIB
    assert len(answers) > took_s / SLOWEST_ANSWER_S
    assert answers[-1] < SLOWEST_ANSWER_S
    assert statistics.median(answers) < SLOWEST_ANSWER_S / 10
