"""The compiled build for tests: a copy of the sources with the core compiled in it; standard library only."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

import bootstrap

TREE = bootstrap.ROOT / "build" / "compiled"
"""Not beside the sources: this Python would take the libraries for its interpreted tests, too."""

NOT_COPIED = (
    *(".git", ".venv*", ".pytest_cache", ".ruff_cache", ".hypothesis", "__pycache__"),
    *("build", "*.egg-info", "*.so"),
)

VARIABLES = {"MESH_COMPILED": "1", "MESH_OPTIMIZATION": "0"}
"""For ``setup.py``. Optimizing takes many times as long, and what mypyc makes of the sources is the same."""

QUIETLY = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}

IS_COMPILED = (
    "import sys; from mesh.agent.software import Build, software_build; "
    "sys.exit(None if software_build() is Build.COMPILED else 'nothing has been compiled')"
)


Done = subprocess.CompletedProcess[str]


def build() -> Done:
    """Make the tree anew; how its build ended, and what it said."""
    shutil.rmtree(TREE, ignore_errors=True)
    shutil.copytree(bootstrap.ROOT, TREE, ignore=shutil.ignore_patterns(*NOT_COPIED))
    built = run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], VARIABLES, **QUIETLY)
    return built if built.returncode else run([sys.executable, "-c", IS_COMPILED], **QUIETLY)


def run(command: Sequence[str], variables: Mapping[str, str] | None = None, **output: int) -> Done:
    """Run it in the tree, and have all that it starts import from there, wherever that runs."""
    environment = {**os.environ, "PYTHONPATH": str(TREE), **(variables or {})}
    environment.pop(bootstrap.NO_BYTECODE, None)
    return subprocess.run(command, cwd=TREE, env=environment, check=False, text=True, **output)
