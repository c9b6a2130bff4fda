"""What the benchmark says of the Python that agents run on, and which software runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.agent.software import software_build
from scripts.benchmark import command, interpreters
from scripts.benchmark.processes import BenchmarkError
from scripts.lab.software import NOWHERE, OURS, ROOT, Software, found_at


def said(options, *, schemes=("posix_prefix",), machine="x86_64"):
    return {
        "name": "CPython",
        "version": "3.11.2",
        "machine": machine,
        "options": options,
        "schemes": schemes,
        "package": "interpreted",
    }


@pytest.mark.parametrize(
    ("options", "build"),
    [
        ("'--enable-shared' -O3 -Wall", "without PGO"),
        ("'--enable-optimizations' '--enable-shared'", "with PGO"),
        ("'--enable-optimizations' '--with-lto'", "with PGO and LTO"),
        ("-O3 -fprofile-use -flto", "with PGO and LTO"),
    ],
)
def test_an_interpreter_is_known_by_its_options(options, build):
    assert interpreters.read(said(options)).build == build


@pytest.mark.parametrize(
    ("machine", "build"), [("x86_64", "with PGO and LTO (Debian's)"), ("mips64", "without PGO (Debian's)")]
)
def test_debians_do_not_say_how_they_were_built(machine, build):
    schemes = ("posix_prefix", "deb_system")
    assert interpreters.read(said("'--enable-shared'", schemes=schemes, machine=machine)).build == build


def test_an_interpreter_says_what_it_is():
    found = interpreters.ask(OURS)
    assert found.version == f"CPython {sys.version.split()[0]}"
    assert found.package == software_build()


def test_one_without_the_mesh_is_refused(tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o700)
    with pytest.raises(BenchmarkError, match="No module named 'mesh'"):
        interpreters.ask(Software(python, NOWHERE))


def test_software_is_a_checkout_or_an_interpreter():
    assert found_at(ROOT) == OURS
    python = Path(sys.executable)
    assert found_at(python) == Software(python, NOWHERE)
    with pytest.raises(ValueError, match="/nowhere: expected a checkout of this project"):
        found_at(Path("/nowhere"))


def test_agents_store_byte_code_whatever_the_caller_says(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    tell = OURS.command("-c", "import sys; print(sys.dont_write_bytecode)")
    environment = {**os.environ, **OURS.environment}
    said = subprocess.run(tell, env=environment, check=True, capture_output=True, text=True).stdout
    assert said == "False\n"


def test_what_is_said_to_be_compiled_must_be(capsys):
    if software_build() == "compiled":
        pytest.skip("it is")
    assert command.main(["--compiled", sys.executable, "--measures", "ping"]) == 1
    assert "its package is interpreted, not compiled" in capsys.readouterr().err
