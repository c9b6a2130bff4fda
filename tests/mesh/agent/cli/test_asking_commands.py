"""Commands that ask a running agent: what they print, and how they end."""

import contextlib
import json
import subprocess
import sys

import msgspec
import pytest
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.cli.status_command import MAX_ROWS
from mesh.agent.cli.tables import table
from mesh.agent.control.api import ControlApp
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.socket_file import NAME
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.findings import Finding, FindingKind
from mesh.agent.layers import Layers
from mesh.agent.outcome import Outcome, Verdict
from mesh.agent.software import VERSION
from mesh.config.schema import ForwardSection
from mesh.trust.identity import short_id
from tests.mesh.agent.cli.asked import FILE, Asked, listener, listening
from tests.mesh.agent.control.test_reading import BRANCH, HQ, RELAY
from tests.mesh.agent.dashboard.conftest import Endpoint


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """An agent whose configuration is in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    (tmp_path / "config.yaml").write_text("agent: {data_dir: .}\n")
    asked = Asked()
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(asked.behind(), None))
        yield asked


def run(*arguments, env=None):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=env)


ASIDE = "hq2 set aside for 60 s, tried again in 10 s: refused"


def change(agent, **fields):
    agent.snapshot = msgspec.structs.replace(agent.snapshot, **fields)


def test_status_is_one_screen_of_what_is_wrong_and_what_is_there(agent):
    result = run("status")
    assert result.exit_code == 0
    me, relay = short_id(BRANCH.agent_id), short_id(RELAY.agent_id)
    assert result.stdout.splitlines() == [
        f"branch {me}: not ready",
        f"  version {VERSION}, running, started 2026-11-30 12:00 UTC, 30 min ago",
        "  certificate valid until 2026-12-10 12:00 UTC, 10 days left",
        "",
        "what is wrong",
        "  problem: listener taken at :5432: port taken, for 30 min",
        "  warning: the certificate expires",
        "    do: renew it",
        "",
        "peers",
        "  peer   id        state      for     round trip  address     problem",
        "  ?                dialing                        gone:4433   Connection refused",
        f"  relay  {relay}  connected  30 min  1.2 ms      relay:4433",
        "",
        "listeners",
        "  key    address         state   for     leads to",
        f"  api    127.0.0.1:8001  open    30 min  hq, 2 hops; {ASIDE}",
        "  taken  127.0.0.1:5432  closed  30 min  port taken",
        "  old    127.0.0.1:5433  open",
        "",
        "endpoints",
        "  key  target        state      for     used by",
        "  ssh  127.0.0.1:22  withdrawn  30 min  down",
        "  own  127.0.0.1:80  offered    30 min  1 listener",
    ]


@pytest.mark.parametrize(
    ("problems", "verdict"), [(["draining: …"], "draining"), (["draining: …", "another"], "not ready")]
)
def test_an_agent_that_drains_and_has_no_other_trouble_says_so(agent, problems, verdict):
    change(agent, problems=tuple(Finding(FindingKind.LISTENER, each) for each in problems), draining=True)
    assert run("status").stdout.splitlines()[0].endswith(f": {verdict}")


def test_of_many_listeners_status_shows_those_with_something_wrong(agent):
    ports = range(10_000, 11_001)
    file = msgspec.structs.replace(
        FILE, forward=ForwardSection(listeners=tuple(listener("k", port) for port in ports))
    )
    agent.layers = Layers(file, ())
    statuses = [listening("k", port) for port in ports]
    statuses[-1] = listening("k", ports[-1], ServiceState.CLOSED, reason="port taken")
    change(agent, listeners=tuple(statuses))
    lines = run("status").stdout.splitlines()
    at = lines.index("listeners")
    assert lines[at + 2].split()[:3] == ["k", "127.0.0.1:11000", "closed"]
    assert lines[at + 2 + MAX_ROWS] == f"  and {len(ports) - MAX_ROWS} more (--json has all)"
    listed = json.loads(run("status", "--json").stdout)["listeners"]
    assert [each["address"] for each in listed] == [f"127.0.0.1:{port}" for port in ports]


def test_services_are_all_of_the_mesh_with_the_way_that_clients_take(agent):
    result = run("services")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "key                     agent   at              hops",
        "api    offered by       hq      localhost:3000  2",
        "api    listened for by  branch  127.0.0.1:8001        leads to hq, 2 hops: branch - relay - hq",
        "db     offered by       hq                      2     no agent listens for this key",
        "old    listened for by  branch  127.0.0.1:5433        no agent offers this key",
        "own    offered by       branch  127.0.0.1:80    0",
        "own    listened for by  relay   127.0.0.1:6000        leads to branch, 1 hop: relay - branch",
        "taken  listened for by  branch  127.0.0.1:5432        port taken",
    ]
    assert [each["key"] for each in json.loads(run("services", "--json").stdout)] == [
        "api",
        "db",
        "old",
        "own",
        "taken",
    ]


def test_agents_are_all_of_the_mesh_the_nearest_first(agent, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2_000_000_000 - 8 * 86_400)
    result = run("agents")
    assert result.exit_code == 0
    rows = [line.split("  ") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["agent", "branch", "relay", "hq"]
    told = [[cell.strip() for cell in row if cell] for row in rows]
    assert told[1][-2:] == ["8 days left", "the agent asked"]
    assert told[2][-1] == "draining"
    assert told[3] == ["hq", short_id(HQ.agent_id), "2", "1", "api, db", "0", "1.1", "8 days left"]
    assert {each["name"] for each in json.loads(run("agents", "--json").stdout)} == {"branch", "relay", "hq"}


def test_all_pages_are_asked_for_and_programs_get_json(agent):
    peer = agent.snapshot.peers[1]
    change(
        agent, peers=tuple(msgspec.structs.replace(peer, address=f"gone:{port}") for port in range(1, 2_502))
    )
    addresses = [f"gone:{port}" for port in range(1, 2_502)]
    assert [each["address"] for each in json.loads(run("peers", "--json").stdout)] == addresses
    assert [each["address"] for each in json.loads(run("status", "--json").stdout)["peers"]] == addresses
    assert len(run("peers").stdout.splitlines()) == 1 + len(addresses)


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


def test_an_answer_of_another_version_is_one_line(tmp_path):
    def another(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"agent": {}}']

    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(another)
        for command in ("status", "services", "agents", "peers"):
            result = run(command, "--socket", tmp_path / NAME)
            assert result.exit_code == 1
            assert "does it run another version?" in result.stderr
            assert len(result.stderr.splitlines()) == 1


def test_what_others_have_chosen_cannot_steer_the_terminal(agent):
    strange = Finding(FindingKind.NAME, "\x1b[2J", "\x1b[2J")
    routes = agent.snapshot.routes
    hq = msgspec.structs.replace(
        HQ, name="\x1b[2Jhq", endpoints=(Endpoint("[red]\x1b[31m", "\x9b\u202e"),), version="\u202e"
    )
    records = {**routes.records, HQ.agent_id: hq}
    peer = msgspec.structs.replace(agent.snapshot.peers[0], name="\x1b[2J", problem="\x07")
    change(
        agent,
        problems=(strange,),
        peers=(peer,),
        routes=msgspec.structs.replace(routes, records=records),
    )
    told = "".join(run(command).stdout for command in ("status", "services", "agents", "peers"))
    assert all(line.isprintable() for line in told.splitlines())
    assert "[red]\\x1b[31m" in told
    for command in ("status", "services", "agents", "peers"):
        told = run(command, "--json").stdout
        assert all(line.isprintable() for line in told.splitlines())
        json.loads(told)
    assert json.loads(run("services", "--json").stdout) != {}
    assert "\\u009b\\u202e" in run("services", "--json").stdout


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


def test_who_may_do_what_is_told_in_sentences(agent):
    result = run("who-can", "api")
    assert result.exit_code == 0
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        "?    branch may use api at hq, if the endpoint's allow",
        "?    hq may use api at hq, if the endpoint's allow",
        "?    relay may use api at hq, if the endpoint's allow",
    ]
    result = run("can", "relay", "own")
    assert result.stdout.startswith(
        "yes  relay may use own at branch: its certificate allows '*' (until 2033-"
    )
    assert run("can", "relay").stdout.startswith("yes  relay carries others' connections: ")
    assert json.loads(run("can", "relay", "own", "--json").stdout)[0]["may"] == "yes"
    assert run("can", "nobody").exit_code == 1
