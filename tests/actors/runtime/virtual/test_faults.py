"""Cuts, partitions, pauses and crashes of the simulated world, seen by real actors."""

import errno
from typing import Any

import pytest

from actors.runtime.seam import Connected, HangUp
from actors.runtime.virtual.connect import CONNECT_TIMEOUT_S
from actors.runtime.virtual.links import RETRANSMISSION_S
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from tests.actors.runtime.virtual.programs import PORT, Client, Server, connected, start


@pytest.fixture
def world() -> Any:
    with VirtualWorld(1) as made:
        yield made


def test_a_silent_cut_is_a_black_hole_and_healing_brings_all_back(world: VirtualWorld):
    client, ref, _ = connected(world)
    world.network.cut("a", "b")
    ref.tell(b"lost?")
    world.run(100.0)
    assert client.heard == []
    assert client.sockets[0].hung_up() is HangUp.NO
    world.network.heal("a", "b")
    healed = world.now()
    world.run_while(lambda: not client.received, 10.0)
    assert client.received == b"lost?"
    assert world.now() - healed >= RETRANSMISSION_S


def test_a_one_way_cut_lets_bytes_through_the_other_way(world: VirtualWorld):
    client, ref, server = connected(world)
    world.network.cut("b", "a", one_way=True)
    ref.tell(b"hello")
    world.run(1.0)
    assert client.received == b""
    assert server.accepted[0].hung_up() is HangUp.NO
    world.network.heal("a", "b")
    world.run(1.0)
    assert client.received == b"hello"


def test_a_connect_into_a_black_hole_times_out_as_the_kernels_does(world: VirtualWorld):
    start(world, Server, "b")
    client, ref = start(world, Client, "a")
    world.network.cut("a", "b")
    ref.tell(TcpAddress("b", PORT))
    world.run(CONNECT_TIMEOUT_S + 1)
    assert client.heard[0][1].error_number == errno.ETIMEDOUT
    assert client.heard[0][0] == pytest.approx(CONNECT_TIMEOUT_S)
    assert world.open_sockets("a") == 0


def test_a_connect_into_a_black_hole_gets_through_when_it_heals(world: VirtualWorld):
    start(world, Server, "b")
    client, ref = start(world, Client, "a")
    world.network.cut("a", "b")
    ref.tell(TcpAddress("b", PORT))
    world.run(10.0)
    world.network.heal("a", "b")
    world.run(1.0)
    assert isinstance(client.heard[0][1], Connected)


def test_a_cut_with_resets_breaks_both_ends_and_refuses_until_healed(world: VirtualWorld):
    client, ref, server = connected(world)
    world.network.cut("a", "b", reset=True)
    world.run(0.0)
    assert client.heard == [(world.now(), errno.ECONNRESET)]
    assert server.accepted == []
    ref.tell(TcpAddress("b", PORT))
    world.run(1.0)
    assert client.heard[-1][1].error_number == errno.ECONNREFUSED
    world.network.heal("a", "b")
    ref.tell(TcpAddress("b", PORT))
    world.run(1.0)
    assert isinstance(client.heard[-1][1], Connected)


def test_a_cut_with_resets_fails_a_connect_under_way(world: VirtualWorld):
    start(world, Server, "b")
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("b", PORT))
    world.run(0.0015)  # the far end has it, this end does not know yet
    world.network.cut("a", "b", reset=True)
    world.run(1.0)
    assert [message.error_number for _, message in client.heard] == [errno.ECONNRESET]
    assert world.open_sockets("a") == 0
    assert world.open_sockets("b") == 1


def test_a_partition_cuts_between_groups_only(world: VirtualWorld):
    clients = {}
    for host in ("a", "b", "c"):
        start(world, Server, host)
        clients[host] = start(world, Client, host)
    world.network.partition(["a", "b"], ["c"])
    for source, target in (("a", "b"), ("a", "c"), ("c", "b")):
        clients[source][1].tell(TcpAddress(target, PORT))
    world.run(1.0)
    assert {host: len(client.sockets) for host, (client, _) in clients.items()} == {"a": 1, "b": 0, "c": 0}
    world.network.heal_partition(["a", "b"], ["c"])
    world.run(1.0)
    assert {host: len(client.sockets) for host, (client, _) in clients.items()} == {"a": 2, "b": 0, "c": 1}


def test_a_paused_process_takes_no_turns_but_its_kernel_goes_on(world: VirtualWorld):
    client, ref, server = connected(world)
    world.pause("b")
    ref.tell(b"one ")
    ref.tell(TcpAddress("b", PORT))
    world.run(10.0)
    ref.tell(b"two")
    world.run(10.0)
    assert client.received == b""
    assert len(client.sockets) == 2, "the kernel completes handshakes"
    assert len(server.accepted) == 1
    world.resume("b")
    world.run(1.0)
    assert client.received == b"one two"
    assert len(server.accepted) == 2


def test_timers_of_a_paused_process_fire_when_it_goes_on(world: VirtualWorld):
    client, ref = start(world, Client, "a")
    world.dispatcher("a").schedule(ref, 1.0, 1)
    world.dispatcher("a").schedule(ref, 2.0, 2)
    world.pause("a")
    world.run(5.0)
    assert client.heard == []
    world.resume("a")
    world.run(0.0)
    assert client.heard == [(5.0, 1), (5.0, 2)]


def test_a_crash_resets_peers_and_leaves_nothing(world: VirtualWorld):
    client, ref, server = connected(world)
    other, _ = start(world, Client, "b")
    world.dispatcher("b").schedule(other.ref, 0.5, "never")
    server_ref = server.ref
    world.crash("b")
    world.run(1.0)
    assert [what for _, what in client.heard] == [errno.ECONNRESET]
    assert not server_ref.is_alive()
    assert (other.released, other.heard) == (0, [])
    assert world.open_sockets("b") == 0
    ref.tell(TcpAddress("b", PORT))
    world.run(1.0)
    assert client.heard[-1][1].error_number == errno.ECONNREFUSED


def test_a_crash_of_the_client_resets_the_server_even_before_it_has_accepted(world: VirtualWorld):
    _, ref, server = connected(world)
    server.listener.watch_read(False)
    ref.tell(TcpAddress("b", PORT))
    ref.tell(TcpAddress("b", PORT + 1))
    world.run(0.0005)
    world.crash("a")
    world.run(1.0)
    assert server.accepted == []
    assert world.open_sockets("a") == 0


def test_a_crashed_host_starts_anew_on_the_same_port_with_other_randomness(world: VirtualWorld):
    start(world, Server, "b")
    world.run(1.0)
    before = world.dispatcher("b")
    drawn = before.random_bytes(16)
    world.crash("b")
    assert not before.is_alive
    with pytest.raises(LookupError):
        world.pause("b")
    start(world, Server, "b")
    after = world.dispatcher("b")
    assert after is not before
    assert after.random_bytes(16) != drawn
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("b", PORT))
    world.run(1.0)
    assert isinstance(client.heard[0][1], Connected)
    with pytest.raises(RuntimeError, match="has ended"):
        Client.start(before)


def test_an_attempt_whose_actor_has_ended_closes_its_socket(world: VirtualWorld):
    server, _ = start(world, Server, "b")
    _, ref = start(world, Client, "a")
    world.ask(ref, TcpAddress("b", PORT))
    ref.stop(block=False)
    world.run(1.0)
    assert world.open_sockets("a") == 0
    assert server.accepted == []


def test_a_cancelled_attempt_reports_nothing_and_resets_what_had_begun(world: VirtualWorld):
    server, _ = start(world, Server, "b")
    client, ref = start(world, Client, "a")
    attempt = world.ask(ref, TcpAddress("b", PORT))
    world.run(0.0015)
    attempt.cancel()
    attempt.cancel()
    assert world.open_sockets("a") == 0
    world.run(1.0)
    assert client.heard == []
    assert server.accepted == []
