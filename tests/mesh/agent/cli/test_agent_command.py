"""``mesh agent`` and ``mesh check``: what they read, say and hand on."""

import errno
import subprocess
import sys
from types import ModuleType
from unittest.mock import Mock

import click
import pytest
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.files import AgentFileError
from mesh.agent.logs import logger

GOOD = "agent: {name: branch}\nforward: {listeners: [{key: a, address: ':0'}]}\nlogging: {level: error}\n"
WRONG = "forward:\n  listeners:\n    - {key: a, address: x}\n  endpoint: []\n"


@pytest.mark.parametrize(("word", "hint"), [("staus", " Did you mean 'status'?"), ("xyzzy", "")])
def test_a_command_that_is_misspelt_is_named(word, hint):
    done = CliRunner().invoke(main, [word, "--json"])
    assert done.exit_code == 2
    assert done.output.endswith(f"Error: No such command '{word}'.{hint}\n")


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return make


@pytest.fixture
def agent(monkeypatch):
    """Stands for ``mesh.agent``; its ``run`` remembers what it was given."""
    module = ModuleType("mesh.agent")
    module.given = []

    def run(source, loaded, output):
        config, module.written = source.read()
        assert (config, module.written) == loaded
        module.given.append(config)
        logger("agent").info("running")
        if config.agent.name == "broken":
            raise AgentFileError("/x/identity.key: is missing")
        return 0

    module.run = run
    monkeypatch.setitem(sys.modules, "mesh.agent.process", module)
    return module


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_valid_configuration_is_run(write, agent):
    assert run("agent", write(GOOD)).exit_code == 0
    (config,) = agent.given
    assert config.agent.name == "branch"
    assert (config.logging.level, config.logging.format) == ("error", "text")


def test_options_override_the_file(write, agent):
    result = run("agent", write(GOOD), "--log-format", "json", "--log-level", "info")
    assert (agent.given[0].logging.level, agent.given[0].logging.format) == ("info", "json")
    assert '"message": "running"' in result.stderr


def test_the_environment_and_the_host_name_are_used(write, agent, monkeypatch):
    monkeypatch.setenv("MY_KEY", "from-environment")
    monkeypatch.setattr("socket.gethostname", lambda: "my-host")
    run("agent", write("forward: {endpoints: [{key: '${MY_KEY}', target: 'x:1'}]}"))
    assert agent.written == {"forward.endpoints[0].key": "${MY_KEY}"}
    assert agent.given[0].agent.name == "my-host"
    assert agent.given[0].forward.endpoints[0].key == "from-environment"


@pytest.mark.parametrize("command", [("agent",), ("agent", "--check"), ("check",)])
def test_a_wrong_configuration_ends_with_status_2(write, agent, command):
    path = write(WRONG)
    result = run(*command, path)
    assert result.exit_code == 2
    assert agent.given == []
    assert result.stdout == ""
    first, second, last = result.stderr.splitlines()
    assert first.startswith(f'{path}:3: forward.listeners[0].address: found "x"; expected host:port')
    assert second.startswith(f"{path}:4: forward.endpoint: found an unknown key")
    assert last == "2 problems"


@pytest.mark.parametrize("command", [("agent", "--check"), ("check",)])
def test_a_check_starts_nothing(write, agent, command):
    path = write(GOOD)
    result = run(*command, path)
    assert result.exit_code == 0
    assert result.stdout == f"{path}: ok: agent branch with 0 endpoints, 1 listener, 0 peers\n"
    assert agent.given == []


def test_a_check_tells_of_files(write, tmp_path):
    key = "YLxky658zevDBrKRcjhTIPSsPD7T+A4zlWHLMywGCKI="
    result = run("check", write(f"trust: {{authorities: ['{key}'], certificate: a.cert}}"))
    assert result.exit_code == 2
    assert (
        result.stderr
        == f"trust.certificate: {tmp_path / 'a.cert'}: cannot be read: no such file or directory\n"
    )


def test_a_check_warns(tmp_path):
    run("init", tmp_path / "m", "--agents", "a")
    path = tmp_path / "m" / "a" / "config.yaml"
    path.write_text(path.read_text().replace('name: "a"', 'name: "b"').replace("name: a", "name: b"))
    result = run("check", path)
    assert result.exit_code == 0
    assert (
        f"{path}: warning: agent.name is 'b', but the mesh shows the certificate's name, 'a'" in result.stderr
    )


def test_a_check_shows_nothing_that_came_from_the_environment(write, monkeypatch):
    monkeypatch.setenv("MESH_NAME", "s3cret")
    path = write("agent: {name: '${MESH_NAME}'}")
    result = run("check", path)
    assert result.exit_code == 0
    assert "agent ${MESH_NAME} with" in result.stdout
    assert "s3cret" not in result.output


def test_a_file_at_fault_is_one_line(write, agent):
    result = run("agent", write("agent: {name: broken}"))
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, "/x/identity.key: is missing")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("can't start new thread"), "the system gives it no more threads; it has about 40: "),
        (OSError(errno.EMFILE, "Too many open files"), " descriptors, and needs 64 at least: LimitNOFILE="),
        (OSError(errno.ENFILE, "Too many open files in system"), "the machine has no descriptors left: "),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "no memory is left"),
        (MemoryError(), "no memory is left"),
    ],
)
def test_an_agent_that_is_given_too_little_says_what_in_one_line(write, agent, error, told):
    agent.run = Mock(side_effect=error)
    result = run("agent", write(GOOD))
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 1
    assert line.startswith("the agent cannot start: ")
    assert told in line


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError(errno.EIO, "Input/output error")])
def test_what_is_no_shortage_is_not_taken_for_one(write, agent, error):
    agent.run = Mock(side_effect=error)
    result = run("agent", write(GOOD))
    assert "cannot start" not in result.output
    assert result.exit_code == 1


def test_a_configuration_that_is_not_there():
    result = run("check", "/nowhere/config.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("/nowhere/config.yaml: found no such file or directory; expected")


def test_every_command_has_help_and_python_m_mesh_is_the_same():
    shown = subprocess.run(
        [sys.executable, "-m", "mesh.agent.entry", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert name in shown
        assert run(name, "--help").exit_code == 0
        for step in getattr(command, "commands", {}):
            assert run(name, step, "--help").exit_code == 0
