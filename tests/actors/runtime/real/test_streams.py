"""What only the real kernel can show of connected sockets."""

import os
import resource
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from actors.runtime.real import streams
from mesh.addresses import TcpAddress, UnixAddress
from tests.actors.runtime.real.driver import LIMIT_S, LOCAL, Do, Driver, Program


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
    everywhere = driver.bind(TcpAddress("0.0.0.0", 0))  # each client says at which address
    asking = driver.connect(TcpAddress(LOCAL, everywhere.port)).socket
    never_asked = driver.accept(everywhere)
    driver.do(lambda _: never_asked.close())  # the kernel knows its address no more than after a reset
    assert (never_asked.local_name, never_asked.peer_name) == ("closed", asking.local_name)
    assert repr(never_asked) == f"<LoopStreamSocket closed - {asking.local_name}>"
    driver.do(lambda _: client.close())
    assert client.peer_name == listener.local_name
    unix = driver.bind(UnixAddress(str(tmp_path / "s")))
    assert (unix.local_name, unix.port) == (f"unix:{tmp_path}/s", 0)
    assert repr(unix) == f"<LoopUnixListeningSocket unix:{tmp_path}/s listening>"
    assert driver.connect(UnixAddress(str(tmp_path / "s"))).socket.peer_name == f"unix:{tmp_path}/s"
    assert driver.accept(unix).peer_name == "unix:"


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


def test_a_socket_that_outlives_the_actor_it_is_watched_for_is_reported_once(
    driver: Driver, caplog: pytest.LogCaptureFixture
):
    client, server, _ = driver.pair()
    driver.do(lambda program: program.disown(server))
    ended = Driver(driver.dispatcher)

    def watch(program: Program) -> None:
        server.attach(program)  # and does not own it
        server.watch_read(True)
        program.stop_now()

    ended.ref.tell(Do(watch))
    driver.do(lambda _: client.send([b"x"]))
    deadline = time.monotonic() + LIMIT_S
    while server._readiness.wanted and time.monotonic() < deadline:
        driver.do(lambda _: None)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    heir = Driver(driver.dispatcher)
    heir.do(lambda program: program.own(server).watch_read(True))
    assert heir.heard.get(timeout=LIMIT_S) == ("readable", server)


@pytest.mark.parametrize(
    ("how", "seen"), [("shutdown_write", b"\0"), ("finish", b"\0"), ("abort", b""), ("close", b"")]
)
def test_a_witness_says_whether_a_unix_socket_has_finished(
    driver: Driver, tmp_path: Path, how: str, seen: bytes
):
    path = str(tmp_path / "s")
    listener = driver.bind(UnixAddress(path))
    driver.do(lambda _: listener.listen())
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT_S)
        client.connect(path)
        server = driver.accept(listener)
        assert driver.do(lambda _: server.say_with_witness(b"hello"))
        words, (pipe,), _, _ = socket.recv_fds(client, 9, 1)
        client.shutdown(socket.SHUT_WR)
        driver.do(lambda _: getattr(server, how)())
        assert (words, client.recv(1), os.read(pipe, 2)) == (b"hello", b"", seen)
        driver.do(lambda _: server.close())
        os.close(pipe)


def test_without_descriptors_there_is_no_witness_and_nothing_is_said(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = str(tmp_path / "s")
    listener = driver.bind(UnixAddress(path))
    driver.do(lambda _: listener.listen())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT_S)
        client.connect(path)
        server = driver.accept(listener)
        with monkeypatch.context() as last_ones:
            last_ones.setattr(driver.dispatcher.descriptors, "_mark", 3)  # every number is one of the last
            assert not driver.do(lambda _: server.say_with_witness(b"hello"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
        try:
            assert not driver.do(lambda _: server.say_with_witness(b"hello"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.close()
        assert not driver.do(lambda _: server.say_with_witness(b"hello"))  # nobody is there to hear it
        driver.do(lambda _: server.shutdown_write())
