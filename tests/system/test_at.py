"""Commands and the API at another agent: real agents in a row, one of which may manage."""

import http.client
import json
import signal
import subprocess

import pytest

from mesh.agent.control.requests import AGENTS
from mesh.agent.control.socket_file import NAME
from mesh.agent.control.tokens import new_token, token_hash
from scripts.lab.clients import connect, read_all
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.services import Service, announce
from scripts.lab.waiting import wait_until


@pytest.fixture
def three(mesh):
    """Branch, which may manage, relay and hq, which may not."""
    branch, relay, hq = (mesh.agent(name) for name in ("branch", "relay", "hq"))
    branch.certify(may_manage=True)
    branch.dial(relay)
    hq.dial(relay)
    token = new_token()
    branch.config["http"]["tokens"] = [{"name": "ci", "hash": token_hash(token).hex()}]
    mesh.start()
    wait_until(lambda: branch.stats()["agents"] == 3, "all know all")
    return branch, relay, hq, token


def command(agent, *arguments):
    return python("-m", "mesh.agent.entry", *arguments, "--socket", agent.folder / NAME)


def run(agent, *arguments):
    return subprocess.run(
        command(agent, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def ask(agent, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(LOOPBACK, agent.http_port, timeout=60)
    try:
        data = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, data, kind | headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_an_agent_is_steered_from_another_one(three, tmp_path):
    branch, relay, hq, token = three
    wait_until(lambda: run(branch, "--at", "hq", "status").returncode == 0, "hq is known")
    status = run(branch, "--at", hq.id, "status", "--json")
    assert json.loads(status.stdout)["agent"]["name"] == "hq"

    # A service that a command holds at hq, through the mesh; it goes with the command.
    with Service(announce(b"hello")) as service:
        port = branch.listen("api")
        branch.reload()
        held = Process(
            command(branch, "expose", "api", f"{LOOPBACK}:{service.port}", "--at", "hq"),
            tmp_path / "held.log",
            cwd=ROOT,
        )
        branch.wait_for_route("api")
        with connect(port) as client:
            assert read_all(client) == b"hello"
        held.signal(signal.SIGINT)
        assert held.wait() == 0
        branch.wait_for_no_route("api")
    hq.wait_for_lines_with(f"branch {branch.short_id}, for control socket: POST /api/v1/endpoints: 201")
    told = json.loads(run(hq, "events", "--kind", "management", "--json").stdout.splitlines()[-1])
    assert told["facts"]["what"].startswith("DELETE /api/v1/leases/")
    assert told["facts"]["id"] == branch.id

    # All of them; those that do not answer are told.
    everywhere = run(branch, "status", "--at", "all")
    assert everywhere.returncode == 0, everywhere.stderr
    assert [line for line in everywhere.stdout.splitlines() if line.startswith("== ")] == [
        f"== {agent.name} {agent.id}" for agent in (branch, hq, relay)
    ]

    # One that may not manage is refused, and hq says who asked.
    refused = run(relay, "--at", "hq", "status")
    assert refused.returncode == 4
    assert "certificate does not let it manage" in refused.stderr
    hq.wait_for_lines_with(f"relay {relay.short_id} may not manage this agent, and asks to")

    # By http.address with a token, also to read.
    place = f"{AGENTS}/{hq.short_id}/endpoints"
    assert ask(branch, "GET", place)[0] == 401
    assert ask(branch, "GET", place, Host="evil.example", Authorization=f"Bearer {token}")[0] == 403
    assert ask(branch, "GET", place, Authorization=f"Bearer {token}")[0] == 200
    wish = {"action": "list"}
    bearer = {"Authorization": f"Bearer {token}"}
    assert ask(branch, "POST", f"/agents/{hq.short_id}/forward/manage", wish, **bearer)[0] == 200
    assert run(branch, "--at", "nobody", "status").returncode == 1
    plan = run(branch, "plan", branch.folder / "config.yaml", "--at", "hq")
    assert "would be added listener api " in plan.stdout
    assert "would be changed agent.name" in plan.stdout
    wrong = run(branch, "plan", "/etc/passwd", "--at", "hq")
    assert (wrong.returncode, wrong.stderr[:9]) == (2, "config:1:")

    hq.process.kill()
    wait_until(lambda: run(branch, "--at", "hq", "status").returncode == 3, "hq is gone", timeout_s=60)
    everywhere = run(branch, "--at", "all", "status", "--json")
    assert everywhere.returncode == 1
    rows = {row["agent"]: row for row in json.loads(everywhere.stdout)}
    assert "error" in rows["hq"]
    assert rows["relay"]["answer"]["agent"]["name"] == "relay"
