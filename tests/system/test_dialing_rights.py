"""Dialing by name where not everybody may: passwords, certificates, limits; and doors that come and go."""

import socket
import stat
import subprocess
from contextlib import contextmanager

import pytest

from mesh.agent.control.socket_file import NAME as CONTROL
from mesh.socks.client import GREETING, request
from mesh.socks.numbers import Method, Reply, reply
from scripts.lab.clients import connect, read_all, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import ROOT, python
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until
from tests.actors.connections.socks_company import login

NO_TARGET_TIME_S = 2


@pytest.fixture
def pair(mesh, monkeypatch):
    """Agents branch, with a SOCKS listener that has a password, and hq; branch may not use everything."""
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    branch.certify(may_use=("postgres-*", "service"))
    branch.dial(hq)
    branch.config["connections"] = {"open_timeout": f"{NO_TARGET_TIME_S}s"}
    monkeypatch.setenv("SOCKS_PASSWORD", "something")
    monkeypatch.setenv("OTHER_PASSWORD", "else")
    branch.socks_port = branch.ports.reserve()
    branch.door = {
        "address": f"{LOOPBACK}:{branch.socks_port}",
        "user": "somebody",
        "password": "${SOCKS_PASSWORD}",
    }
    branch.config["forward"]["socks"] = [branch.door]
    with Service(echo_until_reset) as service:
        for key in ("postgres-main", "secret"):
            hq.offer(key, service.port)
        mesh.start()
        branch.wait_for_peers(hq)
        wait_until(lambda: "postgres-main" in branch.ask("services").stdout, "the keys are known")
        yield branch, hq


def mesh_connect(branch, key):
    command = python("-m", "mesh.agent.entry", "connect", key, "--socket", branch.folder / CONTROL)
    return subprocess.run(command, input=b"x", capture_output=True, timeout=60, cwd=ROOT, check=False)


@contextmanager
def asked(port, key="postgres-main", words=None):
    with connect(port) as client:
        client.sendall(GREETING + request(key) if words is None else words)
        yield client


def replies_to(port, words, count):
    with asked(port, words=words) as client:
        return read_exactly(client, count)


def lets_in(port, user, password):
    """Whether somebody with this password reaches the service."""
    with asked(port, words=login(user, password) + b"x") as client:
        welcome = read_exactly(client, 4)
        if welcome[3] != 0:
            assert read_all(client) == b""
            return False
        assert read_exactly(client, 11) == reply(Reply.SUCCEEDED) + b"x"
        return True


def test_a_password_lets_in_and_another_one_comes_by_a_reload(pair):
    branch, _ = pair
    port = branch.socks_port
    assert [lets_in(port, "somebody", word) for word in ("something", "else", "")] == [True, False, False]
    assert replies_to(port, GREETING + request("postgres-main"), 2) == bytes((5, Method.UNACCEPTABLE))
    with asked(port, words=login("somebody", "something") + b"x") as client:
        assert read_exactly(client, 15)[-1:] == b"x"
        branch.door["password"] = "${OTHER_PASSWORD}"
        assert f"changed socks {LOOPBACK}:{port}" in branch.reload()
        client.sendall(b"y")  # who is in stays in
        assert read_exactly(client, 1) == b"y"
        assert [lets_in(port, "somebody", word) for word in ("something", "else")] == [False, True]
        branch.door["max_connections"] = 1
        assert f"changed socks {LOOPBACK}:{port}" in branch.reload()
        with asked(port, words=login("somebody", "else")) as second:
            assert read_exactly(second, 14)[5] == Reply.FAILED
    log = branch.log.read_text()
    assert "something" not in log


def test_what_the_certificate_forbids_is_told_as_that(pair):
    branch, _ = pair
    path = branch.folder / "by-name.sock"
    branch.config["forward"]["socks"].append({"address": str(path)})
    assert f"added socks unix:{path}" in branch.reload()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20.0)
        client.connect(str(path))
        client.sendall(GREETING + request("secret"))
        assert read_exactly(client, 12)[3] == Reply.NOT_ALLOWED
    refused = mesh_connect(branch, "secret")
    assert (refused.returncode, refused.stdout) == (4, b"")
    assert b"not permitted" in refused.stderr
    done = mesh_connect(branch, "postgres-main")
    assert (done.returncode, done.stdout) == (0, b"x")
    branch.certify(may_use=("*",))
    wait_until(lambda: mesh_connect(branch, "secret").returncode == 0, "the new certificate holds")


def test_unix_sockets_come_and_go_by_a_reload(pair):
    branch, _ = pair
    by_name, by_key = branch.folder / "by-name.sock", branch.folder / "key.sock"
    branch.config["forward"]["socks"].append({"address": str(by_name)})
    branch.config["forward"]["listeners"].append({"key": "postgres-main", "address": str(by_key)})
    added = branch.reload()
    assert f"added listener postgres-main unix:{by_key}" in added
    with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as client:
        for one, path in ((named, by_name), (client, by_key)):
            one.settimeout(20.0)
            wait_until(lambda one=one, path=path: _connects(one, path), "it is open")
        named.sendall(GREETING + request("postgres-main") + b"x")
        assert read_exactly(named, 13)[-1:] == b"x"
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        branch.config["forward"]["socks"].pop()
        branch.config["forward"]["listeners"].clear()
        assert f"socks unix:{by_name}" in branch.reload()
        assert not by_name.exists()
        assert not by_key.exists()
        for one in (named, client):  # what is open goes on
            one.sendall(b"y")
            assert read_exactly(one, 1) == b"y"


def _connects(one, path):
    try:
        one.connect(str(path))
    except OSError:
        return False
    return True


def test_an_exit_that_is_cut_off_and_one_that_is_silent(pair):
    branch, hq = pair
    hq.pause()
    try:
        silent = mesh_connect(branch, "postgres-main")
        assert (silent.returncode, b"no answer in time" in silent.stderr) == (1, True), silent.stderr
    finally:
        hq.resume()
    hq.kill()
    cut_off = []

    def is_cut_off():
        cut_off.append(mesh_connect(branch, "postgres-main"))
        return b"no path leads to an agent that offers it" in cut_off[-1].stderr

    wait_until(is_cut_off, "the link is gone")
    assert cut_off[-1].returncode == 1
