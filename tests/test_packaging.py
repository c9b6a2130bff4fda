"""What ``pyproject.toml`` promises: dependencies that are used, and Pythons that are tested."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

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
    assert imported("mesh", "actors") - required(PROJECT["optional-dependencies"]["fast"]) == required(
        PROJECT["dependencies"]
    )


def test_what_the_scripts_import_is_there_after_the_check_has_made_the_environment():
    extras = PROJECT["optional-dependencies"]
    assert imported("scripts") <= required(PROJECT["dependencies"]) | required(extras["dev"])


def test_the_demo_and_the_benchmark_need_nothing_that_an_agent_does_not():
    """They run without the development tools."""
    mentioned = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    users = [path.name for path in mentioned if 'in_environment("fast")' in path.read_text()]
    assert sorted(users) == ["bench.py", "demo"]
    assert imported("scripts/benchmark") <= required(PROJECT["dependencies"])
    assert imported("scripts/lab") <= required(PROJECT["dependencies"])
    assert "import rich" not in (ROOT / "scripts" / "demo_mesh.py").read_text()


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_every_tested_python_is_promised(minor):
    assert f"Programming Language :: Python :: 3.{minor}" in PROJECT["classifiers"]
    assert PROJECT["requires-python"] == ">=3.11"
