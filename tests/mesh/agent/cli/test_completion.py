"""Completion: keys and agents of the running agent's mesh; silence where none runs, nothing a shell obeys."""

import contextlib
import shutil
import subprocess

import msgspec
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from mesh.agent.cli import completing, main
from mesh.agent.cli.completion_command import SHELLS, VARIABLE
from mesh.agent.control.api import ControlApp
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.socket_file import NAME
from mesh.agent.layers import Layers
from tests.mesh.agent.cli.asked import FILE, Asked, listener
from tests.mesh.agent.control.test_reading import HQ
from tests.mesh.agent.dashboard.conftest import Endpoint


@pytest.fixture
def agent(tmp_path, monkeypatch):
    monkeypatch.setattr(completing, "PATIENCE_S", 30.0)  # this machine may be busy
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    (tmp_path / "config.yaml").write_text("agent: {data_dir: .}\n")
    asked = Asked()
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(asked.behind(), None))
        yield asked


def completed(*words):
    *before, incomplete = words
    complete = BashComplete(main, {}, "mesh", VARIABLE)
    return [item.value for item in complete.get_completions(before, incomplete)]


def test_commands_are_completed():
    assert completed("un") == ["unlisten", "unexpose"]


def test_keys_and_agents_are_those_of_the_mesh(agent):
    assert completed("connect", "") == ["api", "db", "own"]
    assert completed("listen", "d") == ["db"]
    assert completed("ping", "") == ["api", "db", "hq", "own", "relay"]
    assert completed("expose", "x", ":1", "--allow", "") == ["hq", "relay"]


def test_what_can_be_taken_out_is_what_the_file_does_not_have(agent):
    assert completed("unlisten", "") == []
    agent.layers = Layers(FILE, (listener("mine", 1),))
    assert completed("unlisten", "") == ["mine"]
    assert completed("unexpose", "") == []


def test_the_agent_that_the_command_line_names_is_asked(agent, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert completed("bench", "") == []
    assert completed("bench", "--socket", str(tmp_path / NAME), "a") == ["api"]
    assert completed("connect", "--config", str(tmp_path / "config.yaml"), "a") == ["api"]


@pytest.mark.parametrize("config", [None, "nonsense: [", "agent: {data_dir: .}", "{}"])
def test_without_an_agent_there_is_silence(tmp_path, monkeypatch, capsys, config):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    for command in ("listen", "ping", "connect", "unlisten", "unexpose"):
        assert completed(command, "") == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name", ["$(reboot)", "`id`", "a b", "a;b", "--now", "a\nb", "\x1b[2J", "~root", "*", "'"]
)
def test_nothing_is_offered_that_a_shell_would_obey(agent, name):
    routes = agent.snapshot.routes
    hq = msgspec.structs.replace(HQ, name=name, endpoints=(Endpoint(name, None), Endpoint("good-1.x", None)))
    agent.snapshot = msgspec.structs.replace(
        agent.snapshot, routes=msgspec.structs.replace(routes, records={**routes.records, HQ.agent_id: hq})
    )
    assert completed("ping", "") == ["good-1.x", "own", "relay"]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_printed_is_a_script_of_that_shell(shell):
    result = CliRunner().invoke(main, ["completion", shell])
    assert (result.exit_code, VARIABLE in result.stdout) == (0, True)
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=result.stdout, text=True, check=True, timeout=60)


def test_another_shell_is_a_wrong_argument():
    assert CliRunner().invoke(main, ["completion", "csh"]).exit_code == 2
