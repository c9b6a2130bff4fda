"""The simulated network's times, names and limits, seen by real actors."""

import errno
from typing import Any

import pytest

from actors.runtime.seam import Connected, ConnectFailed, HangUp, NamesResolved, SocketOptions
from actors.runtime.virtual.network import LOCAL_LATENCY_S
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress, UnixAddress
from tests.actors.runtime.virtual.programs import PORT, Client, Server, connected, start


@pytest.fixture
def world() -> Any:
    with VirtualWorld(1) as made:
        yield made


# Times


def test_connecting_takes_a_round_trip_and_an_echo_another(world: VirtualWorld):
    world.network.shape("a", "b", latency_s=0.1)
    start(world, Server, "b")
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("b", PORT))
    world.run(1.0)
    ref.tell(b"hello")
    world.run(1.0)
    assert [time for time, _ in client.heard] == pytest.approx([0.2, 1.2])
    assert client.received == b"hello"


def test_a_connection_within_a_host_is_quick(world: VirtualWorld):
    start(world, Server, "a")
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("127.0.0.1", PORT))
    world.run(1.0)
    assert client.heard[0][0] == pytest.approx(2 * LOCAL_LATENCY_S)


def test_bandwidth_delays_bulk_both_ways(world: VirtualWorld):
    world.network.shape("a", "b", latency_s=0.01, bytes_per_s=100_000)
    client, ref, _ = connected(world)
    began = world.now()
    assert world.ask(ref, bytes(100_000)) == 100_000
    world.run_while(lambda: len(client.received) < 100_000, 10.0)
    assert 1.0 < world.now() - began < 1.2


def test_default_latency_and_bandwidth_hold_for_links_made_later(world: VirtualWorld):
    world.network.default_latency_s = 0.5
    world.network.default_bytes_per_s = 1000.0
    client, ref, _ = connected_later(world)
    ref.tell(bytes(1000))
    began = world.now()
    world.run_while(lambda: len(client.received) < 1000, 10.0)
    assert world.now() - began == pytest.approx(3.0)


def connected_later(world: VirtualWorld) -> tuple[Client, Any, Server]:
    server, _ = start(world, Server, "b")
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("b", PORT))
    world.run_while(lambda: not client.heard, 10.0)
    return client, ref, server


# Addresses


@pytest.mark.parametrize("address", ["b", "10.0.0.1"])
def test_hosts_are_reached_by_name_and_by_address(world: VirtualWorld, address: str):
    start(world, Server, "b")
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress(address, PORT))
    world.run(1.0)
    assert isinstance(client.heard[0][1], Connected)
    assert client.sockets[0].peer_name == f"{address}:{PORT}"
    assert client.sockets[0].local_name.startswith("10.0.0.2:")


@pytest.mark.parametrize(
    ("bound", "address", "reached"),
    [
        ("", "localhost", True),
        ("", "b", True),
        ("127.0.0.1", "::1", False),
        ("localhost", "::1", True),
        ("127.0.0.1", "b", False),
        ("b", "b", True),
        ("10.0.0.1", "b", True),
        ("b", "127.0.0.1", False),
    ],
)
def test_a_listener_is_reached_at_the_address_it_is_bound_to(
    world: VirtualWorld, bound: str, address: str, reached: bool
):
    start(world, Server, "b", bound=bound)
    client, ref = start(world, Client, "b")
    ref.tell(TcpAddress(address, PORT))
    world.run(1.0)
    assert isinstance(client.heard[0][1], Connected if reached else ConnectFailed)


def test_the_loopback_address_of_another_host_is_not_ours(world: VirtualWorld):
    start(world, Server, "b", bound="127.0.0.1")
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("b", PORT))
    ref.tell(TcpAddress("127.0.0.1", PORT))
    world.run(1.0)
    assert [message.error_number for _, message in client.heard] == [errno.ECONNREFUSED] * 2


def test_an_address_of_nobody_is_unreachable(world: VirtualWorld):
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("10.9.9.9", PORT))
    world.run(1.0)
    assert client.heard[0][1].error_number == errno.EHOSTUNREACH
    assert world.open_sockets("a") == 0


def test_unix_sockets_belong_to_their_host(world: VirtualWorld):
    world.dispatcher("b").bind(UnixAddress("/run/s")).listen()
    for host, expected in (("b", Connected), ("a", ConnectFailed)):
        client, ref = start(world, Client, host)
        ref.tell(UnixAddress("/run/s"))
        world.run(1.0)
        assert isinstance(client.heard[0][1], expected)


@pytest.mark.parametrize(
    ("name", "addresses"),
    [("b", ("10.0.0.1",)), ("relay.example.com", ("10.0.0.1", "10.0.0.2")), ("unknown", ())],
)
def test_names_resolve_to_hosts(world: VirtualWorld, name: str, addresses: tuple[str, ...]):
    world.dispatcher("b")
    client, ref = start(world, Client, "a")
    world.network.add_name("relay.example.com", "b")
    world.network.add_name("relay.example.com", "a")
    ref.tell(name)
    world.run(1.0)
    answer = client.heard[0][1]
    assert isinstance(answer, NamesResolved)
    assert (answer.token, answer.addresses) == (2, tuple(TcpAddress(host, 80) for host in addresses))
    assert bool(answer.reason) != bool(addresses)


def test_a_removed_name_resolves_no_more(world: VirtualWorld):
    client, ref = start(world, Client, "a")
    world.network.add_name("gone", "a")
    world.network.remove_name("gone")
    ref.tell("gone")
    world.run(1.0)
    assert client.heard[0][1].addresses == ()


def test_a_cancelled_look_up_reports_nothing(world: VirtualWorld):
    client, ref = start(world, Client, "a")
    world.ask(ref, "a").cancel()
    world.run(1.0)
    assert client.heard == []


@pytest.mark.parametrize("name", ["", "localhost", "127.0.0.1", "10.0.0.9", "2001:db8::1"])
def test_a_host_needs_a_name_of_its_own(world: VirtualWorld, name: str):
    with pytest.raises(ValueError, match="expected a host's name"):
        world.dispatcher(name)


def test_ephemeral_ports_leave_out_those_that_listen(world: VirtualWorld):
    host = world.network.host("a")
    first = host.ephemeral_port()
    world.dispatcher("a").bind(TcpAddress("", first + 1))
    assert host.ephemeral_port() == first + 2


# Limits


def test_without_descriptors_accepting_resets_the_client(world: VirtualWorld):
    world.network.host("b").descriptor_limit = 2
    server, _ = start(world, Server, "b")
    client, ref = start(world, Client, "a")
    for _ in range(3):
        ref.tell(TcpAddress("b", PORT))
    world.run(1.0)
    assert (len(server.accepted), server.accept_errors) == (1, [errno.EMFILE])
    assert len(client.sockets) == 3, "the kernel has let them in"
    assert [socket.hung_up() for socket in client.sockets] == [HangUp.NO, HangUp.GONE, HangUp.NO]
    world.network.host("b").descriptor_limit = None
    server.listener.watch_read(True)
    world.run(1.0)
    assert len(server.accepted) == 2
    assert world.open_sockets("b") == 3


def test_some_descriptors_are_none_for_those_that_leave_them(world: VirtualWorld):
    host = world.network.host("a")
    start(world, Server, "b")
    client, ref = start(world, Client, "a")
    host.descriptor_limit = 8
    for number in range(8):
        world.dispatcher("a").connect(ref, TcpAddress("b", PORT), number, SocketOptions(leaves_spare=True))
    world.run(1.0)
    assert host.open_sockets == 6
    world.dispatcher("a").connect(ref, TcpAddress("b", PORT), 8, SocketOptions())
    world.run(1.0)
    assert host.open_sockets == 7
    assert [m.error_number for _, m in client.heard if isinstance(m, ConnectFailed)] == [errno.EMFILE] * 2


def test_the_descriptor_limit_fails_connecting_and_binding(world: VirtualWorld):
    start(world, Server, "b")
    world.network.host("a").descriptor_limit = 1
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("b", PORT))
    ref.tell(TcpAddress("b", PORT))
    world.run(1.0)
    assert {type(message) for _, message in client.heard} == {Connected, ConnectFailed}
    failed = next(message for _, message in client.heard if isinstance(message, ConnectFailed))
    assert failed.error_number == errno.EMFILE
    with pytest.raises(OSError) as caught:
        world.dispatcher("a").bind(TcpAddress("", 0))
    assert caught.value.errno == errno.EMFILE
    client.sockets[0].close()
    assert world.open_sockets("a") == 0


def test_a_client_that_meets_a_full_queue_gets_in_later(world: VirtualWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actors.runtime.virtual.listening.BACKLOG", 1)
    server, _ = start(world, Server, "b")
    world.run(1.0)
    server.listener.watch_read(False)
    client, ref = start(world, Client, "a")
    ref.tell(TcpAddress("b", PORT))
    ref.tell(TcpAddress("b", PORT))
    world.run(0.5)
    assert len(client.sockets) == 1
    server.listener.watch_read(True)
    world.run(1.0)
    assert len(client.sockets) == 2
