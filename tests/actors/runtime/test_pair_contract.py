"""What actors may rely on of a stream inside of their process, in the kernel and the simulation alike."""

from typing import Any

import pytest

from actors.runtime.seam import HangUp
from tests.actors.runtime.socket_contract import Side


@pytest.fixture
def ends(near: Side) -> tuple[Any, Any]:
    """Both ends, of one program."""
    return near.do(lambda program: tuple(map(program.own, program.dispatcher.pair())))


def test_bytes_go_both_ways_and_each_end_ends_by_itself(near: Side, ends: tuple[Any, Any]):
    one, other = ends
    near.send(one, b"ping")
    assert near.receive_exactly(other, 4) == b"ping"
    near.do(lambda _: one.shutdown_write())
    assert near.receive(other) == b""
    near.send(other, b"pong")
    assert near.receive_exactly(one, 4) == b"pong"


def test_what_was_sent_before_the_end_is_read_before_it(near: Side, ends: tuple[Any, Any]):
    one, other = ends
    near.send(one, b"last words")
    near.do(lambda _: one.close())
    assert near.receive_exactly(other, 10) == b"last words"
    assert near.receive(other) == b""
    assert near.hung_up(other) is HangUp.LEFT


def test_one_that_has_finished_sending_has_not_left(near: Side, ends: tuple[Any, Any]):
    one, other = ends
    near.do(lambda _: one.shutdown_write())
    assert near.receive(other) == b""
    assert near.hung_up(other) is HangUp.HALF_CLOSED
    near.do(lambda _: one.close())
    near.until(lambda: other.hung_up() is HangUp.LEFT)


def test_one_that_is_not_read_takes_no_more(near: Side, ends: tuple[Any, Any]):
    one, other = ends

    def fill() -> None:
        for _ in range(1000):
            near.send(one, bytes(65_536))

    with pytest.raises(BlockingIOError):
        fill()
    near.receive(other)


def test_ends_have_names_that_no_other_socket_has(near: Side, ends: tuple[Any, Any]):
    more = near.do(lambda program: tuple(map(program.own, program.dispatcher.pair())))
    sockets = (*ends, *more)
    names = [name for socket in sockets for name in (socket.local_name, socket.peer_name)]
    assert ends[0].local_name == ends[1].peer_name
    assert ends[1].local_name == ends[0].peer_name
    assert len(set(names)) == 4
    assert all(name.startswith("unix:") for name in names)
