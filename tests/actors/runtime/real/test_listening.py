"""What only the real kernel can show of listening sockets: ports held against others, clients gone."""

import contextlib
import errno
import os
import queue
import socket
from pathlib import Path
from typing import Any

import pytest

from actors.runtime.actor import Actor
from actors.runtime.real import listening
from actors.runtime.real.loop import LoopDispatcher
from mesh.addresses import TcpAddress, UnixAddress
from tests.actors.runtime.real.driver import LIMIT_S, LOCAL, Driver, refusal


def steal(port: int) -> int:
    """What the kernel says to another socket that wants the port, by the usual means of a server."""
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            thief.bind((LOCAL, port))
            thief.listen()
        except OSError as error:
            return error.errno or 0
    return 0


@pytest.mark.parametrize("host", [LOCAL, "", "localhost", "::1", "0.0.0.0", "::"])
@pytest.mark.parametrize("chosen", ["by number", "by the kernel"])
def test_parking_keeps_the_port_against_thieves_and_refuses(driver: Driver, host: str, chosen: str):
    if chosen == "by number":
        free = driver.bind(TcpAddress(host, 0), listen=False)
        port = free.port
        driver.do(lambda _: free.close())
    else:
        port = 0
    address = "::1" if ":" in host else LOCAL
    listener = driver.bind(TcpAddress(host, port), listen=False)
    port = listener.port
    for _ in range(3):
        assert refusal(port, address) == errno.ECONNREFUSED
        assert ":" in host or steal(port) == errno.EADDRINUSE
        driver.do(lambda _: listener.listen())
        assert listener.port == port
        assert ":" in host or steal(port) == errno.EADDRINUSE
        with socket.create_connection((address, port), LIMIT_S) as client:
            accepted = driver.accept(listener)
            client.sendall(b"x")
            assert accepted.peer_name.endswith(str(client.getsockname()[1]))
            driver.do(lambda _: listener.park())
            # With a connection of ours on the port, which lives on.
            assert refusal(port, address) == errno.ECONNREFUSED
            assert ":" in host or steal(port) == errno.EADDRINUSE
            driver.do(lambda _: listener.listen())
            assert refusal(port, address) == 0
            driver.do(lambda _: listener.park())
            driver.do(lambda _, accepted=accepted: accepted.close())


def test_a_parked_listener_is_quiet_and_hears_of_clients_once_it_listens_again(driver: Driver):
    listener = driver.bind(TcpAddress(LOCAL, 0))
    driver.do(lambda _: listener.watch_read(True))
    driver.do(lambda program: setattr(program, "keep_watching", True))
    driver.do(lambda _: listener.park())
    for _ in range(20):  # turns of the loop, in which a hang-up would be reported
        driver.do(lambda _: None)
    assert driver.do(lambda program: program.reports) == 0
    driver.do(lambda program: setattr(program, "keep_watching", False))
    driver.do(lambda _: listener.listen())
    with socket.create_connection((LOCAL, listener.port), LIMIT_S):
        assert driver.heard.get(timeout=LIMIT_S) == ("readable", listener)


def test_a_parked_listener_with_connections_in_time_wait_listens_again(driver: Driver):
    client, server, listener = driver.pair()
    driver.do(lambda _: server.close())  # the server's side closes first, so the port is in TIME_WAIT
    driver.do(lambda _: client.close())
    port = listener.port
    driver.do(lambda _: listener.park())
    driver.do(lambda _: listener.listen())
    driver.do(lambda _: listener.close())
    again = driver.bind(TcpAddress(LOCAL, port))
    assert again.port == port


def test_listening_where_another_socket_listens_is_an_error_and_parks_still(driver: Driver):
    listener = driver.bind(TcpAddress(LOCAL, 0), listen=False)
    descriptor = listener._socket.fileno()
    assert os.fstat(descriptor)

    class Busy:
        def __init__(self, real: socket.socket) -> None:
            self.real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def listen(self, backlog: int) -> None:
            raise OSError(errno.EADDRINUSE, "in use")

    real = listener._socket
    listener._socket = Busy(real)
    with pytest.raises(OSError, match="in use"):
        driver.do(lambda _: listener.listen())
    assert real.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0
    listener._socket = real
    assert refusal(listener.port) == errno.ECONNREFUSED
    driver.do(lambda _: listener.listen())
    assert refusal(listener.port) == 0


def test_no_host_means_every_interface_of_both_families(driver: Driver):
    listener = driver.bind(TcpAddress("", 0))
    assert refusal(listener.port, LOCAL) == 0
    assert refusal(listener.port, "::1") == 0
    assert listener.local_name == f"*:{listener.port}"


def test_every_interface_of_ipv6_alone_has_another_name_than_that_of_both(driver: Driver):
    listener = driver.bind(TcpAddress("::", 0))
    assert listener.local_name == f"[::]:{listener.port}"


@pytest.mark.interpreted
def test_no_host_on_a_system_without_ipv6_means_every_ipv4_interface(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
):
    original = listening._bound

    def without_ipv6(family: int, *arguments: Any, **settings: Any) -> Any:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return original(family, *arguments, **settings)

    monkeypatch.setattr(listening, "_bound", without_ipv6)
    listener = driver.bind(TcpAddress("", 0))
    assert listener.local_name == f"0.0.0.0:{listener.port}"
    assert refusal(listener.port, LOCAL) == 0


@pytest.mark.parametrize("host", ["db.example", "999.1.1.1", "192.0.2.1"])
def test_a_host_that_is_not_ours_cannot_be_bound(driver: Driver, host: str):
    with pytest.raises(OSError, match=r"is not looked up|four numbers|Cannot assign"):
        driver.bind(TcpAddress(host, 0))


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EHOSTUNREACH])
def test_a_client_that_went_before_it_was_accepted_is_no_error_of_the_listener(driver: Driver, number: int):
    listener = driver.bind(TcpAddress(LOCAL, 0))
    real = listener._socket

    class Gone:
        def _accept(self) -> None:
            raise OSError(number, os.strerror(number))

    listener._socket = Gone()
    with pytest.raises(BlockingIOError):
        driver.do(lambda _: listener.accept())
    listener._socket = real


def test_a_unix_socket_parks_listens_again_and_cleans_up(driver: Driver, tmp_path: Path):
    path = tmp_path / "s"
    listener = driver.bind(UnixAddress(str(path)))
    for _ in range(2):
        driver.do(lambda _: listener.park())
        assert driver.connect(UnixAddress(str(path))).error_number == errno.ECONNREFUSED
        driver.do(lambda _: listener.listen())
        client = driver.connect(UnixAddress(str(path))).socket
        assert driver.accept(listener)
        driver.do(lambda _, client=client: client.abort())
    driver.do(lambda _: listener.close())
    assert not path.exists()
    driver.do(lambda _: listener.close())


def test_a_stale_unix_socket_is_replaced_and_a_live_one_or_a_file_is_not(driver: Driver, tmp_path: Path):
    stale, live, file = (tmp_path / name for name in ("stale", "live", "file"))
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(stale))
    file.write_text("not a socket")
    driver.bind(UnixAddress(str(stale)))
    driver.bind(UnixAddress(str(live)))
    for path in (live, file):
        with pytest.raises(OSError, match="in use"):
            driver.bind(UnixAddress(str(path)))
    assert file.read_text() == "not a socket"


class Doorkeeper(Actor[Any]):
    """Takes clients as long as that is worth while; says how many in each turn."""

    def __init__(self, dispatcher: Any, turns: "queue.SimpleQueue[int]") -> None:
        super().__init__(dispatcher)
        self._turns = turns
        self.listener = self.own(dispatcher.bind(TcpAddress(LOCAL, 0)))
        self.listener.listen()

    def on_receive(self, message: Any) -> Any:
        return message(self)

    def on_readable(self, listener: Any) -> None:
        taken = 0
        while listener.may_have_more or not taken:
            try:
                self.own(listener.accept())
            except BlockingIOError:
                break
            taken += 1
        self._turns.put(taken)


def test_asking_again_is_worth_while_only_in_a_crowd(dispatcher: LoopDispatcher):
    turns: queue.SimpleQueue[int] = queue.SimpleQueue()
    keeper = Doorkeeper.start(dispatcher, turns)
    address = (LOCAL, keeper.ask(lambda actor: actor.listener.port, timeout=LIMIT_S))
    with contextlib.ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(socket.create_connection(address, LIMIT_S))
        keeper.ask(lambda actor: actor.listener.watch_read(True), timeout=LIMIT_S)
        assert [turns.get(timeout=LIMIT_S), turns.get(timeout=LIMIT_S)] == [1, 2]
        for _ in range(3):  # rounds in which nobody comes
            keeper.ask(lambda _: None, timeout=LIMIT_S)
        clients.enter_context(socket.create_connection(address, LIMIT_S))
        assert turns.get(timeout=LIMIT_S) == 1
        assert turns.empty()
