"""Bytes and a reset that arrive together, held against the kernel and the simulation alike."""

from typing import Any

import pytest

from actors.runtime.seam import HangUp
from tests.actors.runtime.socket_contract import Pair, Program, Side


def bytes_then_a_reset(pair: Pair, data: bytes) -> None:
    """The far end has both, and has looked at neither."""
    pair.near.send(pair.client, data)
    pair.near.do(lambda _: pair.client.abort())
    pair.far.until(lambda: pair.server.hung_up() is HangUp.GONE)


def read_a_little(log: list[Any], size: int = 2) -> Any:
    """An owner that takes little in each turn and waits for the next report."""

    def on_readable(socket: Any) -> None:
        buffer = memoryview(bytearray(size))
        try:
            count = socket.recv_into(buffer)
        except OSError as error:
            log.append(type(error))
            socket.watch_read(False)
            return
        log.append(bytes(buffer[:count]))

    return on_readable


def test_a_turn_that_leaves_bytes_and_a_reset_unread_is_followed_by_others(pair: Pair):
    log: list[Any] = []
    bytes_then_a_reset(pair, b"abcdef")
    pair.far.do(lambda program: setattr(program, "on_readable", read_a_little(log)))
    pair.far.do(lambda _: pair.server.watch_read(True))
    pair.far.until(lambda: len(log) >= 4)
    assert log == [b"ab", b"cd", b"ef", ConnectionResetError]


def test_a_reset_that_comes_between_two_turns_does_not_end_the_reports(pair: Pair):
    log: list[Any] = []
    pair.near.send(pair.client, b"abcdef")
    pair.far.await_readable(pair.server)
    pair.far.do(lambda program: read_a_little(log)(pair.server))
    pair.near.do(lambda _: pair.client.abort())
    pair.far.until(lambda: pair.server.hung_up() is HangUp.GONE)
    pair.far.do(lambda program: setattr(program, "on_readable", read_a_little(log)))
    pair.far.do(lambda _: pair.server.watch_read(True))
    pair.far.until(lambda: ConnectionResetError in log)
    assert log == [b"ab", b"cd", b"ef", ConnectionResetError]


def test_watching_that_pauses_behind_a_reset_goes_on_where_it_was(pair: Pair):
    bytes_then_a_reset(pair, b"unread")
    pair.far.do(lambda program: setattr(program, "reports_left", 2))
    pair.far.do(lambda _: pair.server.watch_read(True))
    assert [pair.far.hear() for _ in range(2)] == [("readable", pair.server)] * 2
    for _ in range(3):  # switched off and on again, as without credit
        pair.far.await_readable(pair.server)
    assert pair.far.receive(pair.server) == b"unread"
    with pytest.raises(ConnectionResetError):
        pair.far.receive(pair.server)


def test_a_broken_stream_is_reported_until_nobody_watches_it(pair: Pair):
    bytes_then_a_reset(pair, b"unread")
    pair.far.do(lambda program: setattr(program, "reports_left", 4))
    pair.far.do(lambda _: (pair.server.watch_read(True), pair.server.watch_write(True)))
    heard = [pair.far.hear() for _ in range(4)]
    assert set(heard) == {("readable", pair.server), ("writable", pair.server)}
    pair.far.do(lambda _: (pair.server.watch_read(False), pair.server.watch_write(False)))
    while not pair.far.heard.empty():
        pair.far.hear()
    for _ in range(5):  # turns, in which there would be time for a report
        pair.far.do(lambda _: None)
    assert pair.far.heard.empty()


def test_writing_may_be_watched_in_the_turn_that_meets_a_reset_and_in_later_ones(pair: Pair):
    log: list[str] = []

    def on_readable(socket: Any) -> None:
        log.append("readable")
        if len(log) == 3:
            socket.watch_write(True)

    def on_writable(socket: Any) -> None:
        log.append("writable")
        socket.watch_write(False)
        socket.watch_read(False)

    def take_over(program: Program) -> None:
        program.on_readable, program.on_writable = on_readable, on_writable

    pair.far.do(take_over)
    pair.far.do(lambda _: pair.server.watch_read(True))
    bytes_then_a_reset(pair, b"unread")
    pair.far.until(lambda: "writable" in log)
    assert pair.far.ref.is_alive()


def test_a_broken_stream_changes_its_owner_like_any_other(place: Any, pair: Pair):
    heir = Side(place, place.far)
    bytes_then_a_reset(pair, b"to the heir")
    pair.far.await_readable(pair.server)
    pair.far.do(lambda program: program.disown(pair.server))
    heir.do(lambda program: program.own(pair.server))
    assert heir.receive(pair.server) == b"to the heir"
    with pytest.raises(ConnectionResetError):
        heir.receive(pair.server)


def test_a_socket_that_gets_the_descriptor_of_a_broken_one_is_not_taken_for_it(pair: Pair):
    bytes_then_a_reset(pair, b"unread")
    pair.far.await_readable(pair.server)
    pair.far.do(lambda _: pair.server.close())
    client = pair.near.connect(pair.address).socket
    server = pair.far.accept(pair.listener)
    pair.far.do(lambda _: server.watch_read(True))
    pair.near.do(lambda _: client.watch_read(True))  # one of the two has got it
    for _ in range(5):
        pair.far.do(lambda _: None)
        pair.near.do(lambda _: None)
    assert pair.far.heard.empty()
    assert pair.near.heard.empty()
    pair.near.send(client, b"well")
    assert pair.far.hear() == ("readable", server)
    assert pair.far.receive(server) == b"well"
