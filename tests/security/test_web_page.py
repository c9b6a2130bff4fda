"""A page of another site in the browser of somebody who can reach the HTTP address, or a client of that."""

import contextlib
import json
import socket
import time

import pytest

from mesh.agent.control.tokens import new_token, token_hash
from mesh.routing.records import EndpointEntry, ListenerEntry
from scripts.lab.meshes import Mesh
from scripts.lab.ports import LOOPBACK
from scripts.lab.waiting import wait_until
from tests.security.hostile import Credentials, Member

CLIENTS = 120
CROWD = 700
"""Clients that come at once: it took six seconds to serve those before the one that asks."""
ELSEWHERE = "127.0.0.9"
TOKEN = new_token()
SHOWN = f"Authorization: Bearer {TOKEN}\r\n"
NEXT = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""What must not be taken for a request if it is not certain that it is one (RFC 9112 section 6.1)."""
EVIL = "<img src=x onerror=alert(1)>\x1b[31m\u202egnp\x00\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Two agents, whose HTTP addresses are on loopback, and on every interface for who has a token."""
    mesh = Mesh(tmp_path_factory.mktemp("web"))
    try:
        local, everywhere = mesh.agent("local").accept(), mesh.agent("everywhere")
        local.config["http"] = {
            "address": f"{LOOPBACK}:{local.http_port}",
            "allowed_hosts": ["mesh.example"],
        }
        everywhere.config["http"] = {
            "address": f"0.0.0.0:{everywhere.http_port}",
            "tokens": [{"name": "reader", "hash": token_hash(TOKEN).hex(), "scope": "read"}],
        }
        mesh.start()
        yield local, everywhere
    finally:
        mesh.close()


@pytest.fixture
def agent(served):
    return served[0]


def ask(agent, data, timeout_s=5.0):
    """All that the server answers to these bytes until it closes."""
    with socket.create_connection((LOOPBACK, agent.http_port), timeout=timeout_s) as client:
        client.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65536):
                answer += piece
        return answer


def status(answer):
    return int(answer.split(maxsplit=2)[1]) if answer.startswith(b"HTTP/") else None


def request(host, path="/api/dashboard", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{SHOWN}Connection: close\r\n\r\n".encode("latin-1")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "[::1]x.evil.example",
        "0x7f.1",
        "2130706433",
        "127.1",
        "localhost:evil.example",
        "",
        "127.0.0.1, evil.example",
        "evil.example#localhost",
        "localhost@evil.example",
    ],
)
def test_a_name_that_was_rebound_to_the_agents_address_is_refused(served, host):
    for asked in served:
        assert status(ask(asked, request(host))) in (400, 403)


def test_two_hosts_in_one_request_are_refused(agent):
    two = b"GET /api/dashboard HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert status(ask(agent, two)) in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]", "mesh.example:8080", "x.localhost"])
def test_what_cannot_be_rebound_and_what_is_configured_is_answered(agent, host):
    assert status(ask(agent, request(host))) == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO"])
def test_nothing_can_be_changed(agent, method):
    assert status(ask(agent, request("localhost", method=method))) in (400, 405, 501)


def test_no_other_site_may_read_an_answer_or_frame_the_page(agent):
    for path in ("/", "/api/dashboard"):
        head = ask(agent, request("localhost", path)).split(b"\r\n\r\n")[0].decode().lower()
        assert "access-control-allow-origin" not in head
        assert "frame-ancestors 'none'" in head
        assert "default-src 'none'" in head
        assert "x-content-type-options: nosniff" in head


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /../../identity.key HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /%2e%2e/identity.key HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
    ids=["a long path", "a path upwards", "escaped dots"],
)
def test_an_odd_request_gets_one_answer_at_most_and_no_file(agent, data):
    try:
        answer = ask(agent, data)
    except (TimeoutError, BrokenPipeError):
        return
    assert answer.count(b"HTTP/1.") <= 1
    assert b"PRIVATE" not in answer
    assert b"MESH IDENTITY KEY" not in answer


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 6\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 6",
        b"Content-Length: 0\r\nContent-Length: 6",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: +5",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"X: a\r\n\tTransfer-Encoding: chunked",
        b"X: a\nTransfer-Encoding: chunked",
        b"X: a\rTransfer-Encoding: chunked",
    ],
    ids=bytes.decode,
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_what_follows_a_request_whose_end_is_doubtful_is_not_answered(agent, method, lines):
    first = method + b" / HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n\r\n0\r\n\r\n"
    answer = ask(agent, first + NEXT)
    assert answer.count(b"HTTP/1.") == 1
    assert status(answer) == 400


@pytest.mark.parametrize(
    "first", [b"Content-Length: 5\r\n\r\nabcde", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
)
def test_a_request_with_a_body_is_the_last_of_its_connection(agent, first):
    answer = ask(agent, b"POST / HTTP/1.1\r\nHost: localhost\r\n" + first + NEXT)
    assert answer.count(b"HTTP/1.") == 1
    assert status(answer) == 405


@pytest.mark.parametrize("manner", ["trickles", "is silent"])
def test_120_sockets_cost_health_ready_and_metrics_nothing(agent, manner):
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.create_connection((LOOPBACK, agent.http_port), timeout=5))
            if manner == "trickles":
                client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
            clients.append(client)
        for _ in range(3):
            time.sleep(0.3)
            for client in clients:
                if manner == "trickles":
                    with contextlib.suppress(OSError):
                        client.sendall(b"a")
            for path in ("/health", "/ready", "/metrics"):
                assert agent.get(path, timeout_s=2.0)[0] == 200


def test_a_crowd_at_the_http_address_keeps_no_health_check_of_another_address_out(agent):
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            client = stack.enter_context(socket.socket())
            client.bind((ELSEWHERE, 0))
            client.setblocking(False)
            client.connect_ex((LOOPBACK, agent.http_port))
        assert agent.get("/health", timeout_s=3.0)[0] == 200
    assert f"some of {ELSEWHERE} are turned away" in agent.process.output


def test_names_that_are_markup_reach_the_page_as_text_only(agent):
    credentials = Credentials(agent.authority, "<img src=x>", register=("*",), use=("*",))
    with Member(agent, credentials) as hostile:
        hostile.advertise(endpoints=(EndpointEntry(EVIL, EVIL),), listeners=(ListenerEntry(EVIL, EVIL),))
        wait_until(lambda: "onerror" in agent.get("/api/dashboard")[1].decode(), "the record has come")
        answer = ask(agent, request("localhost"))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-type: application/json" in head.lower()
        assert not any(byte < 0x20 for byte in body.rstrip(b"\n"))
        assert json.loads(body)
    assert "\x1b" not in agent.process.output
    assert "\u202e" not in agent.process.output
