"""Elsewhere than on Linux: one line and status 2, not a traceback and not a restart without end."""

import subprocess
import sys
import tomllib

import pytest

from scripts.lab.processes import ROOT

ELSEWHERE = """
import runpy, sys

class NotHere:
    def find_spec(self, name, path=None, target=None):
        if name in {"actors", "pykka", "click", "fcntl", "resource", "asyncio"}:
            raise ImportError(f"{name} was imported before the system was judged")

sys.platform = PLATFORM
sys.meta_path.insert(0, NotHere())
for name in [name for name in ("fcntl", "resource", "asyncio") if name in sys.modules]:
    del sys.modules[name]
sys.argv = ["mesh", *ARGUMENTS]
START
"""
MODULE = "runpy.run_module({name!r}, run_name='__main__', alter_sys=True)"


def console_script():
    with (ROOT / "pyproject.toml").open("rb") as file:
        module, _, function = tomllib.load(file)["project"]["scripts"]["mesh"].partition(":")
    return f"from {module} import {function}; {function}()"


@pytest.mark.parametrize("platform", ["win32", "darwin", "freebsd14"])
@pytest.mark.parametrize(
    ("start", "arguments"),
    [
        (MODULE.format(name="mesh.agent"), ["config.yaml"]),
        (MODULE.format(name="mesh.agent.entry"), ["agent", "config.yaml"]),
        (MODULE.format(name="mesh.agent.entry"), ["--help"]),
        (console_script(), ["init", "x", "--agents", "a"]),
    ],
    ids=["python -m mesh.agent", "mesh agent", "mesh --help", "mesh init"],
)
def test_other_systems_are_told_in_one_line(platform, start, arguments):
    program = ELSEWHERE.replace("PLATFORM", repr(platform)).replace("ARGUMENTS", repr(arguments))
    program = program.replace("START", start)
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"mesh-agent needs Linux for now; this is {platform}\n"
