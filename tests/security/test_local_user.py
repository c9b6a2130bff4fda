"""Another user of the machine, or who reads what an agent leaves behind on it."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from mesh.agent.control.socket_file import NAME
from mesh.agent.control.unix_sockets import connect_to
from mesh.agent.files import IDENTITY_FILE
from scripts.lab.agent_processes import write_config
from scripts.lab.meshes import Mesh
from scripts.lab.processes import ROOT, python

NOBODY = 65_534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def lone(mesh):
    """An agent that does not run."""
    agent = mesh.agent("lone")
    agent.offer("svc", 9)
    return agent


def check(agent, **environment):
    """What ``--check`` says about an agent's configuration, and its exit status."""
    write_config(agent.config_file, agent.config)
    done = subprocess.run(
        [*map(str, python("-m", "mesh.agent", "--check", agent.config_file))],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout + done.stderr


def test_an_agents_own_files_are_fine(lone):
    assert check(lone)[0] == 0


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o666])
def test_a_key_that_others_can_read_or_change_is_refused_with_what_to_do(lone, mode):
    (lone.folder / IDENTITY_FILE).chmod(mode)
    status, said = check(lone)
    assert status != 0
    assert "chmod 600" in said


@needs_root
def test_a_key_of_another_user_is_refused(lone):
    os.chown(lone.folder / IDENTITY_FILE, NOBODY, NOBODY)
    status, said = check(lone)
    assert status != 0
    assert IDENTITY_FILE in said


@needs_root
def test_a_data_directory_of_another_user_is_refused(lone):
    os.chown(lone.folder, NOBODY, NOBODY)
    assert check(lone)[0] != 0


@pytest.mark.parametrize("mode", [0o777, 0o772, 0o770])
def test_a_data_directory_that_others_can_write_to_is_refused(lone, mode):
    lone.folder.chmod(mode)
    status, said = check(lone)
    assert status != 0
    assert str(lone.folder) in said


def test_a_configuration_error_prints_nothing_that_came_from_the_environment(lone):
    secret = "hunter2-from-the-environment"
    lone.config["http"]["address"] = "${MESH_TEST_SECRET}"
    status, said = check(lone, MESH_TEST_SECRET=secret)
    assert status != 0
    assert secret not in said
    assert "MESH_TEST_SECRET" in said


def test_a_crash_leaves_no_core_with_keys_in_it(lone):
    """Neither by the limit, nor, for whoever collects cores all the same, by the kernel's flag."""
    lone.start()
    limits = Path(f"/proc/{lone.process.pid}/limits").read_text()
    (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]


@needs_root
def test_an_agents_memory_is_closed_to_other_processes_of_its_user():
    """A process that is not dumpable belongs to root in /proc, whoever runs it."""
    as_nobody = (
        "env",
        "MESH_DEBUGGABLE=0",
        "setpriv",
        "--reuid",
        str(NOBODY),
        "--regid",
        str(NOBODY),
        "--clear-groups",
    )
    if subprocess.run([*as_nobody, *python("-c", "import mesh")], check=False, cwd=ROOT).returncode:
        pytest.skip("another user cannot run this interpreter, or not from here")
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o711)
        mesh = Mesh(Path(outer))
        try:
            lone = mesh.agent("lone")
            write_config(lone.config_file, lone.config)
            for path in (lone.folder, *lone.folder.iterdir()):
                os.chown(path, NOBODY, NOBODY)
            lone.start(prefix=as_nobody)
            status = Path(f"/proc/{lone.process.pid}/status").read_text()
            assert f"\nUid:\t{NOBODY}\t" in status
            assert Path(f"/proc/{lone.process.pid}/mem").stat().st_uid == 0
        finally:
            mesh.close()


@needs_root
def test_the_control_socket_of_another_user_cannot_be_opened(lone):
    lone.start()
    control = lone.folder / NAME
    for folder in (lone.folder, *lone.folder.parents):  # as if the directory did not keep others out as well
        if folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(PermissionError):
            connect_to(control, 1.0)
    finally:
        os.seteuid(0)
    assert lone.ask("status").returncode == 0
