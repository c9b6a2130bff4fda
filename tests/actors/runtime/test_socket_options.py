"""What sockets are set up with, as the kernel shows it."""

import socket
import struct
from collections.abc import Iterator

import pytest

from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import KeepAlive, SocketOptions
from mesh.addresses import TcpAddress
from tests.actors.runtime.real.driver import LIMIT_S, LOCAL, Driver
from tests.actors.runtime.socket_contract import Side, on_loopback


@pytest.fixture
def driver(dispatcher: LoopDispatcher) -> Driver:
    return Driver(dispatcher)


@pytest.fixture
def near() -> Iterator[Side]:
    with on_loopback() as place:
        yield Side(place, place.near)


@pytest.fixture
def target() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind((LOCAL, 0))
        listening.listen()
        yield listening


def test_options_reach_the_kernel_on_both_sides(driver: Driver):
    options = SocketOptions(
        no_delay=True,
        not_sent_low_water_bytes=131_072,
        send_buffer_bytes=50_000,
        receive_buffer_bytes=60_000,
        reset_if_abandoned=True,
        urgent_in_line=True,
        keep_alive=KeepAlive(idle_s=11, interval_s=7, probes=5),
    )
    client, server, _ = driver.pair(options)
    listener = driver.bind(TcpAddress(LOCAL, 0), options=options)
    address = (LOCAL, listener.port)
    with socket.create_connection(address, LIMIT_S), socket.create_connection(address, LIMIT_S):
        driver.do(lambda _: listener.watch_read(True))
        driver.heard.get(timeout=LIMIT_S)  # both wait by now
        accepted = [driver.do(lambda program: program.own(listener.accept())) for _ in range(2)]
    for stream in (client, *accepted):
        kernel = stream._socket
        assert kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 131_072
        assert (
            kernel.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 100_000
        )  # the kernel doubles: socket(7)
        assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 120_000
        assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 1
        assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)
        assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        kept = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [kernel.getsockopt(socket.IPPROTO_TCP, option) for option in kept] == [11, 7, 5]
    assert server._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    plain, *_ = driver.pair(SocketOptions(no_delay=False))
    assert plain._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0


def test_the_kernel_sends_by_an_algorithm_that_it_has(driver: Driver):
    client, *_ = driver.pair(SocketOptions())
    assert client.control_congestion("reno")
    found = client._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    assert found.rstrip(b"\0") == b"reno"
    assert not client.control_congestion("none-such")


def test_an_urgent_byte_stays_where_it_was_sent(near, target):
    options = SocketOptions(urgent_in_line=True)

    def three_sends(sender: socket.socket) -> None:
        sender.sendall(b"abc")
        sender.send(b"X", socket.MSG_OOB)
        sender.sendall(b"def")

    stream = near.connect(TcpAddress(LOCAL, target.getsockname()[1]), options).socket
    with target.accept()[0] as accepted:
        three_sends(accepted)
        assert near.receive_exactly(stream, 7) == b"abcXdef"
    listener = near.bind(TcpAddress(LOCAL, 0), options=options)
    with socket.create_connection((LOCAL, listener.port)) as client:
        three_sends(client)
        server = near.accept(listener)
        assert near.receive_exactly(server, 7) == b"abcXdef"
