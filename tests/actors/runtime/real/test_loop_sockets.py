"""What only the real kernel can show: ports held against others, descriptors used up, options, names."""

import errno
import os
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.runtime.actor import Actor
from actors.runtime.real import listening, streams
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import PLAIN_OPTIONS, Connected, ConnectFailed, SocketOptions
from mesh.addresses import TcpAddress, UnixAddress

LIMIT_S = 10.0
LOCAL = "127.0.0.1"


class Do(msgspec.Struct, frozen=True):
    """Command: run ``action`` in a turn and answer with what it returns."""

    action: Callable[["Program"], Any]


class Program(Actor[Any]):
    """Does what the test says and passes on what it hears; readiness is reported once for each watch."""

    def __init__(self, dispatcher: Any) -> None:
        super().__init__(dispatcher)
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.reports = 0
        self.keep_watching = False

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Do):
            return message.action(self)
        self.heard.put(message)
        return None

    def on_readable(self, socket_: Any) -> None:
        self.reports += 1
        if not self.keep_watching:
            socket_.watch_read(False)
        self.heard.put(("readable", socket_))

    def on_writable(self, socket_: Any) -> None:
        socket_.watch_write(False)
        self.heard.put(("writable", socket_))


class Driver:
    """A program, driven step by step from the test's thread."""

    def __init__(self, dispatcher: LoopDispatcher) -> None:
        self.dispatcher = dispatcher
        self.ref = Program.start(dispatcher)
        self.heard = self.do(lambda program: program.heard)

    def do(self, action: Callable[[Program], Any]) -> Any:
        return self.ref.ask(Do(action), timeout=LIMIT_S)

    def bind(self, address: Any, *, listen: bool = True, options: SocketOptions = PLAIN_OPTIONS) -> Any:
        def action(program: Program) -> Any:
            bound = program.own(program.dispatcher.bind(address, options))
            if listen:
                bound.listen()
            return bound

        return self.do(action)

    def connect(self, address: Any, options: SocketOptions = PLAIN_OPTIONS) -> Any:
        self.do(lambda program: program.dispatcher.connect(program.ref, address, 7, options))
        heard = self.heard.get(timeout=LIMIT_S)
        if isinstance(heard, Connected):
            self.do(lambda program: program.own(heard.socket))
        return heard

    def accept(self, listener: Any) -> Any:
        self.do(lambda _: listener.watch_read(True))
        assert self.heard.get(timeout=LIMIT_S) == ("readable", listener)
        return self.do(lambda program: program.own(listener.accept()))

    def pair(self, options: SocketOptions = PLAIN_OPTIONS) -> tuple[Any, Any, Any]:
        listener = self.bind(TcpAddress(LOCAL, 0))
        client = self.connect(TcpAddress(LOCAL, listener.port), options).socket
        return client, self.accept(listener), listener


@pytest.fixture
def driver(dispatcher: LoopDispatcher) -> Driver:
    return Driver(dispatcher)


def refusal(port: int, host: str = LOCAL) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
        return client.connect_ex((host, port))


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
    assert listener.local_name == f"[::]:{listener.port}"


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


def test_connecting_to_a_name_fails_instead_of_looking_it_up(driver: Driver):
    failed = driver.connect(TcpAddress("db.example", 80))
    assert failed == ConnectFailed(7, errno.EINVAL, "'db.example' is not an IP address")


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EHOSTUNREACH])
def test_a_client_that_went_before_it_was_accepted_is_no_error_of_the_listener(driver: Driver, number: int):
    listener = driver.bind(TcpAddress(LOCAL, 0))
    real = listener._socket

    class Gone:
        def accept(self) -> None:
            raise OSError(number, os.strerror(number))

    listener._socket = Gone()
    with pytest.raises(BlockingIOError):
        driver.do(lambda _: listener.accept())
    listener._socket = real


def test_more_buffers_than_the_kernel_takes_at_once_are_no_error(driver: Driver):
    client, server, _ = driver.pair()
    buffers = [b"x"] * (streams.IOV_MAX + 5)
    assert driver.do(lambda _: client.send(buffers)) == streams.IOV_MAX
    assert driver.do(lambda _: client.send(buffers[streams.IOV_MAX :])) == 5
    driver.do(lambda _: server.watch_read(True))
    driver.heard.get(timeout=LIMIT_S)
    assert driver.do(lambda program: server.recv_into(program.dispatcher.read_buffer)) == streams.IOV_MAX + 5


def test_names_are_for_people_even_after_the_close(driver: Driver, tmp_path: Path):
    client, server, listener = driver.pair()
    assert client.peer_name == listener.local_name == f"{LOCAL}:{listener.port}"
    assert server.peer_name == client.local_name
    never_asked, _, asked = driver.pair()
    driver.do(lambda _: never_asked.close())  # the kernel knows its peer no more than after a reset
    assert (never_asked.local_name, never_asked.peer_name) == ("closed", asked.local_name)
    assert repr(never_asked) == f"<LoopStreamSocket closed - {asked.local_name}>"
    driver.do(lambda _: client.close())
    assert client.peer_name == listener.local_name
    unix = driver.bind(UnixAddress(str(tmp_path / "s")))
    assert (unix.local_name, unix.port) == (f"unix:{tmp_path}/s", 0)
    assert repr(unix) == f"<LoopUnixListeningSocket unix:{tmp_path}/s listening>"
    assert driver.connect(UnixAddress(str(tmp_path / "s"))).socket.peer_name == f"unix:{tmp_path}/s"
    assert driver.accept(unix).peer_name == "unix:"


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


def test_a_connect_to_oneself_is_a_refusal(driver: Driver):
    with socket.socket() as bound:
        bound.bind((LOCAL, 0))
        name = bound.getsockname()
        bound.connect(name)  # a simultaneous open: nobody listens there
        assert bound.getsockname() == bound.getpeername()
        from actors.runtime.real.connecting import _met_itself

        assert _met_itself(bound, name)
    client, _, _ = driver.pair()
    remote = client._socket.getpeername()
    assert not _met_itself(client._socket, remote)
    assert not _met_itself(client._socket, client._socket.getsockname())  # the same port of another host
    driver.do(lambda _: client.abort())
    assert not _met_itself(client._socket, remote)


def test_a_connect_whose_actor_has_died_closes_its_socket(driver: Driver):
    listener = driver.bind(TcpAddress(LOCAL, 0))
    dead = Program.start(driver.dispatcher)
    dead.stop(timeout=LIMIT_S)
    address = TcpAddress(LOCAL, listener.port)
    driver.do(lambda program: program.dispatcher.connect(dead, address, 1, SocketOptions()))
    accepted = driver.accept(listener)
    driver.do(lambda _: accepted.watch_read(True))
    assert driver.heard.get(timeout=LIMIT_S) == ("readable", accepted)
    assert driver.do(lambda program: accepted.recv_into(program.dispatcher.read_buffer)) == 0


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_a_connect_under_way_leaves_nothing_behind(driver: Driver, how: str):
    with socket.socket() as full:  # a backlog of none, taken: further clients wait for an answer
        full.bind((LOCAL, 0))
        full.listen(0)
        address = TcpAddress(LOCAL, full.getsockname()[1])
        for _ in range(2):
            driver.do(lambda program: program.dispatcher.connect(program.ref, address, 1, SocketOptions()))
        attempt = driver.do(
            lambda program: program.dispatcher.connect(program.ref, address, 2, SocketOptions())
        )
        kernel = attempt._socket
        assert kernel.fileno() >= 0
        if how == "cancel":
            driver.do(lambda _: attempt.cancel())
            driver.do(lambda _: attempt.cancel())
        else:
            assert driver.dispatcher.stop(LIMIT_S)
        assert kernel.fileno() == -1
        assert attempt not in driver.dispatcher._connects
    while not driver.heard.empty():
        driver.heard.get().socket.close()


def test_a_unix_socket_with_a_full_backlog_is_tried_until_there_is_room(driver: Driver, tmp_path: Path):
    address = UnixAddress(str(tmp_path / "busy"))
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(address.path)
        busy.listen(0)
        assert isinstance(driver.connect(address), Connected)
        late, later = (
            driver.do(
                lambda program, token=token: program.dispatcher.connect(
                    program.ref, address, token, SocketOptions()
                )
            )
            for token in (1, 2)
        )
        driver.do(lambda _: later.cancel())
        assert later not in driver.dispatcher._connects
        assert late in driver.dispatcher._connects
        assert driver.heard.empty()
        accepted = [busy.accept()[0]]
        connected = driver.heard.get(timeout=LIMIT_S)
        assert (type(connected), connected.token) == (Connected, 1)
        accepted.append(busy.accept()[0])
        assert late not in driver.dispatcher._connects
        for stream in accepted:
            stream.close()
        driver.do(lambda _: connected.socket.close())
    assert driver.heard.empty()


def test_a_busy_unix_socket_that_goes_away_is_a_failure(driver: Driver, tmp_path: Path):
    address = UnixAddress(str(tmp_path / "busy"))
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(address.path)
        busy.listen(0)
        assert isinstance(driver.connect(address), Connected)
        driver.do(lambda program: program.dispatcher.connect(program.ref, address, 1, SocketOptions()))
    assert driver.heard.get(timeout=LIMIT_S).error_number == errno.ECONNREFUSED
    assert not driver.dispatcher._connects


def test_readiness_goes_to_the_latest_owner_only(driver: Driver):
    client, server, _ = driver.pair()
    driver.do(lambda _: server.watch_read(True))
    heir = Driver(driver.dispatcher)
    heir.do(lambda program: program.own(server))
    driver.do(lambda program: program.disown(server))
    driver.do(lambda _: client.send([b"x"]))
    heir.do(lambda _: server.watch_read(True))
    assert heir.heard.get(timeout=LIMIT_S) == ("readable", server)
    assert driver.heard.empty()


def test_an_actor_that_dies_in_readiness_closes_its_socket_and_frees_its_descriptor(driver: Driver):
    released = threading.Event()

    class Fragile(Program):
        def on_readable(self, socket_: Any) -> None:
            raise ValueError("asked to")

        def release(self) -> None:
            released.set()

    client, server, _ = driver.pair()
    fragile = Fragile.start(driver.dispatcher)
    driver.do(lambda program: program.disown(server))
    fragile.ask(Do(lambda program: program.own(server).watch_read(True)), timeout=LIMIT_S)
    driver.do(lambda _: client.send([b"x"]))
    assert released.wait(LIMIT_S)
    driver.do(lambda _: None)
    assert server._socket.fileno() == -1
