"""How a stream ends, step by step, held against the kernel and the simulation alike."""

import errno
from collections.abc import Callable
from typing import Any

import pytest

from actors.runtime.seam import HangUp
from tests.actors.runtime.socket_contract import Pair, Side


def outcome_of(side: Side, action: Callable[[], Any]) -> Any:
    """What ``action`` gives there; the number of an OSError."""

    def run(_: Any) -> Any:
        try:
            return action()
        except OSError as error:
            return error.errno

    return side.do(run)


def read_to_the_end(side: Side, socket: Any) -> list[Any]:
    """What each read gives, up to the end of the stream; an error by its number."""
    found: list[Any] = []
    buffer = memoryview(bytearray(100))

    def read() -> bytes:
        return bytes(buffer[: socket.recv_into(buffer)])

    while not found or found[-1] != b"":
        assert len(found) < 10
        found.append(outcome_of(side, read))
    return found


def gone(side: Side, socket: Any) -> None:
    side.until(lambda: socket.hung_up() is HangUp.GONE)


def test_an_error_that_a_send_has_taken_is_not_read_again(pair: Pair):
    pair.near.send(pair.client, b"unread")
    pair.near.do(lambda _: pair.client.abort())
    gone(pair.far, pair.server)
    assert outcome_of(pair.far, lambda: pair.server.send([b"x"])) == errno.ECONNRESET
    assert outcome_of(pair.far, lambda: pair.server.send([b"x"])) == errno.EPIPE
    assert read_to_the_end(pair.far, pair.server) == [b"unread", b""]


def test_once_its_error_is_taken_a_broken_stream_looks_like_one_that_has_ended(pair: Pair):
    pair.near.do(lambda _: pair.client.abort())
    gone(pair.far, pair.server)
    assert outcome_of(pair.far, lambda: pair.server.send([b"x"])) == errno.ECONNRESET
    assert pair.far.do(lambda _: pair.server.hung_up()) is HangUp.HALF_CLOSED
    assert read_to_the_end(pair.far, pair.server) == [b""]
    pair.far.do(lambda _: (pair.server.watch_read(True), pair.server.watch_write(True)))
    assert {pair.far.hear(), pair.far.hear()} == {("readable", pair.server), ("writable", pair.server)}


def test_closing_with_something_unread_drops_nothing_that_has_arrived(pair: Pair):
    pair.near.send(pair.client, b"sent")
    pair.far.await_readable(pair.server)
    pair.far.send(pair.server, b"unread")
    pair.near.await_readable(pair.client)
    pair.near.do(lambda _: pair.client.close())
    gone(pair.far, pair.server)
    assert read_to_the_end(pair.far, pair.server) == [b"sent", errno.ECONNRESET, b""]


def test_an_end_that_has_finished_hears_of_a_reset_all_the_same(pair: Pair):
    pair.far.do(lambda _: pair.server.shutdown_write())
    pair.near.await_readable(pair.client)
    pair.near.do(lambda _: pair.client.abort())
    gone(pair.far, pair.server)
    assert read_to_the_end(pair.far, pair.server) == [errno.ECONNRESET, b""]


def test_a_reset_behind_the_end_of_the_stream_is_a_broken_pipe_for_who_sends_only(pair: Pair):
    pair.near.do(lambda _: pair.client.shutdown_write())
    pair.far.await_readable(pair.server)
    pair.near.do(lambda _: pair.client.abort())
    gone(pair.far, pair.server)
    assert read_to_the_end(pair.far, pair.server) == [b""]
    assert outcome_of(pair.far, lambda: pair.server.send([b"x"])) == errno.EPIPE
    assert outcome_of(pair.far, lambda: pair.server.send([b"x"])) == errno.EPIPE


def test_bytes_for_an_end_that_has_closed_break_the_other_but_not_what_it_has_yet_to_read(pair: Pair):
    pair.near.send(pair.client, b"last words")
    pair.near.do(lambda _: pair.client.close())
    pair.far.await_readable(pair.server)
    pair.far.until(lambda: pair.server.hung_up() is HangUp.HALF_CLOSED)
    pair.far.send(pair.server, b"too late")
    gone(pair.far, pair.server)
    assert read_to_the_end(pair.far, pair.server) == [b"last words", b""]


@pytest.mark.parametrize("unread", [b"", b"unread"])
@pytest.mark.parametrize("how", ["close", "abort"])
def test_nothing_breaks_a_stream_that_both_ends_have_finished(pair: Pair, unread: bytes, how: str):
    if unread:
        pair.far.send(pair.server, unread)
    pair.far.do(lambda _: pair.server.shutdown_write())
    pair.near.until(lambda: pair.client.hung_up() is HangUp.HALF_CLOSED)
    pair.near.do(lambda _: pair.client.shutdown_write())
    pair.far.until(lambda: pair.server.hung_up() is HangUp.HALF_CLOSED)
    pair.near.do(lambda _: getattr(pair.client, how)())
    pair.far.pause()  # in which a reset would arrive
    assert pair.far.do(lambda _: pair.server.hung_up()) is HangUp.HALF_CLOSED
    assert read_to_the_end(pair.far, pair.server) == [b""]
    assert outcome_of(pair.far, lambda: pair.server.send([b"x"])) == errno.EPIPE


def test_half_closing_twice_or_after_the_other_end_is_no_error(pair: Pair):
    pair.near.do(lambda _: pair.client.shutdown_write())
    pair.near.do(lambda _: pair.client.shutdown_write())
    pair.far.until(lambda: pair.server.hung_up() is HangUp.HALF_CLOSED)
    pair.far.send(pair.server, b"answer")
    pair.far.do(lambda _: pair.server.close())
    pair.near.until(lambda: pair.client.hung_up() is HangUp.HALF_CLOSED)
    pair.near.await_readable(pair.client)
    assert read_to_the_end(pair.near, pair.client) == [b"answer", b""]
