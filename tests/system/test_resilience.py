"""Agents that go, come back and meet: failover, restarts, simultaneous dials."""

import contextlib
import socket

import pytest

from scripts.lab.clients import connect, is_reset, read_all, read_exactly
from scripts.lab.services import Service, announce, echo
from scripts.lab.waiting import wait_until


def fetch(port):
    """What the service says; empty where the connection is refused or reset."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.shutdown(socket.SHUT_WR)
            return read_all(client)
    except (ConnectionRefusedError, ConnectionResetError):
        return b""


# -- several exits for one key -------------------------------------------------------------------------------


@pytest.fixture
def near_and_far(mesh):
    """Agents branch - relay - far, and near linked to branch itself; both exits offer "a"."""
    branch, relay, far = mesh.chain("branch", "relay", "far")
    near = mesh.agent("near").dial(branch)
    with Service(announce(b"near")) as near_service, Service(announce(b"far")) as far_service:
        near.offer("a", near_service.port)
        far.offer("a", far_service.port)
        branch.listen("a")
        mesh.start()
        assert branch.wait_for_route("a", near)["hop_count"] == 1
        assert branch.wait_for_route("a", far)["hop_count"] == 2
        branch.wait_for_peers(relay, near)
        yield branch, near, far, near_service


def test_another_exit_is_used_when_the_nearest_is_gone_and_the_nearest_again_when_it_is_back(near_and_far):
    """Whether it has left or was killed; and another, too, when its target refuses."""
    branch, near, _, near_service = near_and_far
    _, port = branch.address("a")
    assert [fetch(port) for _ in range(5)] == [b"near"] * 5
    for go in (near.stop, near.kill):
        go()
        wait_until(lambda: fetch(port) == b"far", "the far exit is used", 10)
        near.start()
        wait_until(lambda: fetch(port) == b"near", "the near exit is used again")
    near_service.stop_listening()
    assert [fetch(port) for _ in range(5)] == [b"far"] * 5


def test_another_exit_is_used_while_the_nearest_is_silent(near_and_far):
    """It is tried beside the silent one long before the open times out."""
    branch, near, *_ = near_and_far
    _, port = branch.address("a")
    near.pause()
    try:
        with connect(port, timeout_s=6) as client:
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"far"
    finally:
        near.resume()


# -- restarts ------------------------------------------------------------------------------------------------


def test_a_relay_that_is_restarted_carries_again(mesh):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    with Service(announce(b"through")) as service:
        hq.offer("a", service.port)
        port = branch.listen("a")
        mesh.start()
        wait_until(lambda: fetch(port) == b"through", "the service answers")
        for go in (relay.stop, relay.kill):
            go()
            branch.wait_for_no_route("a")
            relay.start()
            wait_until(lambda: fetch(port) == b"through", "the service answers again")


def test_a_peer_that_crashed_is_not_locked_out_by_its_dead_link(mesh):
    """It comes back while the other end was stopped, and so has not noticed that the link is dead."""
    branch, relay = mesh.agent("branch"), mesh.agent("relay")
    branch.dial(relay)
    mesh.start()
    relay.wait_for_peers(branch)
    relay.pause()
    branch.kill()
    branch.start()
    relay.resume()
    branch.wait_for_peers(relay)
    relay.wait_for_peers(branch)


@contextlib.contextmanager
def connected(mesh, **settings):
    """Branch and hq of a chain, and the two ends of an open connection: the client's and the target's."""
    branch, _, hq = mesh.chain("branch", "relay", "hq")
    branch.config["connections"] = settings
    with Service() as service:
        hq.offer("a", service.port)
        port = branch.listen("a")
        mesh.start()
        with connect(port) as client:
            client.sendall(b"x")
            (target,) = service.wait_for_clients()
            assert target.recv(1) == b"x"
            yield branch, hq, client, target


def test_an_open_connection_ends_when_the_other_end_restarts(mesh):
    with connected(mesh) as (branch, hq, client, _):
        hq.kill()
        hq.start()
        assert is_reset(client, 20)
    branch.wait_until_quiet()


def test_the_exits_end_goes_when_the_ingress_restarts(mesh):
    with connected(mesh) as (branch, hq, _, target):
        branch.kill()
        branch.start()
        assert is_reset(target, 20)
    hq.wait_until_quiet()


def test_an_end_that_vanished_for_good_takes_the_connection_with_it(mesh):
    with connected(mesh, reroute_timeout=1) as (branch, hq, client, _):
        hq.kill()
        assert is_reset(client, 20)
    branch.wait_until_quiet()


def test_a_silent_peer_is_dead_after_the_timeout(mesh):
    branch, relay = mesh.agent("branch"), mesh.agent("relay")
    branch.dial(relay)
    branch.config["connections"] = {"timeout": 0.5}
    mesh.start()
    branch.wait_for_peers(relay)
    relay.pause()
    try:
        wait_until(lambda: branch.stats()["peer_count"] == 0, "the link is dead", 5)
    finally:
        relay.resume()
    branch.wait_for_peers(relay)


# -- links ---------------------------------------------------------------------------------------------------


def test_two_agents_that_dial_each_other_have_one_link(mesh):
    one, other = mesh.agent("one"), mesh.agent("other")
    one.dial(other)
    other.dial(one)
    with Service(echo) as service:
        one.offer("a", service.port)
        port = other.listen("a")
        mesh.start()
        one.wait_for_peers(other)
        other.wait_for_peers(one)
        with connect(port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"

        def settled():
            """Each sees one peer, and exactly one of them as its dialer."""
            peers = [agent.dashboard()["peers"] for agent in (one, other)]
            return all(len(found) == 1 for found in peers) and (
                sum(found[0]["is_dialer"] for found in peers) == 1
            )

        wait_until(settled, "one link is left")
        with connect(port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
