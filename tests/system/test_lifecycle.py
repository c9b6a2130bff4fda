"""An agent's start and end: what it refuses to start with, how it leaves, what it writes meanwhile."""

import os
import re
import signal
import socket
import subprocess
import time
from http import HTTPStatus

import pytest
import yaml

from mesh.agent.files import IDENTITY_FILE
from mesh.routing.pairings import NO_OFFER
from mesh.trust.identity import Identity, encode_public_key, short_id
from scripts.lab.agents import DAY_S, Agent
from scripts.lab.clients import connect, is_reset, read_all, read_exactly, refuses
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import ROOT, python
from scripts.lab.services import Service, echo, echo_until_reset
from scripts.lab.waiting import wait_until
from tests.system.peer_client import PeerClient

PROMPTLY_S = 2.0
"""Shorter than the time after which a silent peer is dead, and than the time that a drain may take."""

EXIT_USAGE = 2

not_under_nohup = pytest.mark.skipif(
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="SIGHUP is ignored here, and so by the agents"
)


def run(agent, *arguments, write=True):
    """Run the agent to its end; exit status and all that it wrote."""
    if write:
        agent.config_file.write_text(yaml.safe_dump(agent.config, sort_keys=False))
    command = python("-m", "mesh.agent", *arguments, agent.config_file)
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


def names(document):
    """Agents that a dashboard shows as peers or as ends of pairings."""
    ends = {entry[end] for entry in document["forward_routes"] for end in ("ingress_agent", "exit_agent")}
    return ends | {peer["display_name"] for peer in document["peers"]}


# -- leaving -------------------------------------------------------------------------------------------------


@pytest.fixture
def pair(mesh):
    """Agents branch and hq with one link, not started yet; hq offers an echo as "a"."""
    branch, hq = mesh.agent("branch"), mesh.agent("hq")
    branch.dial(hq)
    with Service(echo_until_reset) as service:
        hq.offer("a", service.port)
        yield branch, hq, branch.listen("a")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGHUP, marks=not_under_nohup)]
)
def test_a_signal_ends_an_idle_agent_promptly_and_its_peers_drop_it_at_once(mesh, number):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    hq.offer("a", 9)
    branch.listen("a")
    mesh.start()
    branch.wait_for_route("a")
    began = time.monotonic()
    hq.process.signal(number)
    for agent in (relay, branch):
        wait_until(lambda agent=agent: "hq" not in names(agent.dashboard()), f"{agent.name} drops hq")
    assert time.monotonic() - began < PROMPTLY_S
    assert hq.process.wait() == 0
    assert time.monotonic() - began < PROMPTLY_S
    assert hq.process.output.rstrip().endswith("left")
    # It said so itself: nobody had to find out.
    assert "the peer closed it: the agent has left" in relay.process.output
    assert branch.stats()["peer_count"] == 1


def test_what_is_open_finishes_while_nobody_new_is_let_in(pair, mesh):
    branch, hq, port = pair
    mesh.start()
    branch.wait_for_route("a")
    with connect(port) as client:
        client.sendall(b"before")
        assert read_exactly(client, 6) == b"before"
        hq.process.signal(signal.SIGTERM)
        branch.wait_for_no_route("a")
        wait_until(lambda: refuses(port), "the listener refuses")
        client.sendall(b"after")
        assert read_exactly(client, 5) == b"after"
        assert hq.process.is_running
        began = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    assert hq.process.wait() == 0
    assert time.monotonic() - began < PROMPTLY_S


def test_an_ingress_that_leaves_lets_its_clients_finish(pair, mesh):
    branch, _, port = pair
    mesh.start()
    with connect(port) as client:
        client.sendall(b"before")
        assert read_exactly(client, 6) == b"before"
        branch.process.signal(signal.SIGTERM)
        wait_until(lambda: refuses(port), "the listener refuses")
        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"after"
    assert branch.process.wait() == 0


@pytest.mark.parametrize("leaving", ["branch", "hq"])
def test_what_does_not_finish_in_time_is_reset(pair, mesh, leaving):
    branch, hq, port = pair
    for agent in (branch, hq):
        agent.config["agent"]["drain_timeout"] = 0.2
    mesh.start()
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        agent = {"branch": branch, "hq": hq}[leaving]
        began = time.monotonic()
        agent.process.signal(signal.SIGTERM)
        assert is_reset(client, 5)
        assert agent.process.wait() == 0
        assert time.monotonic() - began < PROMPTLY_S
    assert "connections are left after the drain timeout" in agent.process.output
    (staying,) = {branch, hq} - {agent}
    staying.wait_until_quiet()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(pair, mesh, number):
    branch, hq, port = pair
    branch.config["connections"] = {"reroute_timeout": 0.5}
    mesh.start()
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        hq.process.signal(signal.SIGTERM)
        wait_until(lambda: "shutting down" in hq.process.output, "the first signal is heard")
        began = time.monotonic()
        hq.process.signal(number)
        assert hq.process.wait() == 128 + number
        assert time.monotonic() - began < 1
        assert f"{number.name} again" in hq.process.output
        assert is_reset(client, 20)
    branch.wait_until_quiet()


@not_under_nohup
def test_a_terminal_that_closes_says_so_twice_and_the_agent_leaves_in_order(pair, mesh):
    branch, _, port = pair
    mesh.start()
    branch.wait_for_route("a")
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        branch.process.signal(signal.SIGHUP)
        wait_until(lambda: "shutting down" in branch.process.output, "the first is heard")
        branch.process.signal(signal.SIGHUP)
        wait_until(lambda: refuses(port), "nobody new is let in")
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
    assert branch.process.wait() == 0


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


def test_an_agent_that_cannot_reach_anybody_leaves_promptly(mesh):
    """A dial is under way to a port where nobody answers."""
    alone = mesh.agent("alone").accept()
    with socket.socket() as silent:
        silent.bind((LOOPBACK, 0))
        silent.listen(1)
        alone.config["peers"] = [
            {"address": f"{LOOPBACK}:{silent.getsockname()[1]}"},
            {"address": f"{LOOPBACK}:{mesh.ports.reserve()}"},
        ]
        alone.start()
        began = time.monotonic()
        assert alone.stop() == 0
        assert time.monotonic() - began < PROMPTLY_S


def test_an_agent_ends_promptly_while_its_dashboard_is_being_read(mesh):
    alone = mesh.agent("alone").start()
    with socket.create_connection((LOOPBACK, alone.http_port)) as half_asked:
        half_asked.sendall(b"GET /api/dashboard HTTP/1.1\r\n")
        began = time.monotonic()
        assert alone.stop() == 0
        assert time.monotonic() - began < 2 * PROMPTLY_S


# -- what an agent does not start with -----------------------------------------------------------------------


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
        f"acceptor at {LOOPBACK}:{accept}: port taken",
        f"listener c at {LOOPBACK}:{port}: port taken",
    ]
    (listener,) = (entry for entry in document["unmatched_listeners"] if entry["key"] == "c")
    assert (listener["agent"], listener["agent_id"]) == (candidate.name, candidate.id)
    assert (listener["key"], listener["listener_address"]) == ("c", f"{LOOPBACK}:{port}")
    assert listener["reason"] == "port taken"
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
    log = candidate.process.output
    for taken in (port, accept):
        assert len(re.findall(rf"cannot use {LOOPBACK}:{taken}", log)) == 1


# -- who is not let in ---------------------------------------------------------------------------------------


REFUSALS = {
    "foreign": (
        {"authority": Identity(b"\x07" * 32)},
        "signed by an authority that this agent does not trust",
    ),
    "expired": ({"not_before": -2 * DAY_S, "not_after": -DAY_S}, "has been expired since"),
    "early": ({"not_before": DAY_S, "not_after": 2 * DAY_S}, "is not valid until"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_certificate_that_does_not_admit_is_refused_and_told_and_other_links_go_on(chain, case):
    changes, says = REFUSALS[case]
    refused = chain.relay.stats()["links_refused_total"]
    name = f"stranger-{case}"
    with Service(echo, port=chain.target_port), connect(chain.port) as client:
        with PeerClient(chain.relay, name=name, **changes) as stranger:
            stranger.shake()
            assert stranger.ends()
        client.sendall(b"goes on")
        assert read_exactly(client, 7) == b"goes on"
    wait_until(lambda: chain.relay.stats()["links_refused_total"] == refused + 1, "it is counted")
    (told,) = wait_until(lambda: chain.relay.lines_with(f"{name!r}"), "it is told")
    assert says in told
    assert short_id(stranger.identity.id) in told
    assert stranger.address in told
    assert "warning" in told


def test_an_agent_of_another_mesh_gets_no_link_and_hears_so(mesh):
    relay = mesh.agent("relay").accept()
    stranger = mesh.agent("stranger").dial(relay)
    authority = Identity(b"\x05" * 32)
    stranger.config["trust"]["authorities"].append(encode_public_key(authority.public_key))
    stranger.certify(authority)
    mesh.start()
    wait_until(lambda: stranger.lines_with("link refused"), "the stranger tells")
    wait_until(lambda: relay.lines_with("link refused"), "the relay tells")
    assert relay.dashboard()["peers"] == []
    assert stranger.stats()["peer_count"] == 0


def test_a_link_ends_with_the_certificate_it_rests_on_and_is_refused_from_then_on(mesh):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    with Service(echo) as service:
        hq.offer("a", service.port)
        port = relay.listen("a")
        for agent in (relay, hq):
            agent.start()
        relay.wait_for_peers(hq)
        branch.certify(not_after=4)  # a start takes less than a second where the machine is idle
        branch.start()
        relay.wait_for_peers(branch, hq)
        with connect(port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
            relay.wait_for_peers(hq)
            wait_until(lambda: relay.lines_with("has been expired since"), "the next attempt is refused")
            (problem,) = branch.dashboard()["problems"]
            assert "the certificate of this agent expired on" in problem
            client.sendall(b"y")
            assert read_exactly(client, 1) == b"y"
    (told,) = relay.lines_with("the certificate of branch has expired")
    assert "warning" in told
