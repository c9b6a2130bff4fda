"""``mesh doctor``: what it finds in files and ports, whether or not the agent runs, and how it ends."""

import contextlib
import json
import socket
import subprocess

import msgspec
import pytest
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.control.api import ControlApp
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.socket_file import NAME
from mesh.agent.findings import Finding, FindingKind
from tests.mesh.agent.cli.asked import Asked


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """One of an agent that would have nothing wrong with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    tmp_path.chmod(0o700)
    configure(tmp_path, "")
    return tmp_path


def configure(folder, more):
    path = folder / "config.yaml"
    path.write_text(f"agent: {{name: hq, data_dir: .}}\n{more}")
    path.chmod(0o600)


def run(*arguments):
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)])


def wrong(result):
    found = json.loads(result.stdout)["checks"]
    return [
        (each["about"], each["level"], each["what"]) for each in found if each["level"] not in ("ok", "note")
    ]


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_agent_that_does_not_run_and_could_has_nothing_wrong(folder):
    result = run()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "ok       configuration  config.yaml: agent hq"
    assert lines[-1] == "nothing is wrong"
    assert any("no agent answers at" in line and "does it run?" in line for line in lines)
    told = json.loads(run("--json").stdout)
    assert (told["running"], told["problems"], told["warnings"]) == (False, 0, 0)


def test_an_agent_that_has_not_ended_in_order_is_a_warning(folder):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind("control.sock")  # as kill -9 leaves it
        (folder / "control.sock").chmod(0o600)
    result = run("--json")
    assert result.exit_code == 1
    ((about, level, what),) = wrong(result)
    assert (about, level, "it has ended, and not in order" in what) == ("agent", "warning", True)


def test_a_port_that_another_has_is_a_problem_that_names_the_way_to_find_it(folder, taken):
    configure(folder, f"forward: {{listeners: [{{key: db, address: '127.0.0.1:{taken}'}}]}}\n")
    result = run("--json")
    assert result.exit_code == 1
    assert [(about, level) for about, level, _ in wrong(result)] == [
        ("configuration", "warning"),
        ("ports", "problem"),
    ]
    assert f"ss -ltnp 'sport = :{taken}'" in result.stdout


def test_a_unix_socket_in_no_directory_is_a_problem(folder):
    configure(folder, "forward: {listeners: [{key: db, address: /nowhere/at/all/db.sock}]}\n")
    assert ("ports", "problem") in [each[:2] for each in wrong(run("--json"))]


def test_a_configuration_with_mistakes_is_a_problem_for_each(folder):
    (folder / "config.yaml").write_text("agnet: {}\nforward: {listeners: [{key: db}]}\n")
    result = run("--json")
    assert result.exit_code == 1
    assert len([each for each in wrong(result) if each[0] == "configuration"]) == 2


def test_what_others_may_write_is_a_warning_with_the_command_that_ends_it(folder):
    (folder / "config.yaml").chmod(0o666)
    (folder / "services.yaml").write_text("forward: {}\n")
    (folder / "services.yaml").chmod(0o620)
    result = run("--json")
    assert [each[:2] for each in wrong(result)] == [("permissions", "warning")] * 2
    remedies = [each["remedy"] for each in json.loads(result.stdout)["checks"] if each["level"] == "warning"]
    for remedy in remedies:
        subprocess.run(remedy, shell=True, check=True, cwd=folder)
    assert run().exit_code == 0


def test_saved_services_that_cannot_be_read_are_a_problem(folder):
    (folder / "services.yaml").write_text("forward: {endpoints: 3}\n")
    assert ("configuration", "problem") in [each[:2] for each in wrong(run("--json"))]


def test_an_agent_that_runs_is_asked_and_what_it_says_is_escaped(folder):
    asked = Asked()
    with contextlib.closing(ControlDoor(ControlSocket(folder))) as door:
        door.serve(ControlApp(asked.behind(), None))
        result = run("--json")
        assert json.loads(result.stdout)["running"]
        assert ("agent", "problem", "listener taken at :5432: port taken") in wrong(result)
        (folder / NAME).chmod(0o666)
        assert ("permissions", "problem") in [each[:2] for each in wrong(run("--json"))]
        asked.snapshot = msgspec.structs.replace(
            asked.snapshot, warnings=(Finding(FindingKind.NAME, "\x1b[2J"),)
        )
        told = run("--socket", folder / NAME)
        assert told.exit_code == 1
        assert all(line.isprintable() for line in told.stdout.splitlines())
        assert "\\x1b[2J" in told.stdout


def test_it_says_if_nothing_says_which_agent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    result = run()
    assert (result.exit_code, "which agent?" in result.stderr) == (2, True)
    assert run("--config", "none.yaml").exit_code == 1
    assert run("--nonsense").exit_code == 2


def test_an_agent_that_is_known_by_its_socket_alone_is_to_answer(folder):
    result = run("--socket", folder / NAME, "--json")
    assert (result.exit_code, [each[:2] for each in wrong(result)]) == (1, [("agent", "problem")])


def test_the_variable_names_the_agent_as_it_does_for_every_command(folder, monkeypatch, tmp_path_factory):
    """Also where a configuration lies about: that is another agent's."""
    other = tmp_path_factory.mktemp("other") / NAME
    monkeypatch.setenv("MESH_SOCKET", str(other))
    result = run("--json")
    assert [each[:2] for each in wrong(result)] == [("agent", "problem")]
    assert str(other) in result.stdout
    assert run("--config", "config.yaml").exit_code == 0


def test_an_agent_whose_file_has_been_spoilt_is_asked_all_the_same(folder):
    (folder / "config.yaml").write_text("agnet: {}\n")
    with contextlib.closing(ControlDoor(ControlSocket(folder))) as door:
        door.serve(ControlApp(Asked().behind(), None))
        result = run("--json")
        assert json.loads(result.stdout)["running"]
        assert ("agent", "problem", "listener taken at :5432: port taken") in wrong(result)
