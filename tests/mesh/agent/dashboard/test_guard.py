"""Which requests are let in, by the name they ask for."""

import socket
from typing import Any

import pytest

from mesh.addresses import TcpAddress
from mesh.agent.dashboard.listening import listen
from mesh.agent.dashboard.server import HttpServer
from tests.mesh.agent.dashboard.clients import MakeApp, client_of

ODD = [
    "",
    " ",
    ":8080",
    "localhost:",
    "localhost:0",
    "localhost:65536",
    "localhost:http",
    "localhost:80:80",
    ".",
    "localhost..",
    "mesh.internal..",
    "mesh..internal",
    "[::1].",
    ".localhost",
    "user@localhost",
    "localhost@evil.example",
    "evil.example, localhost",
    "localhost, localhost",
    "localhost/x",
    "local\x7fhost",
    "[evil]:80",
    "[::1",
    "[::1]x.evil.example",
    "[127.0.0.1]x",
    "::1",
    "[::1%25lo]",
    "127.0.0.1\u0661",
    "loc\u00e4lhost",
]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("[::1]", 200),
        ("192.0.2.1", 200),
        ("localhost:8080", 200),
        ("LOCALHOST", 200),
        ("branch.localhost:1", 200),
        ("mesh.internal", 200),
        ("MESH.internal:65535", 200),
        ("localhost.", 200),
        ("127.0.0.1.", 200),
        ("branch.localhost.", 200),
        ("mesh.internal.", 200),
        ("Mesh.Internal.:8080", 200),
        ("evil.example", 403),
        ("evil.example.", 403),
        ("evil.example:8080", 403),
        ("x.mesh.internal", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("evil-localhost", 403),
        ("127.1", 403),
        ("0x7f.1", 403),
        ("2130706433", 403),
        *((host, 400) for host in ODD),
    ],
)
def test_a_host_name_that_could_be_rebound_is_refused(make_app: MakeApp, source: Any, host: str, status: int):
    client = client_of(make_app(allowed_hosts=["Mesh.Internal"]))
    answer = client.simulate_get("/api/dashboard", headers={"Host": host})
    assert answer.status_code == status
    assert source.calls == (status == 200)
    if status == 403:
        assert "http.allowed_hosts" in answer.json["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Host: localhost\r\n", b"200"),
        (b"", b"200"),
        (b"Host: localhost.:8080\r\n", b"200"),
        (b"Host: evil.example\r\n", b"403"),
        (b"Host: localhost\r\nHost: localhost\r\n", b"400"),
        (b"Host: evil.example\r\nHost: localhost\r\n", b"400"),
        (b"Host:\r\n", b"400"),
        (b"Host: local\x00host\r\n", b"400"),
        (b"Host: local\x1bhost\r\n", b"400"),
    ],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_so_it_is_on_every_address_and_with_every_header(
    make_app: MakeApp, address: str, headers: bytes, status: bytes
):
    server = HttpServer(make_app(), listen(TcpAddress(address, 0)))
    port = server.start().port
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /health HTTP/1.0\r\n" + headers + b"\r\n")
            assert client.recv(4096).split()[1] == status
    finally:
        server.stop()
