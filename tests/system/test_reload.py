"""A configuration that is read anew by an agent that runs: what is different changes, all else goes on."""

import itertools
import os
import re
import signal
import subprocess
import threading

import pytest

from mesh.agent.control.socket_file import NAME
from scripts.lab.agent_processes import write_config
from scripts.lab.clients import connect, read_exactly, refuses
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import ROOT, python
from scripts.lab.services import Service, announce, echo, echo_until_reset
from scripts.lab.waiting import wait_until


@pytest.fixture
def pair(mesh):
    """Agents branch and hq with one link; hq offers an echo as "a"."""
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    branch.dial(hq)
    with Service(echo_until_reset) as service:
        hq.offer("a", service.port)
        port = branch.listen("a")
        mesh.start()
        branch.wait_for_route("a")
        yield branch, hq, port


def answers(port, data=b"x"):
    with connect(port) as client:
        client.sendall(data)
        return read_exactly(client, len(data)) == data


class Probing:
    """Short requests without pause while the block runs; ``failed`` has what went wrong."""

    def __init__(self, port):
        self.failed, self.served = [], 0
        self._port, self._end = port, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._end.is_set():
            try:
                assert answers(self._port)
                self.served += 1
            except (OSError, AssertionError, EOFError) as error:
                self.failed.append(repr(error))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._end.set()
        self._thread.join(20)


def test_services_come_change_and_go_and_no_request_fails_on_another(pair):
    branch, hq, port = pair
    with connect(port) as client, Service(echo) as second, Probing(port) as probing:
        for number in itertools.count():
            assert "added endpoint b" in hq.offer("b", second.port).reload()
            other = branch.listen("b")
            assert f"added listener b {LOOPBACK}:{other}" in branch.reload()
            branch.wait_for_route("b")
            assert answers(other)
            branch.config["forward"]["listeners"].pop()
            hq.config["forward"]["endpoints"].pop()
            assert f"removed listener b {LOOPBACK}:{other}" in branch.reload()
            assert refuses(other)
            assert "removed endpoint b" in hq.reload()
            if number >= 4 and probing.served >= 20:
                break
        client.sendall(b"still here")
        assert read_exactly(client, 10) == b"still here"
    assert probing.failed == []


def test_another_target_is_for_new_connections_and_none_fails(pair):
    branch, hq, port = pair
    with connect(port) as client, Service(echo) as second, Probing(port) as probing:
        hq.config["forward"]["endpoints"][0]["target"] = f"{LOOPBACK}:{second.port}"
        assert "changed endpoint a" in hq.reload()
        served = probing.served
        wait_until(lambda: probing.served >= served + 20 or probing.failed, "requests go on")
        client.sendall(b"old")
        assert read_exactly(client, 3) == b"old"
    assert probing.failed == []
    with Service(announce(b"third")) as third:
        hq.config["forward"]["endpoints"][0]["target"] = f"{LOOPBACK}:{third.port}"
        hq.reload()
        with connect(port) as client:
            assert read_exactly(client, 5) == b"third"
    assert branch.wait_for_route("a")["hop_count"] == 1


def test_a_file_that_is_wrong_changes_nothing_and_every_mistake_is_told(pair):
    _, hq, port = pair
    hq.offer("b", 9).config["forward"]["endpoints"][0]["target"] = "nowhere"
    hq.config["loging"] = {}
    told = hq.reload()
    assert "refused: the agent goes on as it was" in told
    assert "forward.endpoints[0].target" in told
    assert "loging" in told
    assert answers(port)
    status, said = hq.get("/ready")
    assert (status, b"the last reload was refused" in said) == (200, True)
    hq.config_file.unlink()
    told = hq.read_again()
    assert "reload 2 refused" in told
    assert "no such file" in told
    assert answers(port)


def test_what_cannot_change_is_named_and_all_else_is_done(pair):
    branch, hq, port = pair
    data_dir = branch.config["agent"]["data_dir"]
    branch.config["agent"]["data_dir"] = "elsewhere"
    branch.config["routing"] = {"max_hops": 5}
    branch.config["logging"] = {"level": "debug"}
    told = branch.reload()
    assert "changed routing.max_hops, logging.level" in told
    assert "in effect when the agent is started anew, and not before: agent.data_dir" in told
    assert "agent.data_dir" in branch.reload()
    branch.config["agent"]["data_dir"] = data_dir
    assert answers(port)
    hq.stop()
    hq.start()
    branch.wait_for_route("a")
    branch.wait_for_lines_with(" debug ")
    branch.config["logging"] = {"level": "error"}
    assert "changed logging.level" in branch.reload()
    hq.stop()
    wait_until(lambda: refuses(port), "hq has left")
    assert branch.process.output.endswith("reload 3 done\n")


def test_the_dashboard_moves_and_a_port_that_is_taken_refuses_the_whole_file(pair):
    branch, hq, _ = pair
    old, new = hq.http_port, hq.ports.reserve()
    hq.config["http"] = {"address": f"{LOOPBACK}:{new}"}
    assert "changed http.address" in hq.reload()
    assert refuses(old)
    hq.http_port = new
    assert hq.get("/ready")[0] == 200
    with Service(echo) as taker:
        hq.config["http"] = {"address": f"{LOOPBACK}:{taker.port}"}
        hq.offer("b", 9)
        assert "http.address: cannot listen" in hq.reload()
    assert hq.get("/ready")[0] == 200
    assert [each["key"] for each in branch.dashboard()["unmatched_endpoints"]] == []


def test_a_listener_whose_port_is_taken_is_told_and_comes_later(pair):
    branch, _, port = pair
    with Service(echo) as taker:
        branch.config["forward"]["listeners"].append({"key": "a", "address": f"{LOOPBACK}:{taker.port}"})
        told = branch.reload()
        name = f"listener a {LOOPBACK}:{taker.port}"
        assert f"added {name}" in told
        assert re.search(rf"{name}: port taken.*; trying again", told)
        assert "done as far as it could be" in told
        assert answers(port)
    wait_until(lambda: answers(taker.port), "it has its port")


def test_the_dashboard_has_the_port_that_a_listener_gives_up_in_the_same_file(pair):
    branch, _, port = pair
    listeners = branch.config["forward"].pop("listeners")
    old, branch.http_port = branch.http_port, port
    branch.config["http"] = {"address": f"{LOOPBACK}:{port}"}
    told = branch.reload()
    assert "done\n" in told
    assert "changed http.address" in told
    assert branch.get("/ready")[0] == 200
    branch.config["forward"]["listeners"] = listeners
    branch.config["http"] = {"address": f"{LOOPBACK}:{old}"}
    assert "http.address" in branch.reload()
    wait_until(lambda: answers(port), "and back")


def test_a_link_to_a_peer_goes_and_comes(pair):
    branch, hq, port = pair
    peers = branch.config.pop("peers")
    assert "removed peer" in branch.reload()
    hq.wait_for_lines_with("this peer is not dialed any more")  # the other end hears why
    wait_until(lambda: refuses(port), "there is no way to the key")
    branch.config["peers"] = peers
    assert "added peer" in branch.reload()
    branch.wait_for_route("a")
    assert answers(port)


def run(*arguments):
    command = [str(part) for part in python(*arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT)


def test_commands_ask_and_change_an_agent_by_its_control_socket(pair):
    branch, hq, port = pair
    assert "ready" in branch.ask("status").stdout.splitlines()[0]
    assert "branch - hq" in branch.ask("services").stdout
    with Service(echo) as second:
        hq.offer("b", second.port)
        write_config(hq.config_file, hq.config)
        assert hq.ask("plan").stdout == "would be added endpoint b\n"
        assert "reload" not in hq.process.output
        assert hq.ask("reload").stdout == "added endpoint b\n"
        assert hq.ask("reload").stdout == "nothing is different\n"
        wait_until(lambda: "\nb " in branch.ask("services").stdout, "the other agent hears of it")
    hq.config["forward"]["endpoints"].append({"key": "c"})
    write_config(hq.config_file, hq.config)
    wrong = hq.ask("reload")
    assert (wrong.returncode, "target" in wrong.stderr) == (2, True)
    assert answers(port)


def test_of_two_agents_with_one_data_directory_the_second_does_not_start(pair):
    _, hq, port = pair
    second = run("-m", "mesh.agent", hq.config_file)  # its HTTP port is taken, too
    assert second.returncode == 2
    assert "an agent with this data directory runs already" in second.stderr
    assert answers(port)
    hq.kill()
    assert (hq.folder / NAME).is_socket()  # nobody could remove it
    hq.start()
    assert "ready" in hq.ask("status").stdout.splitlines()[0]
    hq.stop()
    assert not (hq.folder / NAME).exists()
    gone = hq.ask("status")
    assert (gone.returncode, "no agent answers" in gone.stderr) == (3, True)


ATTACHED = """
import fcntl, os, runpy, sys, termios
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
sys.argv = sys.argv[1:]
runpy.run_module("mesh.agent", run_name="__main__")
"""
"""Runs an agent on a terminal: the descriptor of its first argument, which is inherited."""


@pytest.mark.skipif(
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="SIGHUP is ignored here, and so by the agents"
)
def test_an_agent_whose_terminal_closes_leaves_in_order(mesh):
    """Nobody could press Ctrl-C any more; while the terminal is there SIGHUP has the file read anew."""
    alone = mesh.agent("alone").accept()
    master, slave = os.openpty()
    os.set_inheritable(slave, True)
    try:
        alone.start(slave, program=("-c", ATTACHED), inherited=(slave,))
        assert "nothing is different" in alone.read_again(by_signal=True)
        before = len(alone.process.output)
    finally:
        os.close(slave)
        os.close(master)
    assert alone.process.wait() == 0
    assert "SIGHUP: shutting down" in alone.process.output[before:]
    assert any(line.endswith(" left") for line in alone.process.output[before:].splitlines())
