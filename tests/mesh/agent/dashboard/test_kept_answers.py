"""Answers that are given again: for as long as they are good, to the same bytes, and to nothing else."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mesh.addresses import TcpAddress
from mesh.agent.dashboard.app import DashboardApp
from mesh.agent.dashboard.channels import ClientChannel
from mesh.agent.dashboard.kept_answers import (
    MAX_ANSWER_BYTES,
    MAX_KEPT,
    MAX_REQUEST_BYTES,
    KeptAnswer,
    KeptAnswers,
)
from mesh.agent.dashboard.listening import listen
from mesh.agent.dashboard.server import HttpServer
from mesh.agent.dashboard.stamps import KEPT_WHILE, Stamp, stamped

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


class App:
    """Counts what it is asked, and says that the answer is good while ``good`` is."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.good = True
        self.body = b"answer"

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        self.asked.append(environ["REQUEST_METHOD"] + environ["PATH_INFO"])
        environ[KEPT_WHILE] = lambda: self.good
        start_response("200 OK", [("Content-Length", str(len(self.body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Iterator[HttpServer]:
    server = HttpServer(app, listen(TcpAddress("127.0.0.1", 0)))
    yield server
    server.stop()


@pytest.fixture
def bound(server: HttpServer) -> tuple[str, int]:
    address = server.start()
    assert address is not None
    return address.host, address.port


@pytest.fixture
def client(bound: tuple[str, int]) -> Iterator[socket.socket]:
    with contextlib.closing(socket.create_connection(bound, 10)) as client:
        yield client


def answer(client: socket.socket, request: bytes, *, end: bytes = b"answer") -> bytes:
    client.sendall(request)
    got = b""
    while not got.endswith(end):
        more = client.recv(65_536)
        assert more, got
        got += more
    return got


def test_the_same_request_is_answered_without_being_asked_for_as_long_as_that_is_good(
    app: App, client: socket.socket, bound: tuple[str, int]
):
    first = answer(client, GET)
    assert [answer(client, GET) for _ in range(3)] == [first] * 3
    with contextlib.closing(socket.create_connection(bound, 10)) as other:
        assert answer(other, GET) == first
    assert len(app.asked) == 1
    app.good = False
    answer(client, GET)
    answer(client, GET)
    assert len(app.asked) == 3


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /y HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n",
        b"GET /x?a=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_another_request_is_another(app: App, client: socket.socket, request_: bytes):
    answer(client, GET)
    answer(client, request_)
    assert len(app.asked) == 2


@pytest.mark.parametrize("request_", [GET[:7], GET[:-2]])
def test_a_request_that_comes_in_pieces_is_answered_and_kept(
    app: App, client: socket.socket, request_: bytes
):
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(request_)
    answer(client, GET[len(request_) :])
    answer(client, GET)
    assert len(app.asked) == 1


def test_a_connection_that_is_to_end_ends_with_the_answer(app: App, bound: tuple[str, int]):
    ending = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = []
    for _ in range(2):
        with contextlib.closing(socket.create_connection(bound, 10)) as client:
            answers.append(answer(client, ending))
            assert b"Connection: close" in answers[-1]
            assert client.recv(1) == b""
    assert answers[0] == answers[1]
    assert len(app.asked) == 1


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_what_is_more_than_a_head_is_asked_each_time(app: App, bound: tuple[str, int], request_: bytes):
    for _ in range(2):
        with contextlib.closing(socket.create_connection(bound, 10)) as client:
            answer(client, request_)
    assert len(app.asked) == 2


def test_requests_that_were_sent_together_are_all_answered_in_their_order(app: App, client: socket.socket):
    answer(client, GET)
    head = GET.replace(b"GET", b"HEAD")
    got = answer(client, GET + head + GET, end=b"answer")
    while got.count(b"200 OK") < 3 or not got.endswith(b"answer"):
        got += client.recv(65_536)
    assert [part.endswith(b"answer") for part in got.split(b"HTTP/1.1 ")[1:]] == [True, False, True]


def test_what_is_large_is_asked_for_each_time(app: App, client: socket.socket):
    app.body = b"x" * MAX_ANSWER_BYTES + b"answer"
    answer(client, GET)
    answer(client, GET)
    assert len(app.asked) == 2


def test_answers_that_a_client_has_taken_are_not_held_for_its_connection(
    app: App, server: HttpServer, client: socket.socket
):
    app.body = b"x" * 20_000 + b"answer"
    for _ in range(5):
        answer(client, GET)
    (channel,) = (one for one in server._sockets.values() if isinstance(one, ClientChannel))
    held = [len(one.buf.file.getvalue()) for one in channel.outbufs if one.buf is not None]
    assert sum(held) < 2 * len(app.body)  # of the one that was made
    assert app.asked == ["GET/x"]


def test_what_the_kernel_does_not_take_at_once_is_sent_later(
    app: App, client: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    app.body = b"x" * 20_000 + b"answer"
    first = answer(client, GET)
    monkeypatch.setattr(ClientChannel, "send", lambda self, data, do_close=True: self.socket.send(data[:999]))
    assert [answer(client, GET) for _ in range(3)] == [first] * 3
    assert app.asked == ["GET/x"]


def test_so_many_are_kept_and_none_of_a_long_request():
    kept, good = KeptAnswers(), KeptAnswer(b"", closes=False, is_good=lambda: True)
    for number in range(MAX_KEPT + 2):
        kept.keep(b"%d" % number, good)
    assert [number for number in range(MAX_KEPT + 2) if not kept.find(b"%d" % number)] == [0, 1]
    kept.keep(b"x" * (MAX_REQUEST_BYTES + 1), good)
    assert kept.find(b"x" * (MAX_REQUEST_BYTES + 1)) is None
    kept.keep(b"2", good)  # anew: nobody need make room
    assert kept.find(b"3") is good


@pytest.mark.parametrize(
    ("before", "after", "is_kept"),
    [
        (Stamp(1.0, "a"), Stamp(1.0, "a"), True),
        (Stamp(None, "a"), Stamp(2.0, "a"), True),
        (Stamp(1.0, "a"), Stamp(2.0, "a"), False),
        (Stamp(1.0, "a"), Stamp(1.0, "b"), False),
        (Stamp(None, "a"), Stamp(2.0, "b"), False),
        (Stamp(1.0, "a"), Stamp(None, "a"), False),
        (Stamp(None), Stamp(None), False),
    ],
)
def test_what_changes_while_an_answer_is_made_has_it_not_kept(before: Stamp, after: Stamp, is_kept: bool):
    now = before

    def make() -> str:
        nonlocal now
        now = after
        return "made"

    environ: dict[str, Any] = {}
    assert stamped(environ, make, lambda: now) == "made"
    assert (KEPT_WHILE in environ) is is_kept
    if is_kept:
        assert environ[KEPT_WHILE]()
        now = Stamp(3.0, "a")
        assert not environ[KEPT_WHILE]()


@pytest.mark.parametrize("path", ["/api/dashboard", "/metrics", "/ready"])
def test_the_dashboards_answers_are_good_until_the_actors_are_asked_anew(
    make_app: Callable[..., DashboardApp], path: str
):
    found: list[dict[str, Any]] = []
    for fresh_s in (60.0, 0.0):
        app = make_app(fresh_s=fresh_s)

        def kept_of(environ: dict[str, Any], start_response: Any, app: DashboardApp = app) -> Any:
            found.append(environ)
            return app(environ, start_response)

        server = HttpServer(kept_of, listen(TcpAddress("127.0.0.1", 0)))
        bound = server.start()
        assert bound is not None
        with contextlib.closing(socket.create_connection((bound.host, bound.port), 10)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.recv(100)
        server.stop()
    fresh, stale = found
    assert fresh[KEPT_WHILE]()
    assert KEPT_WHILE not in stale
