"""What agents write: lines that programs can read, no secrets, and a dump when asked for one."""

import base64
import contextlib
import json
import re
import signal
import socket
import struct
import time

from mesh.agent.files import IDENTITY_FILE
from mesh.config.schema import LoggingSection
from mesh.connection.recorder import WINDOW_S
from scripts.lab.clients import connect, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo
from scripts.lab.waiting import wait_until


def test_logs_are_one_json_object_a_line(mesh):
    agents = mesh.chain("branch", "relay", "hq")
    with Service(echo) as service:
        agents[2].offer("a", service.port)
        port = agents[0].listen("a")
        for agent in agents:
            agent.config["logging"] = {"level": "debug"}
            agent.start("--log-format", "json", wait=False)
        with connect(port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
    with socket.create_connection((LOOPBACK, agents[1].accept_port)) as client:
        client.sendall(b"\x00\x1b[31m\r\n\xff garbage")
        with contextlib.suppress(ConnectionResetError):  # closed as soon as it is known for what it is
            assert client.recv(1) == b""
    for agent in agents:
        assert agent.stop() == 0
        entries = [json.loads(line) for line in agent.process.output.splitlines()]
        assert entries
        for entry in entries:
            assert entry["level"] in {"debug", "info", "warning", "error"}
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
            assert entry["subsystem"]
            assert entry["message"]
    assert any(
        "is no mesh agent" in entry["message"]
        for entry in map(json.loads, agents[1].process.output.splitlines())
    )


KEY_LIKE = re.compile(r"[0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=|[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
"""32 bytes in hexadecimal or base64."""


def forms(secret):
    """How bytes may find their way into a log."""
    return (secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1], repr(list(secret))[1:-1])


def test_no_secret_payload_or_routing_key_of_a_connection_is_logged_at_debug_level(mesh):
    branch, relay, hq = agents = mesh.chain("branch", "relay", "hq")
    payload = b"the-payload-of-a-connection"
    with Service(echo) as service:
        hq.offer("the-routing-key", service.port)
        port = branch.listen("the-routing-key")
        for agent in agents:
            agent.config["logging"] = {"level": "debug"}
            agent.config["agent"]["drain_timeout"] = 0.5
        mesh.start()
        with connect(port) as client:
            client.sendall(payload)
            assert read_exactly(client, len(payload)) == payload
    hq.kill()
    branch.wait_for_no_route("the-routing-key")
    for agent in agents:
        if agent is not hq:
            agent.process.signal(signal.SIGUSR1)
            wait_until(lambda agent=agent: "end of the dump" in agent.process.output, "the dump is there")
        agent.process.stop()
        log = agent.process.output
        assert "debug" in log or "info" in log
        seed = base64.b64decode((agent.folder / IDENTITY_FILE).read_text().splitlines()[1])
        for secret in (seed, payload):
            for form in forms(secret):
                assert form not in log
        assert payload.decode() not in log
        # The dump's own lines name source files; the head of an audit log is a hash that is to be noted.
        assert not KEY_LIKE.search(re.sub(r'File ".*"|its head is \S+', "", log))
    assert "the-routing-key" not in relay.process.output


def test_a_dump_names_actors_and_threads_and_the_agent_goes_on(chain):
    for agent in chain.agents:
        agent.process.signal(signal.SIGUSR1)
    for agent in chain.agents:
        wait_until(lambda agent=agent: "=== end of the dump" in agent.process.output, "the dump is there")
        dump = agent.process.output.partition("=== ")[2]
        for text in (
            " actors: {",
            "RouteTable",
            "PeerDirectory",
            "PeerLink(",
            " threads",
            "Thread MainThread (",
        ):
            assert text in dump
    assert "PeerLink(branch" in chain.relay.process.output
    assert chain.relay.stats()["peer_count"] == 2


def test_clients_that_reset_fill_no_log_and_each_is_counted(mesh):
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    branch.dial(hq)
    clients = 200

    def echo_until_reset(client):
        with contextlib.suppress(ConnectionResetError):
            echo(client)

    with Service(echo_until_reset) as service:
        hq.offer("a", service.port)
        port = branch.listen("a")
        mesh.start()
        branch.wait_for_route("a")
        before, start = branch.stats()["connections_reset_total"], time.monotonic()
        for _ in range(clients):
            with connect(port) as client:
                client.sendall(b"x")
                assert read_exactly(client, 1) == b"x"
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: branch.stats()["connections_reset_total"] == before + clients, "each is counted")
        for agent in (branch, hq):
            assert agent.stop() == 0
    windows = 1 + (time.monotonic() - start) // WINDOW_S  # more than one on a slow machine
    most = LoggingSection().connections * WINDOW_S
    for agent in (branch, hq):
        lines = agent.lines_with("reset by the client")
        assert most / 2 < len(lines) <= most * windows, "as many as a key may have in ten seconds"
        assert len(agent.lines_with("reset")) < (most + 10) * windows
