"""A process that has keys leaves none of its memory in a file."""

import subprocess
import sys

import pytest

from mesh.agent.core_dumps import DEBUGGABLE_VARIABLE

PROGRAM = """
import ctypes, os, resource, sys
from mesh.agent.core_dumps import forbid_core_dumps
from mesh.agent.dump import dump
forbid_core_dumps()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE), flush=True)
dump(sys.stdout)
os.abort()
"""


@pytest.mark.parametrize(("debuggable", "shown"), [("1", "1 (0, 0)"), ("", "0 (0, 0)")])
def test_a_debugger_can_attach_if_that_is_wanted(debuggable, shown):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("os.abort()", "")], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": ":".join(sys.path), DEBUGGABLE_VARIABLE: debuggable},
    )  # fmt: skip
    assert ended.stdout.splitlines()[0] == shown


def test_a_process_leaves_no_core_dump_and_can_still_print_its_own_state(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert ended.returncode == -6
    is_dumpable_and_limit, *shown = ended.stdout.splitlines()
    assert is_dumpable_and_limit == "0 (0, 0)"
    assert shown[-1] == "=== end of the dump"
    assert list(tmp_path.iterdir()) == []
