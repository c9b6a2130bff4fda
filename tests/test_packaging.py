"""What ``pyproject.toml`` promises: dependencies that are used, and Pythons that are tested."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
OWN = {"actors", "mesh", "scripts", "tests"}

with (ROOT / "pyproject.toml").open("rb") as file:
    PROJECT = tomllib.load(file)["project"]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirements):
    return {normal(re.match(r"[A-Za-z0-9._-]+", text)[0]) for text in requirements}


def imported(*folders):
    """Distributions whose packages the folders' modules import."""
    names = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add((node.module or "").partition(".")[0])
    beside = {path.stem for path in (ROOT / "scripts").iterdir()}
    by_package = packages_distributions()
    others = names - set(sys.stdlib_module_names) - OWN - beside
    return {normal(distribution) for name in others for distribution in by_package[name]}


def test_what_an_agent_needs_is_what_it_imports():
    assert imported("mesh", "actors") == required(PROJECT["dependencies"])


def test_what_the_scripts_import_is_there_after_the_check_has_made_the_environment():
    extras = PROJECT["optional-dependencies"]
    assert imported("scripts") <= required(PROJECT["dependencies"]) | required(extras["dev"])


def test_the_demo_and_the_benchmark_need_nothing_that_an_agent_does_not():
    """They run without the development tools."""
    mentioned = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    users = [path.name for path in mentioned if "in_environment()" in path.read_text()]
    assert sorted(users) == [
        "bench.py",
        "bench_api.py",
        "compare.py",
        "demo",
        "first_minutes.py",
        "join_time.py",
    ]
    assert imported("scripts/benchmark") <= required(PROJECT["dependencies"])
    assert imported("scripts/lab") <= required(PROJECT["dependencies"])
    assert "import rich" not in (ROOT / "scripts" / "demo_mesh.py").read_text()


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_every_tested_python_is_promised(minor):
    assert f"Programming Language :: Python :: 3.{minor}" in PROJECT["classifiers"]
    assert PROJECT["requires-python"] == ">=3.11"


def locked():
    """Each line of ``requirements.lock`` that names a distribution, with its hashes."""
    text = (ROOT / "requirements.lock").read_text()
    entries = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return {normal(re.match(r"[A-Za-z0-9._-]+", entry)[0]): entry for entry in entries}


def test_the_lock_file_has_what_an_agent_needs_in_the_versions_that_are_allowed():
    lock = locked()
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        entry = Requirement(lock[normal(requirement.name)].partition("--hash")[0])
        (pinned,) = entry.specifier
        assert pinned.operator == "=="
        assert requirement.specifier.contains(pinned.version), text


def test_everything_in_the_lock_file_has_hashes_and_no_address():
    assert all(
        re.fullmatch(r"[^ ]+==[^ ]+( ; [^-]+)?( +--hash=sha256:[0-9a-f]{64})+", entry.strip())
        for entry in locked().values()
    )
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "index" not in text


def test_the_lock_file_is_complete():
    """What each distribution needs that is installed here is in it too."""
    lock = locked()
    for name in lock:
        for text in requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert normal(needed.name) in lock, f"{name} needs {needed.name}"
