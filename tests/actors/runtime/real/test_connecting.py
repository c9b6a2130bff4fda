"""Connects on the real kernel: each is reported once, and none leaves a descriptor behind."""

import errno
import socket
from functools import partial
from pathlib import Path

import pytest

from actors.runtime.real.connecting import _local_address, _met_itself
from actors.runtime.real.timers import Timers
from actors.runtime.seam import Connected, ConnectFailed, SocketOptions
from mesh.addresses import TcpAddress, UnixAddress
from tests.actors.runtime.real.driver import LIMIT_S, LOCAL, Driver, Program
from tests.passed_descriptors import may_pass, needs_refusal


def test_connecting_to_a_name_fails_instead_of_looking_it_up(driver: Driver):
    failed = driver.connect(TcpAddress("db.example", 80))
    assert failed == ConnectFailed(7, errno.EINVAL, "'db.example' is not an IP address")


def test_a_connect_to_oneself_is_a_refusal(driver: Driver):
    with socket.socket() as bound:
        bound.bind((LOCAL, 0))
        name = bound.getsockname()
        bound.connect(name)  # a simultaneous open: nobody listens there
        assert bound.getsockname() == bound.getpeername()
        assert _met_itself(bound, name, name)
    client, _, _ = driver.pair()
    remote, own = client._socket.getpeername(), client._socket.getsockname()
    assert _local_address(client._socket) == own
    assert not _met_itself(client._socket, own, remote)
    assert not _met_itself(client._socket, own, own)  # the same port of another host
    driver.do(lambda _: client.abort())
    assert _local_address(client._socket) is None
    assert not _met_itself(client._socket, own, own)


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


@needs_refusal
def test_a_target_can_pass_no_descriptor_whose_close_takes_long(driver: Driver, tmp_path: Path):
    address = UnixAddress(str(tmp_path / "target"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address.path)
        listening.listen()
        connected = driver.connect(address)
        target, _ = listening.accept()
        with target:
            assert not may_pass(target)
        driver.do(lambda _: connected.socket.close())


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


def test_a_busy_unix_socket_is_tried_ever_more_seldom(driver: Driver, tmp_path: Path, monkeypatch):
    """Thousands may wait for a target that hangs."""
    address, waits, again = UnixAddress(str(tmp_path / "busy")), [], []

    def call_later(delay_s, callback, *arguments):
        waits.append(delay_s)
        again.append(partial(callback, *arguments))
        return Timers().add(delay_s, callback, arguments)

    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(address.path)
        busy.listen(0)
        taken = driver.connect(address)
        monkeypatch.setattr(driver.dispatcher, "call_later", call_later)
        attempt = driver.do(
            lambda program: program.dispatcher.connect(program.ref, address, 1, SocketOptions())
        )
        for _ in range(6):
            driver.do(lambda _: again.pop()())
        driver.do(lambda _: attempt.cancel())
        driver.do(lambda _: taken.socket.close())
    assert waits == [0.02, 0.04, 0.08, 0.16, 0.32, 0.32, 0.32]


def test_a_busy_unix_socket_that_goes_away_is_a_failure(driver: Driver, tmp_path: Path):
    address = UnixAddress(str(tmp_path / "busy"))
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(address.path)
        busy.listen(0)
        assert isinstance(driver.connect(address), Connected)
        driver.do(lambda program: program.dispatcher.connect(program.ref, address, 1, SocketOptions()))
    assert driver.heard.get(timeout=LIMIT_S).error_number == errno.ECONNREFUSED
    assert not driver.dispatcher._connects
