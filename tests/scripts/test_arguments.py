"""Wrong values on the command lines of scripts are told in a line, with status 2 and no traceback."""

import subprocess
import sys
from argparse import ArgumentTypeError

import pytest

from scripts import arguments
from scripts.lab.processes import ROOT


@pytest.mark.parametrize(
    "line",
    [
        "bench.py --rounds 0",
        "bench.py --ways pigeons",
        "bench.py --json /nowhere/x.json",
        "bench.py --plot /",
        "bench_routes.py --agents 1",
        "bench_routes.py --agents 10 3 --links 3",
        "bench_routes.py --rounds none",
        "bench_scale.py --agents -3",
        "bench_scale.py --rest nan",
        "bench_scale.py --seed -1",
        "compare.py",
        "compare.py /nowhere",
        "compare.py . --rounds -1",
        "demo --twice",
        "fuzz.py --runs 0",
        "simulate.py --runs 0",
        "simulate.py /nowhere.yaml",
        "simulate.py config/scenarios/ring.yaml --agents -1",
        "simulate.py config",
        "trials.py nothing",
        "trials.py --runs 0",
        "trials.py --mib -1",
        "trials.py --seed x",
        "trials.py --json /nowhere/x.json",
    ],
)
def test_a_script_refuses_what_it_cannot_use(line):
    script, *words = line.split()
    module = {"fuzz.py": "fuzzing"}.get(script)  # its environment is another: its command is run in this one
    program = ["-c", f"from scripts.{module}.command import main; main({words})"] if module else []
    command = [sys.executable, *(program or [f"scripts/{script}", *words])]
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
