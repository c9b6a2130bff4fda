"""What actors may rely on of connected sockets, held against the kernel and the simulation alike."""

import hashlib
from collections import deque
from typing import Any

import pytest

from actors.runtime.seam import HangUp, SocketOptions
from mesh.addresses import TcpAddress
from tests.actors.runtime.socket_contract import SMALL_BUFFERS, Pair, Program, Side, make_pair

# Bytes


def test_bytes_arrive_in_order_both_ways_however_they_were_gathered(pair: Pair):
    assert pair.near.send(pair.client, b"one ", b"", bytearray(b"two "), memoryview(b"three")) == 13
    assert pair.far.receive_exactly(pair.server, 13) == b"one two three"
    assert pair.far.send(pair.server, b"four") == 4
    assert pair.near.receive_exactly(pair.client, 4) == b"four"


def test_reading_before_anything_has_come_would_block(pair: Pair):
    with pytest.raises(BlockingIOError):
        pair.near.do(lambda program: pair.client.recv_into(program.dispatcher.read_buffer))


def test_a_small_buffer_takes_part_and_leaves_the_rest(pair: Pair):
    pair.near.send(pair.client, b"abcdef")
    pair.far.await_readable(pair.server)

    def read_by_fours(program: Program) -> list[bytes]:
        buffer = memoryview(bytearray(4))
        return [bytes(buffer[: pair.server.recv_into(buffer)]) for _ in range(2)]

    assert pair.far.do(read_by_fours) == [b"abcd", b"ef"]


def test_readability_is_level_triggered(pair: Pair):
    pair.far.do(lambda program: setattr(program, "reports_left", 3))
    pair.near.send(pair.client, b"unread")
    pair.far.do(lambda _: pair.server.watch_read(True))
    assert [pair.far.hear() for _ in range(3)] == [("readable", pair.server)] * 3


def test_writability_is_reported_at_once_where_there_is_room(pair: Pair):
    pair.near.do(lambda _: pair.client.watch_write(True))
    assert pair.near.hear() == ("writable", pair.client)


def test_watching_before_attaching_is_a_bug_that_shows(pair: Pair):
    pair.near.connect(pair.address)
    pair.far.await_readable(pair.listener)

    def watch_unattached(_: Program) -> None:
        socket = pair.listener.accept()
        try:
            socket.watch_read(True)
        finally:
            socket.close()

    with pytest.raises(RuntimeError, match="attached"):
        pair.far.do(watch_unattached)


def test_a_socket_may_change_its_owner_and_only_the_new_one_hears(place: Any, pair: Pair):
    heir = Side(place, place.far)
    pair.far.do(lambda _: pair.server.watch_read(True))
    pair.far.do(lambda program: program.disown(pair.server))
    heir.do(lambda program: program.own(pair.server))
    pair.far.do(lambda program: program.stop())
    pair.near.send(pair.client, b"to the heir")
    assert heir.receive_exactly(pair.server, 11) == b"to the heir"
    assert pair.far.heard.empty()


def test_low_water_of_an_accepted_socket_bounds_what_is_taken_until_it_is_read(
    place: Any, near: Side, far: Side
):
    options = SocketOptions(not_sent_low_water_bytes=32_768)
    listener = far.bind(TcpAddress(place.bound_host, 0), options=options)
    client = near.connect(TcpAddress(place.far_host, listener.port), SMALL_BUFFERS).socket
    server = far.accept(listener)

    def fill(_: Program) -> int:
        sent = 0
        while True:
            try:
                sent += server.send([bytes(65_536)])
            except BlockingIOError:
                return sent

    waiting = far.do(fill)
    assert 0 < waiting < 2_000_000
    far.do(lambda _: server.watch_write(True))
    got = 0
    while got < waiting:
        got += len(near.receive(client))
    assert far.hear() == ("writable", server)


def test_what_is_not_read_pushes_back_and_nothing_is_lost(place: Any, near: Side, far: Side):
    pair = make_pair(place, near, far, SMALL_BUFFERS)
    sent, received = hashlib.sha256(), hashlib.sha256()
    pieces = [bytes([number % 251]) * 60_000 for number in range(300)]
    pushed_back: list[int] = []
    ended: list[bool] = []

    def fill(socket: Any) -> None:
        while pieces:
            try:
                taken = socket.send(pieces[:3])
            except BlockingIOError:
                pushed_back.append(len(pieces))
                socket.watch_write(True)
                return
            assert taken > 0
            while taken:
                piece = pieces.pop(0)
                sent.update(piece[:taken])
                if taken < len(piece):
                    pieces.insert(0, piece[taken:])
                taken -= min(taken, len(piece))
        socket.close()

    def drain(program: Program, socket: Any) -> None:
        taken = socket.recv_into(program.dispatcher.read_buffer)
        received.update(program.dispatcher.read_buffer[:taken])
        if not taken:
            ended.append(True)
            socket.watch_read(False)

    near.do(lambda program: setattr(program, "on_writable", fill))
    near.do(lambda _: fill(pair.client))
    assert pushed_back, "18 MB went into a socket that nobody reads"
    far.do(lambda program: setattr(program, "on_readable", lambda socket: drain(program, socket)))
    far.do(lambda _: pair.server.watch_read(True))
    far.until(lambda: bool(ended))
    assert not pieces
    assert received.digest() == sent.digest()


# Ends


def test_half_close_ends_one_direction_and_leaves_the_other(pair: Pair):
    pair.near.send(pair.client, b"request")
    pair.near.do(lambda _: pair.client.shutdown_write())
    assert pair.far.receive_exactly(pair.server, 7) == b"request"
    assert pair.far.receive(pair.server) == b""
    assert pair.far.receive(pair.server) == b"", "the end of the stream stays readable"
    pair.far.send(pair.server, b"response")
    pair.far.do(lambda _: pair.server.close())
    assert pair.near.receive_exactly(pair.client, 8) == b"response"
    assert pair.near.receive(pair.client) == b""


def test_sending_after_shutdown_is_a_broken_pipe(pair: Pair):
    pair.near.do(lambda _: pair.client.shutdown_write())
    with pytest.raises(BrokenPipeError):
        pair.near.send(pair.client, b"late")


def test_closing_ends_the_stream_behind_what_was_sent(pair: Pair):
    pair.near.send(pair.client, b"last words")
    pair.near.do(lambda _: pair.client.close())
    pair.near.do(lambda _: pair.client.close())
    assert pair.far.receive_exactly(pair.server, 10) == b"last words"
    assert pair.far.receive(pair.server) == b""


def test_an_abort_is_a_reset(pair: Pair):
    pair.near.do(lambda _: pair.client.abort())
    pair.near.do(lambda _: pair.client.abort())
    with pytest.raises(ConnectionResetError):
        pair.far.receive(pair.server)
    with pytest.raises(BrokenPipeError):
        pair.far.send(pair.server, b"to nobody")


def test_a_reset_is_reported_once_and_then_reads_as_the_end(pair: Pair):
    pair.near.do(lambda _: pair.client.abort())
    with pytest.raises(ConnectionResetError):
        pair.far.receive(pair.server)
    assert pair.far.receive(pair.server) == b""


def test_a_reset_makes_the_socket_writable_and_sending_tells(pair: Pair):
    pair.near.do(lambda _: pair.client.abort())
    pair.far.await_readable(pair.server)
    pair.far.do(lambda _: pair.server.watch_write(True))
    assert pair.far.hear() == ("writable", pair.server)
    with pytest.raises(ConnectionResetError):
        pair.far.send(pair.server, b"to nobody")


def test_closing_with_something_unread_is_a_reset(pair: Pair):
    pair.near.send(pair.client, b"never read")
    pair.far.await_readable(pair.server)
    pair.far.do(lambda _: pair.server.close())
    with pytest.raises(ConnectionResetError):
        pair.near.receive(pair.client)


def test_sending_to_a_closed_end_comes_back_as_a_broken_stream(pair: Pair):
    pair.far.do(lambda _: pair.server.close())
    assert pair.near.receive(pair.client) == b""
    pair.near.send(pair.client, b"to nobody")
    pair.near.until(lambda: pair.client.hung_up() is HangUp.GONE)
    with pytest.raises(BrokenPipeError):
        pair.near.send(pair.client, b"again")


def test_shutdown_of_a_broken_or_closed_stream_is_no_error(pair: Pair):
    pair.near.do(lambda _: pair.client.abort())
    pair.far.await_readable(pair.server)
    pair.far.do(lambda _: pair.server.shutdown_write())
    pair.near.do(lambda _: pair.client.shutdown_write())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_closed_socket_can_be_neither_read_nor_written(pair: Pair, end: str):
    pair.near.do(lambda _: getattr(pair.client, end)())
    with pytest.raises(OSError):
        pair.near.do(lambda program: pair.client.recv_into(program.dispatcher.read_buffer))
    with pytest.raises(OSError):
        pair.near.send(pair.client, b"late")
    assert pair.near.hung_up(pair.client) is HangUp.GONE


def test_own_sockets_are_closed_when_their_actor_ends(pair: Pair):
    pair.near.ref.stop(block=False)
    assert pair.far.receive(pair.server) == b""


def test_a_failing_readiness_handler_ends_its_actor_and_closes_its_sockets(place: Any, pair: Pair):
    def explode(socket: Any) -> None:
        raise ValueError("on purpose")

    pair.near.do(lambda program: setattr(program, "on_readable", explode))
    pair.near.do(lambda _: pair.client.watch_read(True))
    pair.far.send(pair.server, b"!")
    with pytest.raises((ConnectionResetError, AssertionError)):  # unread bytes: a reset
        pair.far.receive_exactly(pair.server, 1)
    assert not pair.near.ref.is_alive()


# Seen without reading


def test_hang_up_shows_each_end_as_what_it_was(pair: Pair):
    assert pair.far.hung_up(pair.server) is HangUp.NO
    pair.near.send(pair.client, b"unread")
    pair.far.await_readable(pair.server)
    assert pair.far.hung_up(pair.server) is HangUp.NO
    pair.near.do(lambda _: pair.client.shutdown_write())
    pair.far.receive_exactly(pair.server, 6)
    pair.far.await_readable(pair.server)
    assert pair.far.hung_up(pair.server) is HangUp.HALF_CLOSED
    pair.far.do(lambda _: pair.server.shutdown_write())
    assert pair.far.hung_up(pair.server) is HangUp.HALF_CLOSED
    assert pair.near.receive(pair.client) == b""
    assert pair.near.hung_up(pair.client) is HangUp.HALF_CLOSED


def test_an_end_with_unread_bytes_is_not_gone_though_both_have_finished(pair: Pair):
    pair.near.send(pair.client, b"unread")
    pair.near.do(lambda _: pair.client.shutdown_write())
    pair.far.do(lambda _: pair.server.shutdown_write())
    pair.far.until(lambda: pair.server.hung_up() is not HangUp.NO)
    assert pair.far.hung_up(pair.server) is HangUp.HALF_CLOSED
    pair.far.receive_exactly(pair.server, 6)


def test_a_gathered_write_takes_a_deque_of_any_length(pair: Pair):
    sent = []
    pair.near.do(lambda _: sent.append(pair.client.send(deque([b"x"] * 1_025))))
    assert 0 < sent[0] <= 1_025
    pair.far.receive_exactly(pair.server, sent[0])


def test_a_reset_shows_as_gone_even_before_what_is_unread(pair: Pair):
    pair.near.send(pair.client, b"unread")
    pair.far.await_readable(pair.server)
    pair.near.do(lambda _: pair.client.abort())
    pair.far.until(lambda: pair.server.hung_up() is HangUp.GONE)
    assert pair.far.receive(pair.server) == b"unread"
    with pytest.raises(ConnectionResetError):
        pair.far.do(lambda program: pair.server.recv_into(program.dispatcher.read_buffer))


def test_a_closed_socket_is_watched_by_nobody(place: Any, pair: Pair):
    heir = Side(place, place.far)

    def close_and_watch(program: Program) -> None:
        pair.server.close()
        pair.server.watch_read(True)
        pair.server.watch_write(True)

    pair.far.do(close_and_watch)
    heir.do(lambda program: program.own(pair.server))
    heir.do(close_and_watch)
    assert pair.far.ref.is_alive()
    assert heir.heard.empty()
