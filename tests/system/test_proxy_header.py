"""HAProxy reads the header that targets get."""

import shutil
import socket

import pytest

from mesh.connection.preface import Preface
from mesh.connection.proxy_protocol import proxy_header
from mesh.trust.certificates import Certificate
from scripts.lab.ports import LOOPBACK, is_listening
from scripts.lab.processes import Process
from scripts.lab.waiting import wait_until

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
CERTIFICATE = Certificate(bytes(32), "laptop", 0, 1, (), (), False, False, bytes(32), groups=("dba",))
CONFIG = """
defaults
  mode http
  timeout client 5s
frontend told
  bind {address}:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst_port]"
"""


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_haproxy_takes_the_clients_address_from_the_header(tmp_path):
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(address=LOOPBACK, port=port))
    server = Process([HAPROXY, "-db", "-f", config], tmp_path / "haproxy.log")
    try:
        wait_until(lambda: is_listening(port), "haproxy listens")
        for preface, said in (
            (Preface("192.0.2.7:40000", "198.51.100.1:5432"), b"192.0.2.7 40000 5432"),
            (Preface("[2001:db8::7]:40001", "[2001:db8::1]:5433"), b"2001:db8::7 40001 5433"),
            (Preface(), b"0.0.0.0"),
        ):
            with socket.create_connection((LOOPBACK, port), timeout=5) as target:
                target.sendall(proxy_header(preface, CERTIFICATE) + b"GET / HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda target=target: target.recv(4096), b""))
            assert answer.partition(b"\r\n\r\n")[2].startswith(said)
    finally:
        server.kill()
