"""The serving ends of diagnostics, whatever comes in whatever pieces."""

from hypothesis import given
from hypothesis import strategies as st

from mesh.diagnostics.asking import Downloading, Pinging, Uploading
from mesh.diagnostics.results import Result
from mesh.diagnostics.serving import (
    BENCH_GRACE_S,
    BENCH_MAX_S,
    BENCH_REQUEST,
    BENCH_RESULT,
    ECHO_BURST,
    ECHO_IDLE_S,
    ECHO_LIFE_S,
    ECHO_RATE,
    ECHO_WAITING_BYTES,
    Bench,
    Direction,
    Echo,
)

PIECES = st.lists(st.binary(min_size=1, max_size=64), max_size=20)


@given(PIECES)
def test_an_echo_gives_back_what_it_gets_and_ends_behind_it(pieces):
    echo, back = Echo(0.0), b""
    for piece in pieces:
        assert echo.room(0.0) >= len(piece)
        echo.take(piece, 0.0)
        back += echo.next_piece(0.0)
    echo.ended(0.0)
    back += echo.next_piece(0.0) + echo.next_piece(0.0)
    assert back == b"".join(pieces)
    assert echo.is_over
    assert echo.has_finished


def test_an_echo_holds_little_for_who_does_not_read():
    echo = Echo(0.0)
    echo.take(bytes(ECHO_WAITING_BYTES), 0.0)
    assert echo.room(0.0) == 0
    assert len(echo.next_piece(0.0)) == ECHO_WAITING_BYTES
    assert echo.room(0.0) > 0


def test_an_echo_gives_back_no_more_than_its_rate():
    echo, taken, now = Echo(0.0), 0, 0.0
    while now < 10.0:
        room = echo.room(now)
        if room:
            echo.take(bytes(room), now)
            taken += len(echo.next_piece(now))
        else:
            assert now < echo.deadline() < now + 1.0
            now = echo.deadline() + 1e-9
    assert taken <= ECHO_BURST + 10.0 * ECHO_RATE + ECHO_WAITING_BYTES


def test_an_echo_ends_that_is_silent_or_old():
    echo = Echo(0.0)
    echo.look(ECHO_IDLE_S - 0.1)
    assert not echo.has_expired
    echo.look(ECHO_IDLE_S)
    assert echo.has_expired
    busy = Echo(0.0)
    busy.take(b"x", ECHO_LIFE_S - 1.0)
    busy.look(ECHO_LIFE_S)
    assert busy.has_expired


def request_of(direction, milliseconds):
    return BENCH_REQUEST.pack(direction, milliseconds)


@given(PIECES, st.integers(1, BENCH_REQUEST.size))
def test_a_bench_counts_what_follows_its_request_wherever_that_is_cut(pieces, cut):
    data = request_of(Direction.UPLOAD, 1000) + b"".join(pieces)
    bench = Bench(0.0)
    bench.take(data[:cut], 0.0)
    assert bench.next_piece(0.0) == b""
    if data[cut:]:
        bench.take(data[cut:], 0.0)
    bench.ended(0.0)
    assert bench.next_piece(0.0) == BENCH_RESULT.pack(sum(map(len, pieces)))
    assert bench.is_over


@given(st.binary(max_size=40))
def test_a_bench_ends_whatever_it_is_told(data):
    bench, now = Bench(0.0), 0.0
    if data:
        bench.take(data, now)
    bench.ended(now)
    while not bench.is_over:
        now += 0.5
        bench.next_piece(now)
        assert now <= BENCH_MAX_S + 1.0


def test_a_bench_gives_no_longer_than_it_may():
    bench = Bench(0.0)
    bench.take(request_of(Direction.DOWNLOAD, 0xFFFF_FFFF), 0.0)
    assert bench.next_piece(BENCH_MAX_S - 0.1)
    assert not bench.next_piece(BENCH_MAX_S)
    assert bench.has_finished
    assert not bench.is_over
    bench.ended(BENCH_MAX_S)
    assert bench.is_over


def test_a_bench_that_waits_for_ever_expires():
    bench = Bench(0.0)
    assert bench.deadline() == BENCH_MAX_S + BENCH_GRACE_S
    bench.look(bench.deadline())
    assert bench.has_expired


def pinging(**more):
    how = {"count": 3, "interval_s": 1.0, "timeout_s": 0.5, "size": 16} | more
    ping = Pinging(**how)
    ping.opened(0.0)
    return ping


@given(st.data())
def test_pings_are_answered_in_any_pieces(data):
    ping = pinging(interval_s=0.0)
    sent = b"".join(ping.next_piece(0.0) for _ in range(3))
    while sent:
        cut = data.draw(st.integers(1, len(sent)))
        ping.take(sent[:cut], 0.25)
        sent = sent[cut:]
    found = ping.found(Result())
    assert (found.sent, found.answered, found.late) == (3, 3, 0)
    assert found.round_trips_s == (0.25, 0.25, 0.25)
    assert ping.is_over
    assert not ping.failure


def test_answers_that_come_late_are_told_from_those_that_do_not_come():
    ping = pinging()
    first = ping.next_piece(0.0)
    assert ping.next_piece(0.9) == b""
    ping.next_piece(1.0)
    ping.take(first, 1.2)
    ping.next_piece(2.0)
    assert not ping.is_over
    ping.look(2.5)
    assert ping.is_over
    found = ping.found(Result())
    assert (found.sent, found.answered, found.late) == (3, 0, 1)
    assert "no answer" in ping.failure


def test_an_echo_that_makes_answers_up_is_no_answer():
    ping = pinging()
    ping.next_piece(0.0)
    ping.take(b"\xff" * 16, 0.1)
    assert ping.is_over
    assert "not asked" in ping.failure


def test_benches_that_get_nothing_have_failed():
    for bench in (Uploading(1.0), Downloading(1.0)):
        bench.opened(0.0)
        assert bench.next_piece(0.0)[:1] in (b"u", b"d")
        bench.ended(0.1)
        assert bench.is_over
        assert bench.failure


def test_an_upload_keeps_the_result_and_nothing_else_that_comes():
    upload = Uploading(1.0)
    upload.opened(0.0)
    upload.next_piece(0.0)
    for _ in range(1000):
        upload.take(bytes(64 * 1024), 0.5)
    assert len(upload._answer) <= BENCH_RESULT.size
    upload.next_piece(1.0)
    upload.take(b"\xff", 1.1)
    assert upload.is_over
