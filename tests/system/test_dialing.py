"""Dialing by name: SOCKS5 and mesh connect, with real agents and the programs that people use."""

import getpass
import os
import shutil
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from actors.runtime.descriptors import RESET_ON_CLOSE
from mesh.agent.control.socket_file import NAME as CONTROL
from mesh.socks.client import GREETING, request
from mesh.socks.numbers import Reply, reply
from mesh.socks.place import NAME
from scripts.lab.clients import connect, read_all, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.services import Service, echo
from scripts.lab.waiting import wait_until

PAGE = b"<h1>by name</h1>\n" * 4_000


@pytest.fixture
def pair(mesh):
    """Agents branch, which has a SOCKS listener, and hq, with one link."""
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    branch.dial(hq)
    branch.socks_port = branch.ports.reserve()
    branch.config["forward"]["socks"] = [{"address": f"{LOOPBACK}:{branch.socks_port}"}]
    hq.target_port = mesh.ports.reserve()
    hq.offer("service", f"{LOOPBACK}:{hq.target_port}")
    hq.offer("nothing.there", f"{LOOPBACK}:{mesh.ports.reserve()}")
    mesh.start()
    branch.wait_for_peers(hq)
    wait_until(lambda: "service" in branch.ask("services").stdout, "the keys are known")
    return branch, hq


def curl(branch, host, *options):
    command = ["curl", "-sS", "--max-time", "20", "--noproxy", "", "--socks5-hostname"]
    proxy = f"{LOOPBACK}:{branch.socks_port}"
    return subprocess.run(
        [*command, proxy, *options, f"http://{host}/page"], capture_output=True, check=False
    )


def connect_command(branch, *arguments, entry=b"", **more):
    command = python("-m", "mesh.agent.entry", "connect", *arguments, "--socket", branch.folder / CONTROL)
    return subprocess.run(
        command, input=entry, capture_output=True, timeout=60, cwd=ROOT, check=False, **more
    )


def take_all_and_reset(client):
    """The client has sent its own end by then, and read what there is."""
    read_all(client)
    client.sendall(b"answer")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    client.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_reaches_services_by_name(pair, tmp_path):
    branch, hq = pair
    (tmp_path / "page").write_bytes(PAGE)
    server = [sys.executable, "-m", "http.server", str(hq.target_port), "-b", LOOPBACK, "-d", str(tmp_path)]
    process = Process(server, tmp_path / "http.log", cwd=tmp_path)
    try:
        connect(hq.target_port).close()
        for host in ("service.mesh", "service", "service.hq.mesh", f"service.{hq.id}.mesh"):
            assert curl(branch, host).stdout == PAGE, host
        for host in ("unknown.mesh", "service.nobody.mesh", "example.com"):
            failed = curl(branch, host)
            assert (failed.returncode, b"(4)" in failed.stderr) == (97, True), failed.stderr
        assert b"(5)" in curl(branch, "nothing.there.mesh").stderr
        address = f"http://{LOOPBACK}:{hq.target_port}/page"
        proxy = f"socks5://{LOOPBACK}:{branch.socks_port}"
        asked = subprocess.run(["curl", "-sS", "-x", proxy, address], capture_output=True, check=False)
        assert b"(8)" in asked.stderr
    finally:
        process.kill()


def test_what_follows_a_request_at_once_is_not_lost(pair):
    branch, hq = pair
    with Service(echo, port=hq.target_port), connect(branch.socks_port) as client:
        client.sendall(GREETING + request("service") + b"early")
        assert read_exactly(client, 12 + 5) == b"\5\0" + reply(Reply.SUCCEEDED) + b"early"
        client.sendall(b"late")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"late"


def test_hostile_clients_are_let_go_and_others_served(pair):
    branch, hq = pair
    crowd = [connect(branch.socks_port) for _ in range(1_000)]
    told = (b"\5", b"\5\1", b"GET / HTTP/1.0\r\n\r\n", b"\5\1\0\5\1\0\3\xff" + b"\x1b" * 9)
    for number, client in enumerate(crowd):
        with suppress(OSError):  # one that came early has been let go
            client.sendall(told[number % 4])
    with Service(echo, port=hq.target_port), connect(branch.socks_port) as client:
        client.sendall(GREETING + request("service") + b"x")
        assert read_exactly(client, 13)[-1:] == b"x"
    for client in crowd:
        client.close()
    assert "\x1b" not in branch.log.read_text()


def test_a_name_is_fit_for_the_log(pair):
    branch, _ = pair
    with connect(branch.socks_port) as client:
        client.sendall(GREETING + request("\x1b[31m\n" * 40))
        assert read_exactly(client, 12)[3] == Reply.HOST_UNREACHABLE
    assert "\x1b" not in branch.log.read_text()
    assert "\\x1b[31m\\n" in branch.log.read_text()


def test_connect_carries_bytes_both_ways_and_says_how_it_ended(pair):
    branch, hq = pair
    data = os.urandom(3_000_000)
    with Service(echo, port=hq.target_port):
        for arguments in (("service",), ("service.hq",), ("service", "--agent", hq.id), ("service.mesh",)):
            done = connect_command(branch, *arguments, entry=data)
            assert (done.returncode, done.stdout == data, done.stderr) == (0, True, b"")
        closed = connect_command(branch, "service", preexec_fn=lambda: os.close(0))
        assert (closed.returncode, closed.stdout) == (0, b"")
    for arguments, told in (
        (("service",), b"its target refuses connections"),
        (("unknown",), b"nobody offers it"),
        (("service", "--agent", "nobody"), b"nobody offers it"),
    ):
        failed = connect_command(branch, *arguments)
        assert (failed.returncode, failed.stdout, failed.stderr.count(b"\n")) == (1, b"", 1)
        assert told in failed.stderr
    assert connect_command(branch, "x" * 256).returncode == 2
    with Service(lambda client: client.close(), port=hq.target_port):
        assert connect_command(branch, "service").returncode == 0
    with Service(take_all_and_reset, port=hq.target_port):
        cut = connect_command(branch, "service", entry=b"question")
        assert (cut.returncode, cut.stdout) == (1, b"answer")
        assert cut.stderr == b"mesh connect: service: the connection was cut off\n"
    assert stat.S_IMODE((branch.folder / NAME).stat().st_mode) == 0o600
    branch.stop()
    assert not (branch.folder / NAME).exists()
    absent = connect_command(branch, "service")
    assert (absent.returncode, b"no agent answers" in absent.stderr) == (3, True)


def test_the_socket_of_an_agent_that_was_killed_is_replaced(pair):
    branch, hq = pair
    branch.kill()
    assert (branch.folder / NAME).exists()
    branch.start()
    with Service(echo, port=hq.target_port):
        wait_until(
            lambda: connect_command(branch, "service", entry=b"x").stdout == b"x", "it is served again"
        )


@pytest.mark.skipif(shutil.which("sshd") is None, reason="there is no sshd")
def test_ssh_goes_through_connect(pair, tmp_path):
    branch, hq = pair
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(keygen, check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized_keys")
    (tmp_path / "sshd_config").write_text(
        f"Port {hq.target_port}\nListenAddress {LOOPBACK}\nHostKey {tmp_path / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {tmp_path / 'authorized_keys'}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
    )
    sshd = Process(
        [shutil.which("sshd"), "-D", "-e", "-f", str(tmp_path / "sshd_config")],
        tmp_path / "sshd.log",
        cwd=tmp_path,
    )
    try:
        connect(hq.target_port).close()
        mesh = " ".join(map(str, python("-m", "mesh.agent.entry")))
        proxy = f"{mesh} connect service --socket {branch.folder / CONTROL}"
        options = ("BatchMode=yes", "StrictHostKeyChecking=no", f"UserKnownHostsFile={tmp_path / 'known'}")
        ssh = ["ssh", "-F", "none", "-i", str(tmp_path / "user"), "-o", f"ProxyCommand={proxy}"]
        ssh += [part for option in options for part in ("-o", option)]
        data = os.urandom(1_000_000)
        ssh += [f"{getpass.getuser()}@hq", "cat; exit 7"]
        done = subprocess.run(ssh, input=data, capture_output=True, timeout=60, cwd=ROOT, check=False)
        assert (done.returncode, done.stdout == data) == (7, True), done.stderr
    finally:
        sshd.kill()


def test_socks_listeners_come_change_and_go_while_the_agent_runs(pair):
    branch, hq = pair
    other = branch.ports.reserve()
    with Service(echo, port=hq.target_port), connect(branch.socks_port) as client:
        client.sendall(GREETING + request("service") + b"x")
        assert read_exactly(client, 13)[-1:] == b"x"
        branch.config["forward"]["socks"] = [{"address": f"{LOOPBACK}:{other}", "max_connections": 1}]
        assert f"added socks {LOOPBACK}:{other}" in branch.reload()
        client.sendall(b"y")  # what is open goes on
        assert read_exactly(client, 1) == b"y"
        with connect(other) as first, connect(other) as second:
            for one in (first, second):
                one.sendall(GREETING + request("service"))
            codes = sorted(read_exactly(one, 12)[3] for one in (first, second))
            assert codes == [Reply.SUCCEEDED, Reply.FAILED]
    assert f"{LOOPBACK}:{other}" in branch.ask("status").stdout
