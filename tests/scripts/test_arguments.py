"""Wrong values on the command lines of scripts are told in a line, with status 2 and no traceback."""

import subprocess
import sys
from argparse import ArgumentTypeError

import pytest

from scripts import arguments
from scripts.benchmark import command as benchmark
from scripts.benchmark import comparing
from scripts.fuzzing import command as fuzzing
from scripts.lab.processes import ROOT
from scripts.simulation import command as simulation
from scripts.trial_runs import command as trials

COMMANDS = {
    "bench": benchmark.main,
    "compare": comparing.main,
    "fuzz": fuzzing.main,
    "simulate": simulation.main,
    "trials": trials.main,
}


def status_of(command, words):
    try:
        return command(words)
    except SystemExit as left:
        return left.code


@pytest.mark.parametrize(
    "line",
    [
        "bench --rounds 0",
        "bench --ways pigeons",
        "bench --json /nowhere/x.json",
        "bench --plot /",
        "compare",
        "compare /nowhere",
        "compare . --rounds -1",
        "fuzz --runs 0",
        "simulate --runs 0",
        "simulate /nowhere.yaml",
        "simulate config/scenarios/ring.yaml --agents -1",
        "simulate config",
        "trials nothing",
        "trials --runs 0",
        "trials --mib -1",
        "trials --seed x",
        "trials --json /nowhere/x.json",
    ],
)
def test_a_command_refuses_what_it_cannot_use(line, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    name, *words = line.split()
    assert status_of(COMMANDS[name], words) == 2
    said = capsys.readouterr()
    assert "error: " in said.out + said.err


@pytest.mark.parametrize(
    "line",
    [
        "bench_routes.py --agents 10 3 --links 3",
        "bench_scale.py --rest nan",
        "demo --twice",
        "simulate.py config/scenarios/ring.yaml --seed -1",
    ],
)
def test_a_script_refuses_what_it_cannot_use(line):
    command = [sys.executable, *f"scripts/{line}".split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "error: " in said
    assert "Traceback" not in said


def test_a_whole_number_is_within_its_bounds():
    read = arguments.whole(1, 10)
    assert [read("1"), read("10"), read(" 7 ")] == [1, 10, 7]
    for text in ("0", "11", "-1", "1.5", "", "x", "1e3"):
        with pytest.raises(ArgumentTypeError):
            read(text)


def test_a_number_is_finite_and_within_its_bounds():
    read = arguments.number(0, 1)
    assert [read("0"), read("0.5"), read("1e-3")] == [0, 0.5, 0.001]
    for text in ("-0.1", "1.1", "nan", "inf", "-inf", "", "x"):
        with pytest.raises(ArgumentTypeError):
            read(text)


def test_files_are_judged_before_work_begins(tmp_path):
    there = tmp_path / "there"
    there.write_text("x")
    assert arguments.file_to_read(str(there)) == there
    assert arguments.file_to_write(str(there)) == there
    assert arguments.file_to_write(str(tmp_path / "new")) == tmp_path / "new"
    assert not (tmp_path / "new").exists()
    for text in (str(tmp_path), str(tmp_path / "missing")):
        with pytest.raises(ArgumentTypeError):
            arguments.file_to_read(text)
    for text in (str(tmp_path), str(tmp_path / "missing" / "file"), str(there / "file")):
        with pytest.raises(ArgumentTypeError):
            arguments.file_to_write(text)
