"""Local ports of real agents are open where the rule of docs/CONFIGURATION.md says, and nowhere else."""

import shutil
import socket
import subprocess

import pytest

from scripts.lab.clients import connect, read_all, refuses
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, announce
from scripts.lab.waiting import wait_until

needs_ipv6 = pytest.mark.skipif(
    not (socket.has_ipv6 and socket.has_dualstack_ipv6()), reason="this machine has no IPv6"
)

WITHOUT_IPV6 = "ip link set lo up && sysctl -qw net.ipv6.conf.lo.disable_ipv6=1"


def unshare(*command):
    return ["unshare", "--map-root-user", "--net", "sh", "-c", f'{WITHOUT_IPV6} && exec "$@"', "sh", *command]


def can_unshare():
    if shutil.which("unshare") is None or shutil.which("ip") is None or shutil.which("sysctl") is None:
        return False
    return subprocess.run(unshare("true"), check=False, capture_output=True, timeout=10).returncode == 0


TOKEN = {"name": "ann", "hash": "0" * 64}
"""Beyond loopback nobody comes without one."""


def fetch(port, host):
    with connect(port, host) as client:
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "open_at", "closed_at"),
    [
        ("localhost", [LOOPBACK, "::1"], []),
        ("*", [LOOPBACK, "::1", "127.0.0.2"], []),
        ("", [LOOPBACK, "::1", "127.0.0.2"], []),
        ("0.0.0.0", [LOOPBACK, "127.0.0.2"], ["::1"]),
        ("[::]", ["::1"], [LOOPBACK]),
    ],
)
def test_listeners_acceptors_and_http_are_open_where_the_rule_says(mesh, host, open_at, closed_at):
    agent = mesh.agent("one")
    port, accept_port, http_port = (mesh.ports.reserve() for _ in range(3))
    with Service(announce(b"here")) as service:
        agent.offer("a", service.port)
        agent.listen("a", f"{host}:{port}")
        agent.config["accept"] = [{"address": f"{host}:{accept_port}"}]
        # For HTTP no host means loopback; the star means every interface for all.
        agent.config["http"] = {"address": f"{host or '*'}:{http_port}", "tokens": [TOKEN]}
        agent.start(wait=False)
        wait_until(lambda: fetch(port, open_at[0]) == b"here", "the listener serves")
        for place in open_at:
            assert fetch(port, place) == b"here"
            connect(accept_port, place).close()
            with connect(http_port, place) as client:
                client.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
                assert read_all(client).startswith(b"HTTP/1.0 200 ")
        for place in closed_at:
            assert all(refuses(number, place) for number in (port, accept_port, http_port))
    assert agent.stop() == 0


@needs_ipv6
def test_localhost_has_one_port_for_both_that_the_system_chooses(mesh):
    agent = mesh.agent("one")
    with Service(announce(b"here")) as service:
        agent.offer("a", service.port)
        agent.listen("a", "localhost:0")
        agent.start()
        host, port = agent.address("a")
        assert host == "localhost"
        assert fetch(port, LOOPBACK) == fetch(port, "::1") == b"here"


def test_localhost_without_ipv6_is_ipv4_and_that_is_said_once(mesh):
    if not can_unshare():
        pytest.skip("this needs network namespaces, ip and sysctl")
    agent = mesh.agent("one")
    agent.offer("a", 1)
    for _ in range(2):
        agent.listen("a", "localhost:0")
    agent.config["http"] = {"address": "localhost:0"}
    agent.start(prefix=unshare(), wait=False)
    wait_until(lambda: len(agent.lines_with("listener a at 127.0.0.1:")) == 2, "both listeners are open")
    wait_until(lambda: agent.lines_with("dashboard at http://127.0.0.1:"), "the dashboard is there")
    wait_until(lambda: len(agent.lines_with("this machine has no ::1")) == 2, "of listeners, and of HTTP")
    assert agent.stop() == 0
