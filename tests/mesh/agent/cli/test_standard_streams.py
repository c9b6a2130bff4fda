"""What a command prints, where nobody reads it or it cannot be written: one line, a status of its own."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mesh.agent.cli import main
from scripts.lab.processes import ROOT

EXIT_UNREAD = 141
"""128 and SIGPIPE's number."""


@pytest.fixture
def mesh(tmp_path):
    assert CliRunner().invoke(main, ["init", str(tmp_path / "m"), "--agents", "a,b:relay"]).exit_code == 0
    return tmp_path


def commands(mesh):
    certificate = mesh / "m" / "a" / "agent.cert"
    authority, identity = mesh / "m" / "authority.key", mesh / "m" / "a" / "identity.key"
    signing = ("--authority", authority, "--identity", identity, "--name", "x", "--out", mesh / "x.cert")
    return [
        ("check", mesh / "m" / "a" / "config.yaml"),
        ("certificate", "show", certificate),
        ("certificate", "show", certificate, "--json"),
        ("certificate", "sign", *signing),
        ("authority", "show", authority),
        ("authority", "new", mesh / "new.key"),
        ("identity", "show", identity),
        ("identity", "new", mesh / "new.identity"),
        ("init", mesh / "n", "--agents", "b"),
    ]


def status_and_errors(command, redirection):
    """Of a command whose standard output goes elsewhere."""
    shell = f'"$@" {redirection}'
    arguments = [sys.executable, "-m", "mesh.agent.entry", *map(str, command)]
    ended = subprocess.run(
        ["bash", "-c", shell, "bash", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("number", range(9))
def test_a_full_disk_is_told_in_one_line(mesh, number):
    status, errors = status_and_errors(commands(mesh)[number], ">/dev/full")
    assert (status, errors) == (2, "standard output: no space left on device\n")


@pytest.mark.parametrize("number", range(9))
def test_a_reader_that_has_gone_is_no_news(mesh, number):
    """Status 1 would say of a certificate that it is not valid."""
    command = [sys.executable, "-m", "mesh.agent.entry", *map(str, commands(mesh)[number])]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (EXIT_UNREAD, "")


@pytest.mark.parametrize("number", range(9))
def test_closed_output_is_as_good_as_none(mesh, number):
    assert status_and_errors(commands(mesh)[number], ">&-") == (0, "")


def test_a_character_that_the_output_cannot_have_is_escaped(tmp_path):
    arguments = ("init", tmp_path / "mesh-\N{SNOWMAN}", "--agents", "a")
    ended = subprocess.run(
        [sys.executable, "-m", "mesh.agent.entry", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "mesh-\\u2603" in ended.stdout
