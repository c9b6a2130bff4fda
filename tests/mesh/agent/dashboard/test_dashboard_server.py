"""Real sockets on loopback: binding, serving, many at once, and stopping."""

import contextlib
import errno
import http.client
import os
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from mesh.addresses import TcpAddress
from mesh.agent.dashboard.app import DashboardApp
from mesh.agent.dashboard.channels import BURST, MAX_CONNECTIONS, REQUEST_TIMEOUT_S, REQUESTS_PER_S
from mesh.agent.dashboard.listening import listen
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.agent.dashboard.server import HttpServer

MakeApp = Callable[..., DashboardApp]
Serve = Callable[..., TcpAddress]
ANY_PORT = TcpAddress("127.0.0.1", 0)


@pytest.fixture
def app(make_app: MakeApp) -> DashboardApp:
    return make_app()


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[HttpServer] = []

    def start(app: DashboardApp, address: TcpAddress = ANY_PORT) -> TcpAddress:
        server = HttpServer(app, listen(address))
        bound = server.start()
        servers.append(server)
        return bound

    yield start
    for server in servers:
        server.stop()


def get(address: TcpAddress, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_port_0_is_chosen_by_the_kernel_and_served(app: DashboardApp, serve: Serve):
    bound = serve(app)
    assert bound.host == "127.0.0.1"
    assert bound.port > 0
    status, body = get(bound, "/api/dashboard")
    assert status == 200
    assert b'"display_name":"branch"' in body


def test_head_sends_no_body_and_keeps_the_connection(app: DashboardApp, serve: Serve):
    bound = serve(app)
    connection = http.client.HTTPConnection(bound.host, bound.port, timeout=10)
    for _ in range(3):
        connection.request("HEAD", "/api/dashboard")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    connection.close()


def test_the_server_does_not_say_what_it_is(app: DashboardApp, serve: Serve):
    bound = serve(app)
    connection = http.client.HTTPConnection(bound.host, bound.port, timeout=10)
    connection.request("GET", "/health")
    assert connection.getresponse().getheader("Server") is None
    connection.close()


@pytest.mark.parametrize(
    ("host", "reached_at", "not_at"),
    [
        ("::1", ["::1"], ["127.0.0.1"]),
        ("::", ["::1"], ["127.0.0.1"]),
        ("127.0.0.1", ["127.0.0.1"], ["::1"]),
        ("0.0.0.0", ["127.0.0.1"], ["::1"]),
        ("localhost", ["127.0.0.1", "::1"], []),
        ("", ["127.0.0.1", "::1"], []),
    ],
)
def test_an_address_is_served_where_the_rule_says(
    app: DashboardApp, serve: Serve, host: str, reached_at: list[str], not_at: list[str]
):
    if not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    for place in not_at:  # the kernel may give a port that another process has there
        with socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET) as nobody:
            nobody.bind((place, 0))  # no one else can take it, and no one accepts
            bound = serve(app, TcpAddress(host, nobody.getsockname()[1]))
            with pytest.raises(ConnectionRefusedError):
                get(TcpAddress(place, bound.port), "/health")
    bound = serve(app, TcpAddress(host, 0))
    assert bound.port > 0
    for place in reached_at:
        assert get(TcpAddress(place, bound.port), "/health")[0] == 200
    assert bound.host == (host or "::")


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_taken_port_is_an_error_that_names_it():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = TcpAddress("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match=rf"cannot listen on {address}: Address already in use") as raised:
            listen(address)
    assert raised.value.errno == errno.EADDRINUSE


def test_an_address_that_is_not_ours_is_an_error_that_names_it():
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign") as raised:
        listen(TcpAddress("192.0.2.1", 0))
    assert raised.value.errno == errno.EADDRNOTAVAIL


def test_a_name_is_not_looked_up():
    with pytest.raises(OSError, match=r"cannot listen on nowhere\.invalid:1: .* is not looked up"):
        listen(TcpAddress("nowhere.invalid", 1))


@pytest.mark.parametrize("taken_at", ["127.0.0.1", "::1"])
def test_localhost_is_taken_where_one_of_its_addresses_is(taken_at: str):
    if not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    family = socket.AF_INET6 if ":" in taken_at else socket.AF_INET
    with socket.create_server((taken_at, 0), family=family) as taken:
        port = taken.getsockname()[1]
        at = re.escape(str(TcpAddress(taken_at, port)))
        with pytest.raises(OSError, match=rf"cannot listen on localhost:{port}: .* in use at {at}"):
            listen(TcpAddress("localhost", port))


def test_localhost_frees_both_its_addresses(app: DashboardApp):
    server = HttpServer(app, listen(TcpAddress("localhost", 0)))
    bound = server.start()
    assert get(bound, "/health")[0] == 200
    server.stop()
    app.close()
    for part in listen(bound):
        part.close()


def test_stop_frees_the_port_and_ends_every_thread(app: DashboardApp):
    before = set(threading.enumerate())
    server = HttpServer(app, listen(ANY_PORT))
    bound = server.start()
    assert get(bound, "/health")[0] == 200
    server.stop()
    server.stop()
    app.close()
    assert {thread for thread in threading.enumerate() if thread.name != "dashboard-status"} <= before
    with pytest.raises(ConnectionRefusedError):
        get(bound, "/health")
    again = HttpServer(app, listen(bound))
    assert again.start() == bound
    again.stop()


def test_who_comes_before_the_start_is_served_after_it(app: DashboardApp):
    listening = listen(ANY_PORT)
    with socket.create_connection(listening[0].getsockname(), timeout=10) as early:
        server = HttpServer(app, listening)
        server.start()
        early.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert early.recv(1024).startswith(b"HTTP/1.1 200 ")
        server.stop()


def test_stop_closes_idle_connections(app: DashboardApp):
    server = HttpServer(app, listen(ANY_PORT))
    bound = server.start()
    with socket.create_connection((bound.host, bound.port), timeout=10) as idle:
        get(bound, "/health")  # the loop has taken the idle one by now: it takes them in order
        server.stop()
        assert idle.recv(1) == b""


def test_a_loop_that_wakes_early_does_not_close_the_trigger_before_it_is_pulled(app: DashboardApp):
    server = HttpServer(app, listen(ANY_PORT))
    server.start()
    pull = server._trigger._physical_pull

    def pull_late() -> None:
        pull()  # stands for a thread that has served at this moment
        while not server._is_ending:
            os.sched_yield()
        pull()

    server._trigger._physical_pull = pull_late
    server.stop()
    assert server._thread is not None
    assert not server._thread.is_alive()


def test_stop_without_start_frees_the_port(app: DashboardApp):
    listening = listen(ANY_PORT)
    HttpServer(app, listening).stop()
    assert [bound.fileno() for bound in listening] == [-1]


def test_a_crowd_in_front_of_a_hanging_agent_hears_503_within_a_second(
    app: DashboardApp, source: Any, serve: Serve
):
    source.block()
    bound = serve(app)
    answers = []

    def ask() -> None:
        began = time.monotonic()
        status, body = get(bound, "/api/dashboard")
        answers.append((status, b"status unavailable" in body, time.monotonic() - began))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer[:2] for answer in answers] == [(503, True)] * 50
    assert max(answer[2] for answer in answers) < 5  # 0.7 s plus what a loaded machine adds
    assert source.calls == 1


@pytest.mark.parametrize("said", [b"", b"GET /ready HTT", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_idle_connections_beyond_the_limit_give_way_to_a_client_that_asks(
    app: DashboardApp, serve: Serve, said: bytes
):
    """Connected and silent, stuck within a request, and kept alive after one: three ways to be idle."""
    bound = serve(app)
    idle = [
        socket.create_connection((bound.host, bound.port), timeout=10) for _ in range(3 * MAX_CONNECTIONS)
    ]
    try:
        for one in idle:
            with contextlib.suppress(ConnectionError):  # it has given way already
                one.sendall(said)
        assert get(bound, "/health")[0] == 200
    finally:
        for one in idle:
            one.close()


def test_descriptors_above_1023_are_served(app: DashboardApp, serve: Serve):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"the hard descriptor limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    held = [socket.socket() for _ in range(1100)]
    try:
        assert get(serve(app), "/api/dashboard")[0] == 200
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
    ],
)
def test_requests_that_are_too_large_or_none_at_all_are_turned_away(
    app: DashboardApp, serve: Serve, request_bytes: bytes
):
    bound = serve(app)
    with socket.create_connection((bound.host, bound.port), timeout=10) as client:
        client.sendall(request_bytes)
        answer = b""
        while more := client.recv(4096):
            answer += more
    assert answer.startswith(b"HTTP/1.")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Type: {PROBLEM_TYPE}".encode() in head
    assert msgspec.json.decode(body)["status"] == int(head.split()[1])
    assert get(bound, "/health")[0] == 200


@pytest.mark.parametrize("said", [b"", b"GET /health HT"])
def test_who_sends_urgent_data_is_closed_at_once(app: DashboardApp, serve: Serve, said: bytes):
    """Else the loop would be told of it without end: one byte of a client would take a core."""
    bound = serve(app)
    with socket.create_connection((bound.host, bound.port), timeout=REQUEST_TIMEOUT_S / 2) as client:
        client.sendall(said)
        client.send(b"!", socket.MSG_OOB)
        assert client.recv(4096) == b""


def test_who_has_a_connection_is_answered_soon_after_others_sent_thousands_of_requests_at_once(
    app: DashboardApp, serve: Serve
):
    address = serve(app)
    ask = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    client = http.client.HTTPConnection(address.host, address.port, timeout=20)
    with contextlib.closing(client):
        client.request("GET", "/health")
        client.getresponse().read()
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                greedy = stack.enter_context(socket.create_connection((address.host, address.port), 20))
                greedy.sendall(ask * 100)
            assert greedy.recv(1)  # the latest is answered, so all have been read
        client.request("GET", "/health")  # 50 s later if each of them were waited for
        assert client.getresponse().status == 200


def test_requests_that_were_sent_ahead_wait_for_their_turn_and_are_all_answered(
    app: DashboardApp, serve: Serve
):
    """On new connections too, whose first request is paid for by the arrival."""
    address = serve(app)
    ahead, clients = 60, 5
    ask = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        greedy = [
            stack.enter_context(socket.create_connection((address.host, address.port), 20))
            for _ in range(clients)
        ]
        for client in greedy:
            client.sendall(
                ask * (ahead - 1) + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"GET /"
            )
        answers = [answer_of(client) for client in greedy]
    took_s = time.monotonic() - begin
    assert [answer.count(b"HTTP/1.1 200 OK") for answer in answers] == [ahead] * clients
    assert took_s > ((ahead - 1) * clients - BURST - clients) / REQUESTS_PER_S


def answer_of(client: socket.socket) -> bytes:
    """All that comes until the end, which is no reset."""
    return b"".join(iter(lambda: client.recv(65_536), b""))
