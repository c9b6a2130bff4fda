"""``--at``: commands that ask another agent, or all of them, by the one whose control socket there is."""

import contextlib
import json
import signal
from dataclasses import replace
from http import HTTPStatus

import msgspec
import pytest
from click.testing import CliRunner

from mesh.agent.cli import main, service_commands
from mesh.agent.cli.asking import Agent
from mesh.agent.control.api import ControlApp, MeshApp
from mesh.agent.control.client import NotRunning, Refused
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.in_process import answer_of
from mesh.agent.control.problem import ProblemDocument, ProblemError
from mesh.agent.control.requests import ENDPOINTS, LEASES
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.agent.outcome import Added, Outcome, Verdict
from mesh.remote.wire import Answered
from mesh.trust.identity import display_id
from tests.mesh.agent.cli.asked import Asked
from tests.mesh.agent.control.test_reading import BRANCH, HQ, RELAY

NAMES = {display_id(each.agent_id): each.name for each in (BRANCH, RELAY, HQ)}


class Elsewhere:
    """Other agents: all are as the one that is asked, but some do not answer, or not with that."""

    def __init__(self, behind):
        self.app = MeshApp(behind, None)
        self.asked = []
        self.answers = {}

    def call(self, to, asked):
        self.asked.append((to, f"{asked.method} {asked.place.partition('?')[0]}"))
        answer = self.answers.get(NAMES.get(to, to))
        if isinstance(answer, Exception):
            raise answer
        return answer_of(self.app, asked, "branch") if answer is None else answer


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    (tmp_path / "config.yaml").write_text("agent: {data_dir: .}\n")
    behind = Asked().behind()
    found = Elsewhere(behind)
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(replace(behind, calling=found), None))
        yield found


def run(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("order", [("--at", "hq", "status"), ("status", "--at", "hq")])
def test_it_stands_before_the_command_or_behind_it(elsewhere, order):
    result = run(*order)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == run("status").stdout
    assert {to for to, _ in elsewhere.asked} == {"hq"}


def test_every_command_that_asks_an_agent_has_it(elsewhere):
    asking = 0
    for name in main.list_commands(None):
        options = [option for each in main.get_command(None, name).params for option in each.opts]
        if "--at" in options:
            asking += 1
            assert "--socket" in options
    assert asking > 15


def test_a_command_that_asks_no_agent_has_none(elsewhere):
    result = run("--at", "hq", "token", "new", "x")
    assert result.exit_code == 2
    assert "mesh token has no --at" in result.stderr


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [
        (HTTPStatus.BAD_GATEWAY, 3),
        (HTTPStatus.FORBIDDEN, 4),
        (HTTPStatus.NOT_FOUND, 1),
        (HTTPStatus.CONFLICT, 1),
        (HTTPStatus.SERVICE_UNAVAILABLE, 1),
    ],
)
def test_it_ends_by_what_came_of_it(elsewhere, status, exit_code):
    elsewhere.answers["hq"] = ProblemError(status, "hq: what is the matter")
    result = run("peers", "--at", "hq")
    assert result.exit_code == exit_code
    assert "hq: what is the matter" in result.stderr


def test_a_name_that_would_lead_elsewhere_is_one_that_nobody_has(elsewhere):
    for name in ("../..", "a/b"):
        assert run("peers", "--at", name).exit_code == 2
    assert not elsewhere.asked
    for name in ("..", "\u00e4 b", "a?b#c", "%2e%2e"):
        run("peers", "--at", name)
    assert {to for to, _ in elsewhere.asked} <= {"\u00e4 b", "a?b#c", "%2e%2e", ".."}


def test_all_are_asked_and_those_that_do_not_answer_are_told(elsewhere):
    result = run("--at", "all", "peers")
    assert result.exit_code == 0, result.stderr
    sections = [line for line in result.stdout.splitlines() if line.startswith("== ")]
    assert sections == sorted(f"== {name} {agent_id}" for agent_id, name in NAMES.items())
    elsewhere.answers["hq"] = ProblemError(HTTPStatus.BAD_GATEWAY, "hq: no path leads to it at present")
    result = run("peers", "--at", "all")
    assert result.exit_code == 1
    assert "hq: no path leads to it at present" in result.stdout
    rows = {row["agent"]: row for row in json.loads(run("peers", "--at", "all", "--json").stdout)}
    assert rows["hq"]["error"] == "hq: no path leads to it at present"
    assert rows["relay"]["answer"] == json.loads(run("peers", "--json").stdout)


def test_what_holds_a_service_asks_one_agent_at_a_time(elsewhere):
    result = run("expose", "k", "localhost:1", "--at", "all")
    assert result.exit_code == 2
    assert "one agent at a time" in result.stderr
    assert not elsewhere.asked


class Client:
    """Answers renewals as it is told to, and says that it is time to end when that is over."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.handlers = {}

    def put(self, place, body):
        self._answer(f"PUT {place}")

    def post(self, place, kind, body):
        self._answer(f"POST {place}")
        return Added("endpoint k", "", "second")

    def delete(self, place):
        self.asked.append(f"DELETE {place}")
        raise Refused(404, "there is no such lease, or it has ended")

    def _answer(self, what):
        self.asked.append(what)
        answer = self.answers.pop(0)
        if not self.answers:
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        if answer is not None:
            raise answer


@pytest.fixture
def hold(monkeypatch):
    def held(*answers):
        client = Client(*answers)
        monkeypatch.setattr(service_commands, "RENEW_S", 0.0)
        monkeypatch.setattr(signal, "signal", client.handlers.__setitem__)
        added = Added("endpoint k", "", "first")
        service_commands._hold(Agent(client, as_json=False), ENDPOINTS, {"key": "k"}, added)
        return client.asked

    return held


GONE, BUSY, UNKNOWN = NotRunning("no path"), Refused(503, "busy"), Refused(404, "no such lease")


def test_a_service_that_is_held_outlives_an_outage(hold, capsys):
    assert hold(None, GONE, GONE, BUSY, None) == [f"PUT {LEASES}/first"] * 5 + [f"DELETE {LEASES}/first"]
    assert capsys.readouterr().err.splitlines() == ["no path; waiting for it", "endpoint k: is there again"]


def test_it_is_asked_for_anew_where_it_was_forgotten_also_if_that_takes_a_while(hold):
    assert hold(GONE, UNKNOWN, GONE, UNKNOWN, UNKNOWN, UNKNOWN, None, None) == [
        f"PUT {LEASES}/first",
        *[f"PUT {LEASES}/first", f"POST {ENDPOINTS}"] * 3,
        f"PUT {LEASES}/second",
        f"DELETE {LEASES}/second",
    ]


def test_it_ends_where_it_cannot_be_any_more(hold):
    with pytest.raises(Refused, match="taken"):
        hold(UNKNOWN, Refused(409, "taken"), None)


def test_it_ends_when_another_command_has_taken_it_out(hold, capsys):
    with pytest.raises(Refused, match="taken it out"):
        hold(None, Refused(409, "another command has taken it out"), None, None)
    assert capsys.readouterr().err == "endpoint k: is not held any more\n"


@pytest.mark.parametrize("command", [("drain",), ("doctor",), ("--at", "", "drain"), ("reload",)])
def test_an_empty_name_as_of_an_unset_variable_means_nobody(elsewhere, command):
    at = () if "--at" in command else ("--at", "")
    result = run(*command, *at)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--at is empty: name an agent" in result.stderr
    assert not elsewhere.asked


@pytest.mark.parametrize(("name", "why"), [("all", "one agent at a time"), ("a/b", "by its ID")])
def test_the_doctor_takes_the_names_that_others_take(elsewhere, name, why):
    result = run("doctor", "--at", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr


def test_what_connects_has_no_at_and_says_so(elsewhere):
    result = run("--at", "hq", "connect", "db")
    assert result.exit_code == 2
    assert "mesh connect has no --at" in result.stderr


def test_an_agent_that_is_empty_is_not_the_nearest_one(elsewhere):
    result = run("connect", "db", "--agent", "")
    assert result.exit_code == 2
    assert "--agent is empty" in result.stderr


HOSTILE = ProblemDocument("", 422, "no\x1b]0;x\x07", problems=("a.yaml:1: wrong\x1b[2J", "1 problem"))


@pytest.mark.parametrize("at", ["hq", "all"])
def test_why_an_agent_refuses_is_told_whole_and_escaped(elsewhere, at):
    elsewhere.answers["hq"] = Answered(422, PROBLEM_TYPE, body=msgspec.json.encode(HOSTILE))
    result = run("reload", "--at", at)
    told = result.stdout if at == "all" else result.stderr
    assert "a.yaml:1: wrong\\x1b[2J\n1 problem\nno\\x1b]0;x\\x07" in told
    assert "\x1b" not in result.output


def test_what_a_reload_did_elsewhere_is_escaped(elsewhere):
    done = Outcome(Verdict.PARTLY, added=("endpoint \x1b[2J",), problems=("x: \x1b[2J",))
    elsewhere.answers["hq"] = Answered(200, "application/json", body=msgspec.json.encode(done))
    for at in ("hq", "all"):
        result = run("reload", "--at", at)
        assert result.exit_code == 1
        assert "added endpoint \\x1b[2J\nx: \\x1b[2J" in result.stdout


def test_what_was_added_elsewhere_is_escaped(elsewhere):
    added = Added("endpoint \x1b[2J", "127.0.0.1:\x1b[2J", None)
    elsewhere.answers["hq"] = Answered(201, "application/json", body=msgspec.json.encode(added))
    for command in (("expose", "k", "localhost:1"), ("listen", "k"), ("listen", "k", "127.0.0.1:1")):
        result = run(*command, "--save", "--at", "hq")
        assert result.exit_code == 0
        assert "\\x1b[2J" in result.stdout
        assert "\x1b" not in result.output


def test_all_ends_by_policy_where_nothing_but_policy_is_in_the_way(elsewhere):
    elsewhere.answers["hq"] = ProblemError(HTTPStatus.FORBIDDEN, "hq: refused")
    assert run("peers", "--at", "all").exit_code == 4
    elsewhere.answers["relay"] = ProblemError(HTTPStatus.BAD_GATEWAY, "relay: no path")
    assert run("peers", "--at", "all").exit_code == 1
