"""Services that commands hold or save, with real agents."""

import signal
import socket

import pytest

from mesh.agent.control.socket_file import NAME
from mesh.agent.saved_services import NAME as SAVED
from scripts.lab.clients import connect, is_reset, read_exactly, refuses
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.services import Service, echo_until_reset
from scripts.lab.waiting import wait_until


@pytest.fixture
def pair(mesh):
    """Agents branch and hq with one link, and the port of an echo near hq."""
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    branch.dial(hq)
    with Service(echo_until_reset) as service:
        mesh.start()
        yield branch, hq, service.port


@pytest.fixture
def hold(tmp_path):
    """Starts a command that holds something; what it prints grows in its output."""
    running = []

    def start(agent, *arguments):
        command = python("-m", "mesh.agent.entry", *arguments, "--socket", agent.folder / NAME)
        running.append(Process(command, tmp_path / f"{len(running)}.log", cwd=ROOT))
        wait_until(lambda: running[-1].output or not running[-1].is_running, "it says what it has")
        return running[-1]

    yield start
    for process in running:
        process.kill()


def answers(port):
    with connect(port) as client:
        client.sendall(b"x")
        return read_exactly(client, 1) == b"x"


def test_a_service_is_there_for_as_long_as_its_command_runs(pair, hold):
    branch, hq, target = pair
    exposing = hold(hq, "expose", "echo", f"{LOOPBACK}:{target}")
    listening = hold(branch, "listen", "echo")
    port = int(listening.output)  # alone, for programs
    branch.wait_for_route("echo")
    assert answers(port)
    with connect(port) as client:
        client.sendall(b"a")
        assert read_exactly(client, 1) == b"a"
        listening.signal(signal.SIGINT)
        assert listening.wait() == 0
        assert refuses(port)
        exposing.signal(signal.SIGTERM)
        assert exposing.wait() == 0
        branch.wait_for_no_route("echo")
        client.sendall(b"b")  # what is open goes on
        assert read_exactly(client, 1) == b"b"


def test_a_listener_may_be_a_unix_socket(pair, hold, tmp_path):
    branch, hq, target = pair
    path = tmp_path / "echo.sock"
    hold(hq, "expose", "echo", f"{LOOPBACK}:{target}")
    listening = hold(branch, "listen", "echo", path)
    assert listening.output == f"listener echo unix:{path}\n"
    branch.wait_for_route("echo")
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10.0)
            client.connect(str(path))
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
    taken = branch.ask("listen", "other", path)
    assert (taken.returncode, "has" in taken.stderr) == (1, True)
    listening.signal(signal.SIGINT)
    assert listening.wait() == 0
    assert not path.exists()


def test_what_another_command_takes_out_is_not_asked_for_anew(pair, hold, tmp_path):
    branch, _, _ = pair
    path = tmp_path / "echo.sock"
    listening = hold(branch, "listen", "echo", path)
    assert branch.ask("unlisten", "echo", path).returncode == 0  # written as it was before
    assert listening.wait() == 1
    assert "another command has taken it out" in listening.output
    assert branch.ask("unlisten", "echo").returncode == 1
    assert not path.exists()


def test_a_command_that_is_killed_holds_nothing_for_long(pair, hold):
    branch, _, _ = pair
    listening = hold(branch, "listen", "echo")
    address = f"{LOOPBACK}:{int(listening.output)}"
    listening.kill()
    assert address in branch.ask("status").stdout
    wait_until(lambda: address not in branch.ask("status").stdout, "it goes", timeout_s=25.0)


def test_a_command_asks_anew_when_its_agent_has_been_started_anew(pair, hold):
    branch, hq, target = pair
    hold(hq, "expose", "echo", f"{LOOPBACK}:{target}")
    listening = hold(branch, "listen", "echo")
    port = int(listening.output)
    branch.kill()
    branch.start()
    wait_until(lambda: "is there again" in listening.output, "it has asked")
    branch.wait_for_route("echo")
    assert answers(port)


def test_what_is_saved_is_there_after_a_restart_and_the_file_has_its_way(pair):
    branch, hq, target = pair
    port = branch.ports.reserve()
    assert hq.ask("expose", "echo", f"{LOOPBACK}:{target}", "--save").returncode == 0
    assert branch.ask("listen", "echo", f"{LOOPBACK}:{port}", "--save").returncode == 0
    for agent in (hq, branch):
        agent.stop()
        agent.start()
    branch.wait_for_route("echo")
    assert answers(port)
    assert "nothing is different" in branch.ask("reload").stdout
    hq.offer("echo", 9)
    told = hq.reload()
    assert f"endpoint echo: this agent offers echo already: it is {LOOPBACK}:9" in told
    assert hq.ask("expose", "other", f"{LOOPBACK}:{target}", "--save").returncode == 0  # that is its own
    hq.config["forward"]["endpoints"].clear()
    hq.reload()
    assert answers(port)
    assert hq.ask("unexpose", "echo").returncode == 0
    branch.wait_for_no_route("echo")
    assert "echo" not in (hq.folder / SAVED).read_text().partition("\n")[2]


@pytest.mark.parametrize("how", ["unexpose", "unexpose --now", "unlisten --now"])
def test_what_is_open_goes_on_or_is_reset_when_its_service_is_taken_out(pair, how):
    branch, hq, target = pair
    for key in ("echo", "other"):
        assert hq.ask("expose", key, f"{LOOPBACK}:{target}", "--save").returncode == 0
        assert branch.ask("listen", key, f"{LOOPBACK}:{branch.ports.reserve()}", "--save").returncode == 0
        branch.wait_for_route(key)
    with connect(branch.address("echo")[1]) as client, connect(branch.address("other")[1]) as other:
        for each in (client, other):
            each.sendall(b"x")
            assert read_exactly(each, 1) == b"x"
        taken = (branch if "unlisten" in how else hq).ask(*how.split(), "echo")
        assert taken.stdout == "echo: taken out\n"
        branch.wait_for_no_route("echo")
        other.sendall(b"y")
        assert read_exactly(other, 1) == b"y"
        if "--now" in how:
            assert is_reset(client, 5)
        else:
            client.sendall(b"y")
            assert read_exactly(client, 1) == b"y"


def test_a_port_that_is_taken_refuses_the_command_and_nothing_is_saved(pair):
    branch, _, target = pair
    refused = branch.ask("listen", "echo", f"{LOOPBACK}:{target}", "--save")
    assert refused.returncode == 1
    assert "port taken" in refused.stderr
    assert "echo" not in (branch.folder / SAVED).read_text().partition("\n")[2]
    assert str(target) not in branch.ask("status").stdout
    own = branch.ask("listen", "echo", f"{LOOPBACK}:{branch.http_port}")
    assert (own.returncode, "http.address" in own.stderr) == (1, True)
    wrong = branch.ask("listen", "echo", "nowhere")
    assert (wrong.returncode, "address: found" in wrong.stderr) == (2, True)
    assert branch.ask("unlisten", "echo").returncode == 1


def test_what_the_certificate_does_not_grant_is_refused_by_policy_and_the_agent_stays_ready(pair):
    _, hq, _ = pair
    hq.certify(may_register=("echo",), may_use=())
    told = hq.ask("reload").stdout
    assert told in ("changed certificate\n", "nothing is different\n")  # it may have seen that by itself
    assert hq.ask("listen", "echo", "--save").returncode == 4
    refused = hq.ask("expose", "web", "localhost:80", "--save")
    assert (refused.returncode, "does not let it offer 'web'" in refused.stderr) == (4, True)
    assert "mesh certificate sign" in refused.stderr
    assert hq.get("/ready")[0] == 200
