"""How an agent leaves: on which signals, how fast, and what becomes of open connections."""

import signal
import socket
import time

import pytest

from actors.links.absent_peers import LEFT
from mesh.agent.dashboard.states import CONNECTED
from scripts.lab.clients import connect, is_reset, read_all, read_exactly, refuses
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until

PROMPTLY_S = 2.0
"""Shorter than the time after which a silent peer is dead, and than the time that a drain may take."""


def names(document):
    """Agents that a dashboard shows as linked peers or as ends of pairings."""
    ends = {entry[end] for entry in document["forward_routes"] for end in ("ingress_agent", "exit_agent")}
    return ends | {peer["display_name"] for peer in document["peers"] if peer["state"] == CONNECTED}


@pytest.fixture
def pair(mesh):
    """Agents branch and hq with one link, not started yet; hq offers an echo as "a"."""
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    branch.dial(hq)
    with Service(echo_until_reset) as service:
        hq.offer("a", service.port)
        yield branch, hq, branch.listen("a")


def test_a_signal_ends_an_idle_agent_promptly_and_its_peers_drop_it_at_once(mesh):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    hq.offer("a", 9)
    branch.listen("a")
    mesh.start()
    for times, number in enumerate((signal.SIGTERM, signal.SIGINT), 1):
        if not hq.is_running:
            hq.start()
        branch.wait_for_route("a")
        began = time.monotonic()
        hq.process.signal(number)
        for agent in (relay, branch):
            wait_until(lambda agent=agent: "hq" not in names(agent.dashboard()), f"{agent.name} drops hq")
        assert time.monotonic() - began < PROMPTLY_S
        peers = relay.dashboard()["peers"]
        assert [peer["state"] for peer in peers if peer["display_name"] == "hq"] == [LEFT]
        assert hq.process.wait() == 0
        assert time.monotonic() - began < PROMPTLY_S
        assert any(line.endswith(" left") for line in hq.process.output.splitlines())
        # It said so itself: nobody had to find out.
        told = "the peer closed it: the agent has left"
        wait_until(lambda times=times: len(relay.lines_with(told)) == times, "the relay's log says so")  # noqa: B023
        assert branch.stats()["peer_count"] == 1


@pytest.mark.parametrize("leaving", ["branch", "hq"])
def test_while_one_is_served_those_who_have_nobody_else_are_too(pair, mesh, leaving):
    branch, hq, port = pair
    agent = {"branch": branch, "hq": hq}[leaving]
    mesh.start()
    branch.wait_for_route("a")
    with connect(port) as client:
        client.sendall(b"before")
        assert read_exactly(client, 6) == b"before"
        agent.process.signal(signal.SIGTERM)
        wait_until(lambda: "leaving" in agent.process.output, "it begins to leave")
        for _ in range(10):
            with connect(port) as other:
                other.sendall(b"new")
                assert read_exactly(other, 3) == b"new"
        client.sendall(b"after")
        assert read_exactly(client, 5) == b"after"
        assert agent.process.is_running
        began = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    assert agent.process.wait() == 0
    assert time.monotonic() - began < PROMPTLY_S


@pytest.mark.parametrize("leaving", ["branch", "hq"])
def test_nobody_is_let_in_before_the_end_and_what_is_open_finishes(pair, mesh, leaving):
    branch, hq, port = pair
    agent = {"branch": branch, "hq": hq}[leaving]
    agent.config["agent"]["drain_timeout"] = 3
    mesh.start()
    branch.wait_for_route("a")
    with connect(port) as client:
        client.sendall(b"before")
        assert read_exactly(client, 6) == b"before"
        agent.process.signal(signal.SIGTERM)
        wait_until(lambda: refuses(port), "the listener refuses")
        assert agent.process.is_running
        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"after"
    assert agent.process.wait() == 0


@pytest.mark.parametrize("leaving", ["branch", "hq"])
def test_what_does_not_finish_in_time_is_reset(pair, mesh, leaving):
    branch, hq, port = pair
    for agent in (branch, hq):
        agent.config["agent"]["drain_timeout"] = 0.2
    mesh.start()
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        agent = {"branch": branch, "hq": hq}[leaving]
        began = time.monotonic()
        agent.process.signal(signal.SIGTERM)
        assert is_reset(client, 5)
        assert agent.process.wait() == 0
        assert time.monotonic() - began < PROMPTLY_S
    assert "connections are left after the drain timeout" in agent.process.output
    (staying,) = {branch, hq} - {agent}
    staying.wait_until_quiet()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(pair, mesh, number):
    branch, hq, port = pair
    branch.config["connections"] = {"reroute_timeout": 0.5}
    mesh.start()
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        hq.process.signal(signal.SIGTERM)
        wait_until(lambda: "shutting down" in hq.process.output, "the first signal is heard")
        began = time.monotonic()
        hq.process.signal(number)
        assert hq.process.wait() == 128 + number
        assert time.monotonic() - began < 1
        assert f"{number.name} again" in hq.process.output
        assert is_reset(client, 20)
    branch.wait_until_quiet()


def test_an_agent_that_cannot_reach_anybody_leaves_promptly(mesh):
    """A dial is under way to a port where nobody answers."""
    alone = mesh.agent("alone").accept()
    with socket.socket() as silent:
        silent.bind((LOOPBACK, 0))
        silent.listen(1)
        alone.config["peers"] = [
            {"address": f"{LOOPBACK}:{silent.getsockname()[1]}"},
            {"address": f"{LOOPBACK}:{mesh.ports.reserve()}"},
        ]
        alone.start()
        began = time.monotonic()
        assert alone.stop() == 0
        assert time.monotonic() - began < PROMPTLY_S


def test_an_agent_ends_promptly_while_its_dashboard_is_being_read(mesh):
    alone = mesh.agent("alone").start()
    with socket.create_connection((LOOPBACK, alone.http_port)) as half_asked:
        half_asked.sendall(b"GET /api/dashboard HTTP/1.1\r\n")
        began = time.monotonic()
        assert alone.stop() == 0
        assert time.monotonic() - began < 2 * PROMPTLY_S
