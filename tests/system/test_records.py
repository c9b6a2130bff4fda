"""What has happened and who is connected, asked of real agents, and a connection that an operator closes."""

import contextlib
import subprocess

import pytest

from mesh.agent.control.client import AgentClient
from mesh.agent.control.happenings import ConnectionPage, ToldEvents
from mesh.agent.control.requests import CONNECTIONS, EVENTS
from mesh.agent.control.socket_file import NAME
from scripts.lab.clients import connect, read_exactly
from scripts.lab.processes import ROOT, python
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until

ENDED = f"{EVENTS}?kind=connection"


def told(agent, *arguments):
    command = python("-m", "mesh.agent.entry", *arguments, "--socket", agent.folder / NAME)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def listed(agent):
    return AgentClient(agent.folder / NAME).get(CONNECTIONS, ConnectionPage).connections


def ended(agent):
    """The connections that have ended, by their events' facts."""
    return [event.facts for event in AgentClient(agent.folder / NAME).get(ENDED, ToldEvents).events]


@pytest.fixture
def chain(mesh):
    agents = mesh.chain("branch", "relay", "hq")
    with Service(echo_until_reset) as service:
        agents[2].offer("a", service.port)
        port = agents[0].listen("a")
        mesh.start()
        agents[0].wait_for_route("a")
        yield agents, port


def test_a_connection_is_seen_closed_and_told_at_both_ends_by_one_name(chain):
    (branch, relay, hq), port = chain
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(3)]
        for client in clients:
            client.sendall(b"hello")
            assert read_exactly(client, 5) == b"hello"
        near, far = listed(branch), listed(hq)
        assert listed(relay) == ()
        assert {each.id for each in near} == {each.id for each in far}
        address = "{}:{}".format(*clients[1].getsockname())
        (closed,) = (each for each in near if each.client == address)
        assert (closed.to_service_bytes, closed.to_client_bytes) == (5, 5)
        assert closed.id in told(branch, "connections")
        told(hq, "connections", "--close", closed.id)
        with pytest.raises(ConnectionResetError):
            clients[1].recv(1)
        for client in (clients[0], clients[2]):
            client.sendall(b"still")
            assert read_exactly(client, 5) == b"still"
        for agent in (branch, hq):
            (line,) = agent.wait_for_lines_with(f"connection {closed.id} of a")
            assert "closed by operator; " in line
            (facts,) = ended(agent)
            assert (facts["ending"], facts["connection"]) == ("closed by operator", closed.id)
            assert len(listed(agent)) == 2


def test_links_and_exits_that_come_and_go_are_events(chain):
    (branch, relay, _), _ = chain
    assert "link up: relay" in told(branch, "events", "--kind", "link")
    assert "runs on" in told(branch, "events", "--kind", "agent")
    relay.kill()
    wait_until(lambda: "link lost" in told(branch, "events", "--kind", "link"), "the loss is told")
    refuses = lambda: "listener a refuses" in told(branch, "events", "--kind", "listener")  # noqa: E731
    wait_until(refuses, "and what it means")
