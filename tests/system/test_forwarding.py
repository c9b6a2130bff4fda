"""Listeners and endpoints: addresses of every kind, refusals, limits."""

import contextlib
import socket
import time

import pytest

from scripts.lab.clients import connect, read_all, read_exactly, refuses, reset, resets_clients
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, announce, echo_until_reset
from scripts.lab.waiting import wait_until

HAS_IPV6 = socket.has_ipv6 and socket.has_dualstack_ipv6()
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")


@pytest.fixture
def alone(mesh):
    """An agent without peers, not started yet: its listeners use its own endpoints."""
    return mesh.agent("alone")


def fetch(port, host=LOOPBACK):
    with connect(port, host) as client:
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


# -- one agent -----------------------------------------------------------------------------------------------


def test_listener_and_endpoint_on_one_agent(alone):
    with Service(announce(b"here")) as service:
        alone.offer("a", service.port)
        port = alone.listen("a")
        alone.start()
        route = alone.wait_for_route("a")
        assert route["hop_count"] == 0
        assert route["path_ids"] == [alone.short_id]
        assert fetch(port) == b"here"
    alone.wait_until_quiet()


def test_a_file_with_nothing_but_forward_is_an_agent(alone, tmp_path):
    """Read from its log: such an agent has no dashboard unless it is asked for."""
    with Service(announce(b"here")) as service:
        alone.offer("a", service.port)
        port = alone.listen("a")
        alone.config = {"forward": alone.config["forward"]}
        alone.start(wait=False)
        assert fetch(port) == b"here"
    assert alone.stop() == 0


# -- targets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [LOOPBACK, "localhost", pytest.param("::1", marks=needs_ipv6)])
def test_targets_by_address_and_name(alone, host):
    bound = LOOPBACK if host == "localhost" else host
    with Service(announce(b"served"), host=bound) as service:
        alone.offer("a", f"[{host}]:{service.port}" if ":" in host else f"{host}:{service.port}")
        port = alone.listen("a")
        alone.start()
        assert fetch(port) == b"served"


@needs_ipv6
def test_every_address_of_a_name_is_tried(alone):
    """The name stands for both families, and the service has one of them."""
    found = {entry[4][0] for entry in socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)}
    if found < {LOOPBACK, "::1"}:
        pytest.skip(f"localhost is {sorted(found)} only here")
    with Service(announce(b"four")) as four, Service(announce(b"six"), host="::1") as six:
        alone.offer("four", f"localhost:{four.port}")
        alone.offer("six", f"localhost:{six.port}")
        ports = alone.listen("four"), alone.listen("six")
        alone.start()
        assert [fetch(port) for port in ports] == [b"four", b"six"]


def test_a_unix_socket_as_target(alone, tmp_path):
    with Service(announce(b"unix"), path=tmp_path / "s") as service:
        alone.offer("a", f"unix:{tmp_path / 's'}")
        port = alone.listen("a")
        alone.start()
        assert fetch(port) == b"unix"
    del service
    (tmp_path / "s").unlink()
    assert resets_clients(port)


def test_a_name_that_nobody_knows_resets_the_client(alone):
    alone.offer("a", "no-such-host.invalid:80")
    port = alone.listen("a")
    alone.start()
    assert resets_clients(port, 15)


def test_a_target_that_appears_later_is_reached(alone, mesh):
    target = mesh.ports.reserve()
    alone.offer("a", target)
    port = alone.listen("a")
    alone.start()
    assert resets_clients(port)
    with Service(announce(b"now"), port=target):
        assert fetch(port) == b"now"


# -- listeners -----------------------------------------------------------------------------------------------


def test_a_listener_on_all_interfaces(alone, mesh):
    port = mesh.ports.reserve()
    with Service(announce(b"all")) as service:
        alone.offer("a", service.port)
        alone.listen("a", f":{port}")
        alone.start()
        assert fetch(port) == b"all"
        assert fetch(port, "127.0.0.2") == b"all"
        if HAS_IPV6:
            assert fetch(port, "::1") == b"all"


@needs_ipv6
def test_a_listener_on_ipv6(alone, mesh):
    port = mesh.ports.reserve("::1")
    with Service(announce(b"six")) as service:
        alone.offer("a", service.port)
        alone.listen("a", f"[::1]:{port}")
        alone.start()
        assert fetch(port, "::1") == b"six"
        assert refuses(port)


def test_port_0_is_chosen_once_and_shown(alone, mesh):
    """It keeps its number while nobody offers the key, and after."""
    other = mesh.agent("other").dial(alone)
    with Service(announce(b"chosen")) as service:
        other.offer("a", service.port)
        alone.listen("a", f"{LOOPBACK}:0")
        alone.start()
        _, port = alone.address("a")
        assert port > 0
        alone.wait_for_lines_with(f"{LOOPBACK}:{port}")
        assert refuses(port)
        other.start()
        assert fetch(port) == b"chosen"
        assert alone.address("a") == (LOOPBACK, port)


def test_a_listener_refuses_while_nobody_offers_its_key(mesh):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    with Service(announce(b"offered")) as service:
        hq.offer("a", service.port)
        port = branch.listen("a")
        branch.start()
        relay.start()
        branch.wait_for_peers(relay)
        assert refuses(port)
        assert [entry["key"] for entry in branch.dashboard()["unmatched_listeners"]] == ["a"]
        for leave in (hq.stop, hq.kill):
            hq.start()
            assert fetch(port) == b"offered"
            leave()
            wait_until(lambda: refuses(port), "the listener refuses again", 10)
            branch.wait_for_no_route("a")


def test_a_taken_port_is_tried_again(alone):
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(socket.socket())
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = stack.enter_context(Service(announce(b"mine")))
        alone.offer("a", service.port)
        alone.listen("a", f"{LOOPBACK}:{port}")
        other = alone.listen("a")
        alone.start()
        assert fetch(other) == b"mine"  # the agent lives on
        assert alone.get("/ready")[0] == 503
        assert any(str(port) in problem for problem in alone.dashboard()["problems"])
        alone.wait_for_lines_with(f"cannot use {LOOPBACK}:{port}")
        taken.close()
        assert fetch(port) == b"mine"
        wait_until(lambda: alone.get("/ready")[0] == 200, "the agent is ready")


# -- max_connections -----------------------------------------------------------------------------------------


def test_max_connections_is_exact(mesh):
    branch, _, hq = mesh.chain("branch", "relay", "hq")
    with Service(echo_until_reset) as service, contextlib.ExitStack() as stack:
        hq.offer("a", service.port)
        port = branch.listen("a", max_connections=5)
        mesh.start()
        branch.wait_for_route("a")
        clients = [stack.enter_context(connect(port)) for _ in range(5)]
        for client in clients:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        for _ in range(3):
            began = time.monotonic()
            assert resets_clients(port)
            assert time.monotonic() - began < 1
        assert branch.stats()["clients_refused_total"] == 3
        assert branch.stats()["open_connections"] == 5
        for number, client in enumerate(clients):
            client.sendall(b"y")  # those within the limit noticed nothing
            assert client.recv(1) == b"y"
            (client.close if number % 2 else lambda client=client: reset(client))()
        branch.wait_until_quiet()
        again = [stack.enter_context(connect(port)) for _ in range(5)]
        for client in again:
            client.sendall(b"z")
            assert read_exactly(client, 1) == b"z"


def test_max_connections_counts_those_that_still_open(mesh):
    """A burst that is accepted in one go: as many as allowed wait, the others are reset."""
    alone = mesh.agent("alone")
    with Service() as service, contextlib.ExitStack() as stack:
        alone.offer("a", service.port)
        port = alone.listen("a", max_connections=10)
        alone.start()
        reset(connect(port))
        alone.wait_until_quiet()
        alone.pause()
        clients = [stack.enter_context(connect(port)) for _ in range(30)]
        alone.resume()
        wait_until(lambda: alone.stats()["clients_refused_total"] == 20, "20 of 30 are refused")
        service.wait_for_clients(10)
        living = 0
        for client in clients:
            client.setblocking(False)
            try:
                client.recv(1)
            except BlockingIOError:
                living += 1
            except ConnectionResetError:
                pass
        assert living == 10
        assert len(service.clients) in {10, 11}  # the first client may have left before its target was asked
