"""The check: the Pythons that it finds, the environments it makes, and what comes of the steps."""

import importlib
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from scripts.lab.processes import ROOT
from tests.examples import PROFILES, examples

OWN = ".".join(platform.python_version_tuple()[:2])
OTHERS = [version for version in ("3.11", "3.12", "3.13") if version != OWN]


@pytest.fixture
def scripts(monkeypatch):
    """The scripts, as they see each other."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    names = ("bootstrap", "c_compiler", "compiled", "pythons", "checks")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def program(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


# -- finding -------------------------------------------------------------------------------------------------


def test_the_pythons_of_the_check_are_those_of_the_package(scripts):
    with (ROOT / "pyproject.toml").open("rb") as file:
        classifiers = tomllib.load(file)["project"]["classifiers"]
    versions = [text.rpartition(" ")[2] for text in classifiers if ":: Python :: 3." in text]
    assert tuple(versions) == scripts.pythons.SUPPORTED
    assert ".".join(map(str, scripts.bootstrap.MINIMUM)) == versions[0]


def test_a_program_that_does_not_run_is_passed_over(scripts, tmp_path):
    """As pyenv's shims, which come first on PATH and refuse."""
    program(tmp_path / "shims" / "python3.11", "exit 127")
    program(tmp_path / "shims" / "python3.12", "echo 3.11")
    program(tmp_path / "shims" / "python3.13", "echo 3.13")
    (tmp_path / "shims" / "python3.13").chmod(0o644)
    good = {
        "3.11": program(tmp_path / "usr" / "python3.11", "echo 3.11"),
        "3.12": program(tmp_path / ".pyenv" / "versions" / "3.12.1" / "bin" / "python3.12", "echo 3.12"),
        "3.13": program(tmp_path / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3.13", "echo 3.13"),
    }
    environment = {"PATH": f"{tmp_path}/shims::/nowhere:{tmp_path}/usr", "HOME": str(tmp_path)}
    assert scripts.pythons.find_pythons(environment) == good


def test_a_machine_without_others_has_none(scripts, tmp_path):
    program(tmp_path / "python3.10", "echo 3.10")
    program(tmp_path / "python3.14", "echo 3.14")
    assert scripts.pythons.find_pythons({"PATH": str(tmp_path), "HOME": str(tmp_path)}) == {}
    assert scripts.pythons.find_pythons({}) == {}


def test_this_python_is_judged_by_what_it_says(scripts):
    assert scripts.pythons._works(sys.executable, OWN)
    assert not scripts.pythons._works(sys.executable, "3.10")


# -- environments --------------------------------------------------------------------------------------------


@pytest.fixture
def ran(scripts, monkeypatch):
    """Commands that were run instead of pip and venv; ``failing`` names words of those that fail."""
    seen = SimpleNamespace(commands=[], failing=set())

    def run(command, **options):
        command = [str(part) for part in command]
        seen.commands.append(command)
        if "venv" in command and "-m" in command:
            folder = Path(command[-1])
            shutil.rmtree(folder, ignore_errors=True)  # as --clear has it
            program(folder / "bin" / "python", "exit 0")
        return subprocess.CompletedProcess(command, int(bool(seen.failing & set(command))))

    monkeypatch.setattr(scripts.bootstrap.subprocess, "run", run)
    return seen


def test_an_environment_is_made_once(scripts, ran, tmp_path):
    environment = tmp_path / ".venv-3.12"
    for _ in range(2):
        python = scripts.bootstrap.prepare(environment, "/x/python3.12", "dev")
    assert python == environment / "bin" / "python"
    assert [command[0] for command in ran.commands] == ["/x/python3.12", "/x/python3.12", str(python)]
    assert ran.commands[1][1:] == ["-m", "venv", "--clear", str(environment)]
    assert ran.commands[2][-1] == f"{ROOT}[dev]"


def test_an_environment_whose_python_is_gone_is_made_anew(scripts, ran, tmp_path):
    scripts.bootstrap.prepare(tmp_path / "v", "python3.11")
    python = tmp_path / "v" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    ran.commands.clear()
    scripts.bootstrap.prepare(tmp_path / "v", "python3.12")
    assert [command[0] for command in ran.commands] == ["python3.12", "python3.12", str(python)]


def test_a_python_without_venv_is_told_and_leaves_nothing_half_made(scripts, ran, tmp_path):
    ran.failing = {scripts.bootstrap.HAS_VENV}
    with pytest.raises(scripts.bootstrap.EnvironmentFailedError, match="python3-venv"):
        scripts.bootstrap.prepare(tmp_path / "v", "python3", "fast")
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("failing", ["venv", "pip"])
def test_an_environment_that_fails_is_tried_again(scripts, ran, tmp_path, failing):
    ran.failing = {failing}
    with pytest.raises(scripts.bootstrap.EnvironmentFailedError, match="v"):
        scripts.bootstrap.prepare(tmp_path / "v", "python3", "fast")
    ran.failing = set()
    ran.commands.clear()
    scripts.bootstrap.prepare(tmp_path / "v", "python3", "fast")
    steps = [command[2] for command in ran.commands if command[1] == "-m"]
    assert steps == (["venv", "pip"] if failing == "venv" else ["pip"])


# -- steps ---------------------------------------------------------------------------------------------------


@pytest.fixture
def check(scripts, monkeypatch, capsys, tmp_path):
    """Run the check with steps that only say whether they pass; status, steps, and the last line."""

    def prepare(environment, interpreter, extra, *options):
        if "broken" in interpreter:
            raise scripts.bootstrap.EnvironmentFailedError("no environment")
        return environment / "bin" / "python"

    def run(failing, arguments=(), pythons=None, *, on_compiled=False):
        steps = []

        def run_step(command, **options):
            if "--collect-only" in command:
                return SimpleNamespace(
                    returncode=4 * ("--bogus" in command), stderr="no --bogus here", stdout=""
                )
            assert "PYTHONDONTWRITEBYTECODE" not in options["env"]
            step = " ".join(command)
            steps.append((step, os.getpriority(os.PRIO_PROCESS, 0)))
            return SimpleNamespace(returncode=int(any(word in step for word in failing)), stdout="")

        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        monkeypatch.setattr(scripts.checks.subprocess, "run", run_step)
        status = scripts.checks.main(arguments, pythons, on_compiled=on_compiled)
        return status, steps, capsys.readouterr().out.splitlines()[-1]

    monkeypatch.setattr(scripts.bootstrap, "prepare", prepare)
    monkeypatch.setattr(scripts.c_compiler, "has_compiler", lambda: True)
    monkeypatch.setattr(scripts.compiled, "TREE", tmp_path / "tree")
    monkeypatch.setattr(scripts.compiled.shutil, "copytree", lambda *_, **__: None)
    return run


def test_all_steps_run_on_this_python(check):
    status, steps, last = check(())
    assert (status, last) == (0, "All checks passed.")
    assert all(step.startswith(f"{sys.executable} -m ") for step, _ in steps)
    assert sorted(step.split()[2] for step, _ in steps) == ["mypy", "pytest", "pytest", "ruff", "ruff"]


def test_each_test_runs_either_by_itself_or_beside_the_others(check):
    """What is left out of the one step are the very folders of the other, which are there."""
    _, steps, _ = check(())
    beside, alone = sorted((step.split() for step, _ in steps if " pytest " in step), key=len, reverse=True)
    folders = [word for word in alone if word.startswith("tests")]
    assert [word for word in beside if "tests" in word] == [f"--ignore={folder}" for folder in folders]
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_what_only_computes_gives_way_to_what_is_waited_for(check):
    here = os.getpriority(os.PRIO_PROCESS, 0)
    _, steps, _ = check((), pythons=dict.fromkeys(OTHERS, "python"))
    waited_for = [step for step, niceness in steps if niceness == here]
    assert [step.split()[2] for step in waited_for] == ["ruff", "ruff", "pytest"]
    assert "tests/system" in waited_for[-1]
    assert os.getpriority(os.PRIO_PROCESS, 0) == here


def test_only_the_tests_that_are_asked_for_run(check):
    _, steps, _ = check((), ["tests/mesh", "-k", "x"])
    [step] = [step for step, _ in steps if " pytest " in step]
    assert step.endswith(" tests/mesh -k x")


def test_arguments_that_pytest_does_not_take_are_refused_before_all_else(scripts, capsys):
    assert scripts.checks.main(["--bogus"], None) == 2
    assert scripts.checks.main(["tests/no_such_test.py"], None) == 2
    said = capsys.readouterr()
    assert "unrecognized arguments: --bogus" in said.err
    assert "file or directory not found: tests/no_such_test.py" in said.err
    assert said.out == ""


def test_a_failing_step_does_not_hide_the_others(check):
    status, steps, last = check(("format", "mypy", "--ignore"))
    assert (status, len(steps), last) == (1, 5, "FAILED: ruff format, mypy, all other tests")


def test_the_profiles_are_known_and_the_usual_one_is_in_force():
    assert set(PROFILES) == {"few", "usual", "many"}
    assert settings.get_profile("few").max_examples == PROFILES["few"]
    assert examples(3).max_examples == 3 * settings().max_examples


def test_every_other_python_runs_unit_tests_in_an_environment_of_its_own(check, scripts):
    status, steps, last = check((), pythons=dict.fromkeys((OWN, *OTHERS), "python"))
    assert (status, last) == (0, "All checks passed.")
    elsewhere = sorted(step for step, _ in steps if not step.startswith(sys.executable))
    for step, version in zip(elsewhere, OTHERS, strict=True):
        assert step.startswith(f"{ROOT}/.venv-{version}/bin/python -m pytest")
        few = " -m not system --hypothesis-profile few"
        simulated = f" {scripts.checks.SCENARIOS}" if version == scripts.pythons.SUPPORTED[-1] else ""
        assert step.endswith(f"{few} tests/mesh/agent tests/actors/runtime{simulated}")
    assert len(steps) == 5 + len(OTHERS)


@pytest.mark.parametrize("version", OTHERS)
def test_a_failure_on_another_python_is_the_checks(check, version):
    pythons = dict.fromkeys(OTHERS, "python")
    status, steps, last = check((f".venv-{version}/",), pythons=pythons)
    assert (status, last) == (1, f"FAILED: unit tests (Python {version})")
    status, fewer, last = check((), pythons=pythons | {version: "broken"})
    assert (status, last) == (1, f"FAILED: unit tests (Python {version})")
    assert len(fewer) == len(steps) - 1


def test_a_python_that_is_not_there_is_left_out(check):
    assert check((), pythons={})[::2] == (0, "All checks passed.")


# -- the compiled build --------------------------------------------------------------------------------------


def test_what_runs_on_the_compiled_build_is_there(scripts):
    words = (*scripts.checks.COMPILED_TESTS, *scripts.checks.COMPILED_ATTACKS)
    tests = [word.partition("::") for word in words if word.startswith("tests/")]
    assert any(name for *_, name in tests)
    for path, _, name in tests:
        assert (ROOT / path).exists()
        assert not name or f"def {name}(" in (ROOT / path).read_text()


COMPILED = ["unit tests and simulations (compiled)", "attacks (compiled)", "soak (compiled)"]


def test_the_compiled_build_is_made_and_checked_before_anything_runs_on_it(check):
    status, steps, last = check((), on_compiled=True)
    assert (status, last) == (0, "All checks passed.")
    plain = {step for step, _ in check(())[1]}
    [others] = [step for step, _ in steps if "--deselect" in step]
    assert "::test_mypyc_translates_them" in others
    assert others.partition(" --deselect ")[0] in plain
    more = [step for step, _ in steps if step not in plain and step != others]
    assert "setup.py -q build_ext" in more[0]
    assert "Build.COMPILED" in more[1]
    marks = [
        "tests/simulation/test_scenarios.py",
        "tests/security",
        "soak --seconds 10",
    ]
    assert all(any(mark in step for step in more[2:]) for mark in marks)
    assert len(more) == 2 + len(marks)


def test_what_runs_on_the_compiled_build_finds_it_from_everywhere(scripts, tmp_path, monkeypatch):
    monkeypatch.setattr(scripts.compiled, "TREE", tmp_path)
    (tmp_path / "mesh.py").write_text("NAME = 'in the tree'")
    source = "import os, mesh; os.chdir('/'); print(mesh.NAME, os.environ.get('X'))"
    done = scripts.compiled.run([sys.executable, "-c", source], {"X": "1"}, **scripts.compiled.QUIETLY)
    assert (done.returncode, done.stdout) == (0, "in the tree 1\n")


@pytest.mark.parametrize("word", ["setup.py", "Build.COMPILED"])
def test_without_a_compiled_build_nothing_runs_on_it(check, word):
    status, steps, last = check((word,), on_compiled=True)
    assert (status, last) == (1, f"FAILED: compiling, {COMPILED[0]}")
    assert not any("soak" in step for step, _ in steps)


def test_without_a_compiler_the_compiled_build_is_left_out(check, scripts, monkeypatch):
    monkeypatch.setattr(scripts.c_compiler, "has_compiler", lambda: False)
    assert check((), on_compiled=True)[::2] == (0, "All checks passed.")


def test_a_failure_on_the_compiled_build_is_the_checks(check):
    assert check(("soak",), on_compiled=True)[::2] == (1, f"FAILED: {COMPILED[2]}")
    assert check(("-p no:cacheprovider tests/security/",), on_compiled=True)[::2] == (
        1,
        f"FAILED: {COMPILED[1]}",
    )
    assert check(("tests/mesh/link",), on_compiled=True)[::2] == (1, f"FAILED: {COMPILED[0]}")
