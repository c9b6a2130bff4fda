"""A connection that its target resets at once is a connection, whatever the kernel shows of it by then."""

import errno
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from actors.runtime.real import connecting
from actors.runtime.real.streams import ResetStreamSocket
from actors.runtime.seam import Connected, ConnectFailed, HangUp
from mesh.addresses import TcpAddress
from tests.actors.runtime.socket_contract import Program, Side, on_loopback

LOCAL = "127.0.0.1"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


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


def connect_and_be_reset(
    near: Side,
    target: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    words: bytes,
    *,
    finishes: bool = False,
) -> Any:
    """The target accepts, speaks and resets, all between the first packet and this end's next look."""

    class Slow(socket.socket):
        def connect_ex(self, address: Any) -> int:
            number = super().connect_ex(address)
            assert number == errno.EINPROGRESS
            with target.accept()[0] as accepted:
                if words:
                    accepted.sendall(words)
                if finishes:
                    accepted.shutdown(socket.SHUT_WR)
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            return number

    with monkeypatch.context() as patch:
        patch.setattr(connecting.socket, "socket", Slow)
        connected = near.connect(TcpAddress(LOCAL, target.getsockname()[1]))
    assert isinstance(connected, Connected)
    return connected.socket


@pytest.mark.parametrize("words", [b"", b"-ERR max number of clients reached\r\n"])
def test_it_gives_what_came_first_then_the_reset(near, target, monkeypatch, words):
    stream = connect_and_be_reset(near, target, monkeypatch, words)
    assert near.hung_up(stream) is HangUp.GONE
    if words:
        assert near.receive(stream) == words
    with pytest.raises(ConnectionResetError):
        near.receive(stream)
    assert near.receive(stream) == b""


def test_sending_tells_as_well_and_leaves_what_is_unread(near, target, monkeypatch):
    stream = connect_and_be_reset(near, target, monkeypatch, b"busy")
    with pytest.raises(ConnectionResetError):
        near.send(stream, b"GET / HTTP/1.1")
    with pytest.raises(BrokenPipeError):
        near.send(stream, b"GET / HTTP/1.1")
    assert near.receive(stream) == b"busy"
    assert near.receive(stream) == b""


def test_one_that_finished_before_its_reset_has_an_end_of_stream(near, target, monkeypatch):
    stream = connect_and_be_reset(near, target, monkeypatch, b"done", finishes=True)
    assert near.receive(stream) == b"done"
    assert near.receive(stream) == b""
    assert near.hung_up(stream) is HangUp.GONE
    with pytest.raises(BrokenPipeError):
        near.send(stream, b"more")


@pytest.mark.parametrize("look", ["at once", "later"])
def test_a_refusal_is_a_failure_whenever_it_is_seen(near, target, monkeypatch, look):
    port = target.getsockname()[1]
    target.close()
    if look == "later":
        monkeypatch.setattr(connecting, "_outcome", lambda sock: errno.EINPROGRESS)
    failed = near.connect(TcpAddress(LOCAL, port))
    assert isinstance(failed, ConnectFailed)
    assert failed.error_number == errno.ECONNREFUSED


def test_a_reset_that_is_seen_later_is_no_failure(near, target, monkeypatch):
    monkeypatch.setattr(connecting, "_outcome", lambda sock: errno.EINPROGRESS)
    stream = connect_and_be_reset(near, target, monkeypatch, b"later")
    assert isinstance(stream, ResetStreamSocket)
    assert near.receive(stream) == b"later"
    with pytest.raises(ConnectionResetError):
        near.receive(stream)


def test_the_helpers_leave_nothing_open(near, target, monkeypatch):
    stream = connect_and_be_reset(near, target, monkeypatch, b"x")

    def close(program: Program) -> int:
        stream.close()
        program.disown(stream)
        return stream._socket.fileno()

    assert near.do(close) == -1
