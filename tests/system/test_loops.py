"""Endpoints whose target is a listener of the mesh: nobody else notices, and nothing is left of it."""

import time

import pytest

from scripts.lab.clients import connect, is_reset, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo

DESCRIPTORS = 160
FEW_DESCRIPTORS = (
    "-c",
    f"""import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS},) * 2)
runpy.run_module('mesh.agent', run_name='__main__')""",
)


def talk(port):
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"


def is_served(port):
    try:
        talk(port)
    except (ConnectionResetError, EOFError):
        return False
    return True


def send_round(port):
    """A client whose connection runs in a circle is reset, soon; what it said does not help it."""
    try:
        with connect(port) as client:
            client.sendall(b"round and round")
            assert is_reset(client, 10)
    except ConnectionResetError:
        pass  # known to lead round by now, it was reset at once


@pytest.mark.parametrize("names", [("a", "b"), ("a", "relay", "b")])
def test_a_target_that_is_the_ingresss_own_listener(mesh, names):
    agents = mesh.chain(*names)
    ingress, exit_agent = agents[0], agents[-1]
    with Service(echo) as service:
        round_port = ingress.listen("round")
        exit_agent.offer("round", f"{LOOPBACK}:{round_port}")
        exit_agent.offer("good", service.port)
        good_port = ingress.listen("good")
        mesh.start()
        for key in ("round", "good"):
            ingress.wait_for_route(key)
        for _ in range(3):
            send_round(round_port)
            talk(good_port)
        stats = ingress.stats()
        assert stats["loops_cut_total"] >= 3
        assert stats["clients_accepted_total"] <= 20
        for agent in agents:
            agent.wait_until_quiet()
        ingress.wait_for_lines_with("leads back to this agent")


@pytest.mark.parametrize("limited", [("one", "two"), ("hub",), ("one", "hub", "two")], ids=str)
def test_a_circle_that_no_agent_sees_ends_where_descriptors_do(mesh, limited):
    """Each exit leads to a listener of a third agent; listeners run out of descriptors, or exits."""
    one, hub, two = agents = mesh.chain("one", "hub", "two")
    with Service(echo) as service:
        one_port, two_port = one.listen("x"), two.listen("y")
        hub.offer("x", f"{LOOPBACK}:{two_port}")
        hub.offer("y", f"{LOOPBACK}:{one_port}")
        hub.offer("good", service.port)
        good_port = one.listen("good")
        for agent in agents:
            agent.start(**({"program": FEW_DESCRIPTORS} if agent.name in limited else {}))
        for agent, key in ((one, "x"), (two, "y"), (one, "good")):
            agent.wait_for_route(key)
        began_at = time.monotonic()
        with connect(one_port) as client:
            client.sendall(b"round and round")
            served = 0
            for _ in range(10):
                served += is_served(good_port)  # not in the moment in which the circle breaks
                one.stats()
            assert served >= 5
            assert is_reset(client, 20)
        assert time.monotonic() - began_at < 20
        assert sum(agent.stats()["clients_accepted_total"] for agent in (one, two)) > 20  # it was long
        talk(good_port)
        for agent in agents:
            agent.wait_until_quiet()
            assert agent.stats()["links_lost_total"] == 0
