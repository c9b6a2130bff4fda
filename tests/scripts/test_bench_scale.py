"""The benchmarks of a mesh's size run, and say what they measure in tables of numbers."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(script, *arguments):
    """The cells of each line, the titles left out."""
    done = subprocess.run(
        [sys.executable, f"scripts/{script}", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [line.split() for line in done.stdout.splitlines() if line.split()[0].isdigit()]


def test_what_a_simulated_mesh_says_at_start_after_a_change_and_at_rest():
    start, change, rest = run("bench_scale.py", "--agents", "6", "--rest", "120")
    assert (start[:2], change[:3], rest[:2]) == (["6", "start"], ["6", "a", "change"], ["6", "rest"])
    # Six agents tell of five others at least; a cut link changes two records, a rest refreshes all.
    heard = [float(cells[-4]) for cells in (start, change, rest)]
    assert heard[0] >= 5
    assert heard[1] >= 1
    assert heard[2] >= 5


def test_what_records_and_routes_cost_an_agent():
    [cells] = run("bench_routes.py", "--agents", "200", "--keys", "10", "--rounds", "1")
    assert len(cells) == 12
    assert all(float(cell) > 0 for cell in cells)
