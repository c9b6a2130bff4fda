"""Diagnoses through branch - relay - hq, with real agents and the commands that people type."""

import json
import signal

import pytest

from mesh.agent.control.socket_file import NAME
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.services import Service, echo
from scripts.lab.waiting import wait_until


@pytest.fixture
def chain(mesh):
    """Agents branch, relay and hq, and a service behind hq."""
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    with Service(echo) as service:
        hq.offer("service", service.port)
        branch.listen("service")
        mesh.start()
        branch.wait_for_route("service")
        yield branch, relay, hq


def found_by(agent, *arguments, status=0):
    asked = agent.ask(*arguments, "--json")
    assert asked.returncode == status, asked
    return json.loads(asked.stdout)


def test_an_operator_finds_out_who_can_be_reached_by_which_way_and_how_fast(chain):
    branch, relay, hq = chain
    pinged = branch.ask("ping", "service", "-c", "3", "-i", "0.05")
    assert pinged.returncode == 0, pinged
    assert "service at hq" in pinged.stdout
    assert "3 sent, 3 answered, 0 lost (0 %)" in pinged.stdout
    (found,) = found_by(branch, "ping", hq.id[:8], "-c", "1")["found"]
    assert (found["agent_id"], found["answered"], found["hop_count"]) == (hq.id, 1, 2)
    traced = found_by(branch, "trace", "service")["found"]
    assert [(each["agent"], each["hop_count"]) for each in traced] == [("relay", 1), ("hq", 2)]
    tested = found_by(branch, "test")
    assert tested["verdict"] == "reachable"
    assert [(each["key"], each["agent"]) for each in tested["found"]] == [
        ("", "hq"),
        ("", "relay"),
        ("service", "hq"),
    ]
    ping, down, up = found_by(branch, "bench", "service", "-t", "0.5")["found"]
    assert ping["answered"] == 20
    assert down["byte_count"] > 1_000_000
    assert up["byte_count"] > 1_000_000
    misspelt = branch.ask("ping", "servce")
    assert misspelt.returncode == 1
    assert "is 'service' meant?" in misspelt.stderr
    for agent in (branch, relay, hq):
        agent.wait_until_quiet()


def test_what_cannot_be_reached_is_told_with_the_place_where_the_way_ends(chain):
    branch, _, hq = chain
    hq.kill()
    wait_until(lambda: not branch.routes("service"), "the exit is out of reach")
    traced = branch.ask("trace", "hq")
    assert traced.returncode == 1
    assert "relay" in traced.stdout
    assert "has no link to it any more" in traced.stdout
    assert "it stops at hop 2: hq" in traced.stdout
    tested = branch.ask("test")
    assert tested.returncode == 1
    assert "2 of 3 cannot be reached" in tested.stdout


def test_a_ping_ends_in_order_by_ctrl_c_and_by_itself_if_it_is_killed(chain, tmp_path):
    branch, _, hq = chain

    def ping(number):
        command = python("-m", "mesh.agent.entry", "ping", "hq", "-c", "0", "-i", "0.1", "--socket")
        return Process([*command, branch.folder / NAME], tmp_path / f"{number}.log", cwd=ROOT)

    pinging = ping(1)
    wait_until(lambda: "answer 3" in pinging.output, "it gets answers")
    pinging.signal(signal.SIGINT)
    assert pinging.wait() == 0
    assert " 0 lost (0 %)" in pinging.output
    pinging = ping(2)
    wait_until(lambda: "answer 3" in pinging.output, "it gets answers")
    pinging.kill()
    branch.wait_until_quiet(timeout_s=30.0)
    hq.wait_until_quiet()
