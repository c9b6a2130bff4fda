"""What an agent starts with, and what it says when it lacks or dislikes something."""

import os
import socket
import subprocess
from http import HTTPStatus

import pytest
import yaml

from actors.accepting import PORT_TAKEN
from mesh.agent.files import IDENTITY_FILE
from mesh.routing.counterparts import NO_OFFER
from mesh.trust.identity import Identity
from scripts.lab.agents import DAY_S, Agent
from scripts.lab.clients import connect
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import ROOT, python
from scripts.lab.services import Service
from scripts.lab.waiting import wait_until

EXIT_USAGE = 2


def run(agent, *arguments, write=True):
    """Run the agent to its end; exit status and all that it wrote."""
    if write:
        agent.config_file.write_text(yaml.safe_dump(agent.config, sort_keys=False))
    command = python("-m", "mesh.agent", *arguments, agent.config_file)
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_an_agent_runs_without_standard_streams(mesh, closed):
    agent = mesh.agent("quiet")
    agent.config_file.write_text(yaml.safe_dump(agent.config, sort_keys=False))
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *python("-m", "mesh.agent", agent.config_file)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:

            def is_up():
                assert process.poll() is None
                return agent.get("/healthz")[0] == HTTPStatus.OK

            wait_until(is_up, "it answers")
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()


@pytest.fixture
def candidate(mesh):
    """An agent fit to start, for a test to spoil."""
    agent = mesh.agent("candidate").accept()
    agent.offer("a", 9)
    agent.listen("b")
    return agent


def test_a_good_configuration_passes_the_check(candidate):
    status, output = run(candidate, "--check")
    assert (status, output) == (
        0,
        f"{candidate.config_file}: ok: agent candidate with 1 endpoint, 1 listener, 0 peers\n",
    )


BAD_CONFIGURATION = """\
agent:
  nmae: candidate
forward:
  endpoints:
    - key: a
      target: 127.0.0.1:99999
  listeners:
    - address: 127.0.0.1:0
      max_connections: many
connections:
  timeout: -1
"""


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_every_error_of_a_configuration_is_told_with_file_line_and_field(candidate, arguments):
    candidate.config_file.write_text(BAD_CONFIGURATION)
    status, output = run(candidate, *arguments, write=False)
    assert status == EXIT_USAGE
    lines = output.splitlines()
    for line, field, *texts in (
        (2, "agent.nmae", "did you mean", "name"),
        (6, "forward.endpoints[0].target", "99999", "expected"),
        (8, "forward.listeners[0]", "key", "expected"),
        (9, "forward.listeners[0].max_connections", "many", "expected"),
        (11, "connections.timeout", "-1", "expected"),
    ):
        (told,) = [text for text in lines if text.startswith(f"{candidate.config_file}:{line}:")]
        assert field in told
        for text in texts:
            assert text in told
    assert lines[-1] == "5 problems"


@pytest.mark.parametrize("arguments", [(), ("--check",)])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        ("forward: [", "YAML"),
        ("- a list\n", "expected"),
        ("forward: &a {x: *a}\n", "expected"),
        ("agent:\n  name: ${NOT_SET_ANYWHERE}\n", "NOT_SET_ANYWHERE"),
    ],
)
def test_a_file_that_is_no_configuration_is_told(candidate, content, says, arguments):
    candidate.config_file.unlink(missing_ok=True)
    if content is not None:
        candidate.config_file.write_text(content)
    status, output = run(candidate, *arguments, write=False)
    assert status == EXIT_USAGE
    assert output.startswith(str(candidate.config_file))
    assert says.lower() in output.lower()


def spoil_certificate_missing(agent):
    (agent.folder / "agent.cert").unlink()
    return "agent.cert", ""


def spoil_certificate_damaged(agent):
    path = agent.folder / "agent.cert"
    path.write_text(path.read_text().replace("-----END", "!\n-----END"))
    return "agent.cert", "damaged"


def spoil_certificate_expired(agent):
    agent.certify(not_before=-2 * DAY_S, not_after=-DAY_S)
    return "agent.cert", "expired since"


def spoil_certificate_foreign(agent):
    agent.certify(Identity(bytes(32)))
    return "agent.cert", "signed by an authority that this agent does not trust"


def spoil_certificate_of_another(agent):
    other = Agent("other", agent.folder.with_name("other"), agent.ports, agent.authority)
    (agent.folder / "agent.cert").write_bytes((other.folder / "agent.cert").read_bytes())
    return "agent.cert", f"is for agent {other.id}"


def spoil_key_missing(agent):
    (agent.folder / IDENTITY_FILE).unlink()
    return IDENTITY_FILE, "is missing"


def spoil_key_too_open(agent):
    (agent.folder / IDENTITY_FILE).chmod(0o640)
    return IDENTITY_FILE, "mode 0640"


def spoil_key_unreadable(agent):
    """A directory: what its mode forbids, the superuser reads all the same."""
    path = agent.folder / IDENTITY_FILE
    path.unlink()
    path.mkdir(mode=0o700)
    return IDENTITY_FILE, "cannot be read"


def spoil_key_endless(agent):
    """Reading it would wait for ever."""
    path = agent.folder / IDENTITY_FILE
    path.unlink()
    os.mkfifo(path, 0o600)
    return IDENTITY_FILE, "not a regular file"


def spoil_key_garbage(agent):
    (agent.folder / IDENTITY_FILE).write_bytes(b"\x00\xff garbage")
    return IDENTITY_FILE, "not"


SPOILS = [value for name, value in list(globals().items()) if name.startswith("spoil_")]


@pytest.mark.parametrize("arguments", [(), ("--check",)])
@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_a_key_or_certificate_that_is_unfit_is_told_in_one_line(candidate, spoil, arguments):
    file, says = spoil(candidate)
    status, output = run(candidate, *arguments)
    assert status == EXIT_USAGE
    (line,) = [line for line in output.splitlines() if ": warning: " not in line]
    place = "agent.data_dir" if file == IDENTITY_FILE else "trust.certificate"
    assert line.startswith(f"{place}: {candidate.folder / file}: ")
    assert says in line


def test_a_taken_http_port_is_told_in_one_line(candidate):
    with Service() as service:
        candidate.config["http"]["address"] = f"{LOOPBACK}:{service.port}"
        status, output = run(candidate)
    assert status == EXIT_USAGE
    (told,) = [line for line in output.splitlines() if "http.address" in line]
    assert f"{LOOPBACK}:{service.port}" in told
    assert told.endswith("in use; does another agent run on this machine?")


def test_an_agent_without_its_http_port_is_not_seen_in_the_mesh(candidate):
    """It cannot stay, so it must not come."""
    with Service() as service, socket.create_server((LOOPBACK, 0)) as peer:
        candidate.config["http"]["address"] = f"{LOOPBACK}:{service.port}"
        candidate.config["peers"] = [{"address": f"{LOOPBACK}:{peer.getsockname()[1]}"}]
        status, _ = run(candidate)
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.accept()
    assert status == EXIT_USAGE


def test_a_taken_listener_or_accept_port_is_tried_again(candidate):
    """An agent can live without these for a while."""
    port, accept = candidate.listen("c"), candidate.accept_port
    takers = [Service(port=port), Service(port=accept)]
    candidate.start()
    document = wait_until(lambda: (shown := candidate.dashboard())["problems"] and shown, "it is shown")
    assert sorted(document["problems"]) == [
        f"acceptor at {LOOPBACK}:{accept}: {PORT_TAKEN}",
        f"listener c at {LOOPBACK}:{port}: {PORT_TAKEN}",
    ]
    (listener,) = (entry for entry in document["unmatched_listeners"] if entry["key"] == "c")
    assert (listener["agent"], listener["agent_id"]) == (candidate.name, candidate.id)
    assert (listener["key"], listener["listener_address"]) == ("c", f"{LOOPBACK}:{port}")
    assert listener["reason"] == PORT_TAKEN
    assert candidate.get("/ready")[0] == 503
    for taker in takers:
        taker.close()
    wait_until(lambda: candidate.get("/ready")[0] == 200, "the agent is ready")
    wait_until(
        lambda: {entry["reason"] for entry in candidate.dashboard()["unmatched_listeners"]} == {NO_OFFER},
        "the listener is shown as one that has its port",
    )
    with connect(accept):
        pass
    for taken in (port, accept):
        assert len(candidate.wait_for_lines_with(f"cannot use {LOOPBACK}:{taken}")) == 1
