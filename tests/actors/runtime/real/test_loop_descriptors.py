"""What real sockets do when the process runs out of descriptors."""

import errno
import gc
import os
import resource
import socket
from collections.abc import Callable, Iterator

import pytest

from actors.runtime.seam import ClientTurnedAwayError, SocketOptions
from mesh.addresses import TcpAddress
from tests.actors.runtime.real.driver import LIMIT_S, LOCAL, Driver


@pytest.fixture
def few_descriptors() -> Iterator[Callable[[], None]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def use_up() -> None:
        probe = os.open("/dev/null", os.O_RDONLY)
        os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))  # the lowest free one is just out of reach

    yield use_up
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_client_without_a_descriptor_is_reset(driver: Driver, few_descriptors: Callable[[], None]):
    listener = driver.bind(TcpAddress(LOCAL, 0))
    gc.collect()
    with socket.create_connection((LOCAL, listener.port), LIMIT_S) as client:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)
        few_descriptors()
        driver.do(lambda _: listener.watch_read(True))
        assert driver.heard.get(timeout=LIMIT_S) == ("readable", listener)
        with pytest.raises(ClientTurnedAwayError, match="Too many open files") as caught:
            driver.do(lambda _: listener.accept())
        assert caught.value.errno == errno.EMFILE
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(BlockingIOError):
            driver.do(lambda _: listener.accept())
        assert driver.connect(TcpAddress(LOCAL, listener.port)).error_number == errno.EMFILE
        resource.setrlimit(resource.RLIMIT_NOFILE, soft)
    with socket.create_connection((LOCAL, listener.port), LIMIT_S):
        accepted = driver.accept(listener)
        assert accepted.peer_name.startswith(LOCAL)


def test_without_a_reserve_accepting_is_an_error_that_a_pause_keeps_quiet(
    driver: Driver, few_descriptors: Callable[[], None]
):
    listener = driver.bind(TcpAddress(LOCAL, 0))
    gc.collect()
    with socket.create_connection((LOCAL, listener.port), LIMIT_S):
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)
        driver.dispatcher.descriptors.close()
        taken = os.open("/dev/null", os.O_RDONLY)  # by another thread, say
        few_descriptors()
        driver.do(lambda _: listener.watch_read(True))
        assert driver.heard.get(timeout=LIMIT_S) == ("readable", listener)
        with pytest.raises(OSError, match="Too many open files") as caught:
            driver.do(lambda _: listener.accept())
        assert not isinstance(caught.value, (BlockingIOError, ClientTurnedAwayError))
        reports = driver.do(lambda program: program.reports)
        driver.do(lambda program: setattr(program, "keep_watching", True))
        for _ in range(20):
            driver.do(lambda _: None)
        assert driver.do(lambda program: program.reports) == reports
        resource.setrlimit(resource.RLIMIT_NOFILE, soft)
        os.close(taken)
        driver.do(lambda program: setattr(program, "keep_watching", False))
        assert driver.accept(listener).peer_name.startswith(LOCAL)


def test_the_last_descriptors_are_not_for_those_that_leave_them(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
):
    options = SocketOptions(leaves_spare=True)
    listener = driver.bind(TcpAddress(LOCAL, 0), options=options)
    monkeypatch.setattr(driver.dispatcher.descriptors, "_mark", 3)  # every number is one of the last
    assert driver.connect(TcpAddress(LOCAL, listener.port), options).error_number == errno.EMFILE
    with socket.create_connection((LOCAL, listener.port), LIMIT_S) as client:
        driver.do(lambda _: listener.watch_read(True))
        assert driver.heard.get(timeout=LIMIT_S) == ("readable", listener)
        with pytest.raises(ClientTurnedAwayError):
            driver.do(lambda _: listener.accept())
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    monkeypatch.undo()
    client, server, _ = driver.pair(options)
    for each in (client, server):
        driver.do(lambda _, each=each: each.close())
