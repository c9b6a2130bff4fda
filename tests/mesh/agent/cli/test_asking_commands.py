"""Commands that ask a running agent: what they print, and how they end."""

import contextlib
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.cli.status_command import MAX_ROWS
from mesh.agent.cli.tables import table
from mesh.agent.control.api import ControlApp
from mesh.agent.control.behind import Behind
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.socket_file import NAME
from mesh.agent.outcome import Outcome, Verdict

ME, OTHER = "a" * 32, "b" * 32
ROUTE = {
    "key": "api",
    "ingress_agent": "branch",
    "ingress_agent_id": ME[:8],
    "listener_address": "127.0.0.1:6000",
    "exit_agent": "hq",
    "exit_agent_id": OTHER[:8],
    "target": "127.0.0.1:80",
    "hop_count": 2,
    "path_display": ["branch", "relay", "hq"],
    "path_ids": [],
}
ASIDE = "hq2 set aside for 60 s, tried again in 10 s: refused"
START = "2026-11-29T12:00:00Z"
DOCUMENT = {
    "agent": {
        "id": ME,
        "short_id": ME[:8],
        "display_name": "branch",
        "version": "1",
        "phase": "running",
        "since": START,
        "certificate_ends": "2026-12-09T12:00:00Z",
        "certificate_days_left": 9.9,
        "awaits_at": [],
    },
    "ready": False,
    "as_of": "2026-11-29T12:30:00Z",
    "findings": [
        {"severity": "problem", "what": "listener db at :5432: port taken", "remedy": "", "since": START},
        {"severity": "warning", "what": "the certificate expires", "remedy": "renew it", "since": None},
    ],
    "listeners": [
        {"key": "api", "address": "127.0.0.1:6000", "state": "open", "since": START, "reason": ""}
        | {
            "set_aside": [
                {
                    "agent": "hq2",
                    "reason": "refused",
                    "since": "2026-11-29T12:29:00Z",
                    "until": "2026-11-29T12:30:10Z",
                }
            ]
        },
        {"key": "db", "address": ":5432", "state": "closed", "since": START, "reason": "port taken"}
        | {"set_aside": []},
        {"key": "old", "address": ":5433", "state": "open", "since": None, "reason": "", "set_aside": []},
    ],
    "endpoints": [
        {"key": "own", "address": "127.0.0.1:80", "state": "offered", "since": START, "reason": ""}
        | {"set_aside": []},
        {"key": "ssh", "address": ":22", "state": "withdrawn", "since": START, "reason": "down"}
        | {"set_aside": []},
    ],
    "age_s": 0.0,
    "peers": [
        {"id": OTHER, "short_id": OTHER[:8], "display_name": "relay", "state": "connected", "rtt_ms": 1.25}
        | {"is_dialer": True, "address": "relay:4433", "problem": None, "since": START},
        {"id": None, "short_id": None, "display_name": "", "state": "dialing", "rtt_ms": None}
        | {"is_dialer": True, "address": "gone:4433", "problem": "Connection refused", "since": None},
    ],
    "forward_routes": [
        ROUTE,
        {**ROUTE, "ingress_agent_id": OTHER[:8], "exit_agent_id": ME[:8], "key": "own"},
    ],
    "unmatched_listeners": [
        {"key": "db", "agent": "branch", "agent_id": ME, "listener_address": ":5432", "reason": "port taken"}
    ],
    "unmatched_endpoints": [
        {"key": "ssh", "agent": "branch", "agent_id": ME, "target": ":22", "reason": "nobody listens for it"},
        {"key": "far", "agent": "hq", "agent_id": OTHER, "target": ":23", "reason": "nobody listens for it"},
    ],
    "rows": {"next_offset": None, "totals": {"peers": 2}},
}


class Steered:
    outcome = Outcome(Verdict.DONE, added=("endpoint a",), removed=("peer x:1",), at_start=("agent.name",))

    def expecting(self, revision):
        assert revision is None
        return self

    def reload(self):
        return self.outcome

    def plan(self, path):
        return self.outcome


class Reading:
    """The dashboard: its first page has the first peer, the second the other."""

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        is_first = not environ.get("QUERY_STRING")
        rest = {name: [] for name, value in DOCUMENT.items() if isinstance(value, list)}
        peers = DOCUMENT["peers"]
        paged = DOCUMENT | ({"peers": peers[:1]} if is_first else rest | {"peers": peers[1:]})
        paged["rows"] = {"next_offset": 1 if is_first else None, "totals": {"peers": 2}}
        return [json.dumps(paged).encode()]


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """An agent whose configuration is in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    (tmp_path / "config.yaml").write_text("agent: {data_dir: .}\n")
    steered = Steered()
    with contextlib.closing(ControlDoor(tmp_path)) as door:
        door.serve(ControlApp(Behind(steered, None, None), Reading()))
        yield steered


def run(*arguments, env=None):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=env)


def test_status_is_one_screen_of_what_is_wrong_and_what_is_there(agent):
    result = run("status")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "branch aaaaaaaa: not ready",
        "  version 1, running, started 2026-11-29 12:00 UTC, 30 min ago",
        "  certificate valid until 2026-12-09 12:00 UTC, 10 days left",
        "",
        "what is wrong",
        "  problem: listener db at :5432: port taken, for 30 min",
        "  warning: the certificate expires",
        "    do: renew it",
        "",
        "peers",
        "  peer   id        state      for     round trip  address     problem",
        "  ?                dialing                        gone:4433   Connection refused",
        "  relay  bbbbbbbb  connected  30 min  1.2 ms      relay:4433",
        "",
        "listeners",
        "  key  address         state   for     leads to",
        f"  api  127.0.0.1:6000  open    30 min  hq, 2 hops; {ASIDE}",
        "  db   :5432           closed  30 min  port taken",
        "  old  :5433           open",
        "",
        "endpoints",
        "  key  target        state      for     used by",
        "  ssh  :22           withdrawn  30 min  down",
        "  own  127.0.0.1:80  offered    30 min  1 listener",
    ]


@pytest.mark.parametrize(
    ("problems", "verdict"), [(["draining: …"], "draining"), (["draining: …", "another"], "not ready")]
)
def test_an_agent_that_drains_and_has_no_other_trouble_says_so(agent, monkeypatch, problems, verdict):
    found = [{"severity": "problem", "what": what, "remedy": "", "since": None} for what in problems]
    for name, value in {"findings": found, "draining": True}.items():
        monkeypatch.setitem(DOCUMENT, name, value)
    assert run("status").stdout.splitlines()[0].endswith(f": {verdict}")


def test_of_many_listeners_status_shows_those_with_something_wrong(agent, monkeypatch):
    quiet, wrong = DOCUMENT["listeners"][2], DOCUMENT["listeners"][1]
    monkeypatch.setitem(DOCUMENT, "listeners", [*[quiet] * 1_000, wrong])
    lines = run("status").stdout.splitlines()
    at = lines.index("listeners")
    assert lines[at + 2].split()[:3] == ["db", ":5432", "closed"]
    assert lines[at + 2 + MAX_ROWS] == f"  and {1_001 - MAX_ROWS} more (--json has all)"
    assert len(json.loads(run("status", "--json").stdout)["listeners"]) == 1_001


def test_services_are_all_of_the_mesh(agent):
    result = run("services")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == ["key", "api", "db", "far", "own", "ssh"]
    assert "branch - relay - hq" in result.stdout
    assert "2 hops" in result.stdout


def test_all_pages_are_asked_for_and_programs_get_json(agent):
    assert json.loads(run("peers", "--json").stdout) == DOCUMENT["peers"]
    assert json.loads(run("status", "--json").stdout)["peers"] == DOCUMENT["peers"]


def test_a_reload_and_a_plan_say_what_is_and_what_would_be(agent):
    done = run("reload")
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            "added endpoint a",
            "removed peer x:1",
            "in effect when the agent is started anew, and not before: agent.name",
        ],
    )
    assert run("plan").stdout.splitlines()[0] == "would be added endpoint a"
    assert json.loads(run("reload", "--json").stdout)["added"] == ["endpoint a"]


def test_what_is_refused_is_2_with_every_reason(agent):
    agent.outcome = Outcome.refused(["config.yaml:1: x: found an unknown key", "1 problem"])
    result = run("reload")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "config.yaml:1: x: found an unknown key",
        "1 problem",
        "refused: the agent goes on as it was",
    ]


def test_the_agent_is_found_by_its_file_its_socket_or_the_environment(agent, tmp_path):
    socket = tmp_path / NAME
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text("agent: {data_dir: /nowhere}\n")
    assert run("status", "--config", tmp_path / "config.yaml").exit_code == 0
    assert run("status", "--socket", socket).exit_code == 0
    (tmp_path / "config.yaml").unlink()
    assert run("status", env={"MESH_SOCKET": str(socket)}).exit_code == 0
    assert run("status", "-c", elsewhere, env={"MESH_SOCKET": str(socket)}).exit_code == 3
    nothing = run("status")
    assert nothing.exit_code == 2
    assert "which agent?" in nothing.stderr


def test_an_agent_that_does_not_run_is_3(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    (tmp_path / "config.yaml").write_text("agent: {data_dir: .}\n")
    result = run("status")
    assert result.exit_code == 3
    assert result.stderr.startswith(f"no agent answers at {tmp_path / NAME}")
    (tmp_path / "config.yaml").write_text("{}\n")
    without = run("reload")
    assert (without.exit_code, "agent.data_dir is absent" in without.stderr) == (2, True)


def test_a_reload_that_is_done_in_part_only_fails(agent):
    agent.outcome = Outcome(Verdict.PARTLY, added=("endpoint a",), problems=("it goes on",))
    result = run("reload")
    assert (result.exit_code, result.stdout) == (1, "added endpoint a\nit goes on\n")


def test_an_answer_of_another_version_is_one_line(agent, monkeypatch):
    monkeypatch.delitem(DOCUMENT, "findings")
    result = run("status")
    assert result.exit_code == 1
    assert "does it run another version?" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_others_have_chosen_cannot_steer_the_terminal(agent, monkeypatch):
    finding = {"severity": "problem", "what": "\x1b[2J", "remedy": "\x1b[2J", "since": None}
    monkeypatch.setitem(DOCUMENT, "findings", [finding])
    monkeypatch.setitem(
        DOCUMENT, "forward_routes", [{**ROUTE, "key": "[red]\x1b[31m", "target": "\x9b\u202e"}]
    )
    told = run("status").stdout + run("services").stdout
    assert all(line.isprintable() for line in told.splitlines())
    assert "[red]\\x1b[31m" in told


@pytest.mark.parametrize("columns", [1, 20, 79])
def test_on_a_narrow_terminal_lines_run_over_and_lose_nothing(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    told = "\n".join(table(("key", "target"), [("postgres-main", "127.0.0.1:5432")], none=""))
    assert "postgres-main  127.0.0.1:5432" in told


def test_commands_that_print_no_table_do_not_load_what_draws_them():
    code = "import sys, mesh.agent.cli; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_command_that_asks_an_agent_loads_nothing_that_runs_one():
    code = (
        "import sys, click; from mesh.agent.cli import main; "
        "main.get_command(click.Context(main), 'status'); "
        "sys.exit(any(name in sys.modules for name in ('actors', 'falcon', 'asyncio', 'pykka')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
