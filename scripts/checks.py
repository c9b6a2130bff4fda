"""The steps of ``scripts/check``, one after the other, and what came of them."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import bootstrap
from pythons import SUPPORTED

WORKERS_PER_CORE = 2
"""System tests wait for processes and timers most of the time: while one does, another has the core."""
MOST_WORKERS = 8

UNIT_TESTS = (
    *("-q", "-n", "auto", "--maxprocesses", "4", "-p", "no:cacheprovider"),
    *("-m", "not system", "tests/mesh", "tests/actors"),
)
"""The pure core, the actors and the process around them: what another Python may make a difference to, in a
minute. All tests take several, so they run on one Python only."""

EXIT_USAGE = 2
PYTEST_USAGE = 4
"""What pytest answers to arguments that it does not know, and to tests that are not there."""

NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Keeps Python from storing what it has compiled."""


def main(arguments: Sequence[str], pythons: Mapping[str, Path] | None) -> int:
    """Run every step, whatever the others say; 0 where all passed, 2 if pytest does not take the arguments.

    Args:
        arguments: for pytest.
        pythons: by version, for the unit tests; ``None`` is this Python only.
    """
    if arguments and not _are_understood(arguments):
        return EXIT_USAGE
    own = platform.python_version()
    failed: list[str] = []

    def step(name: str, *command: str) -> None:
        if not _passes(f"{name} (Python {own})", [sys.executable, "-m", *command]):
            failed.append(name)

    # One at a time, for each installation writes the project's metadata beside its source.
    with ThreadPoolExecutor(max_workers=1) as pool:
        environments = _prepare_others(pool, pythons or {})
        step("ruff check", "ruff", "check", ".")
        step("ruff format", "ruff", "format", "--check", ".")
        step("mypy", "mypy")
        if pythons is not None:
            failed += _failures_elsewhere(environments)
    workers = min(WORKERS_PER_CORE * len(os.sched_getaffinity(0)), MOST_WORKERS)
    step("pytest", "pytest", "-n", str(workers), *arguments)
    if failed:
        print(f"FAILED: {', '.join(failed)}")
        return 1
    print("All checks passed.")
    return 0


def _are_understood(arguments: Sequence[str]) -> bool:
    """Ask pytest before all else: its step is the last, and minutes away."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    done = subprocess.run(command, cwd=bootstrap.ROOT, check=False, capture_output=True, text=True)
    if done.returncode != PYTEST_USAGE:
        return True
    print(done.stderr.strip() or done.stdout.strip(), file=sys.stderr)
    return False


def _prepare_others(pool: ThreadPoolExecutor, pythons: Mapping[str, Path]) -> dict[str, Future[Path]]:
    """Start to make the environments of the other Pythons; by version, what will be the Python in each."""
    return {
        version: pool.submit(
            bootstrap.prepare,
            bootstrap.ROOT / f"{bootstrap.ENVIRONMENT.name}-{version}",
            str(pythons[version]),
            "dev",
        )
        for version in _others()
        if version in pythons
    }


def _failures_elsewhere(environments: Mapping[str, Future[Path]]) -> Iterator[str]:
    """Names of what failed on the other Pythons, each of which has its own environment."""
    for version in _others():
        title = f"unit tests (Python {version})"
        if version not in environments:
            print(f"== {title}: left out, there is no such Python here", flush=True)
            continue
        try:
            python = environments[version].result()
        except bootstrap.EnvironmentFailedError as error:
            print(f"== {title}: {error}", flush=True)
            yield title
            continue
        if not _passes(title, [str(python), "-m", "pytest", *UNIT_TESTS]):
            yield title


def _others() -> list[str]:
    """The supported versions that this Python is not."""
    own = ".".join(platform.python_version_tuple()[:2])
    return [version for version in SUPPORTED if version != own]


def _passes(title: str, command: list[str]) -> bool:
    print(f"== {title}", flush=True)
    # Hundreds of processes import the same modules, which each would have to compile again.
    environment = {name: value for name, value in os.environ.items() if name != NO_BYTECODE}
    return subprocess.run(command, cwd=bootstrap.ROOT, env=environment, check=False).returncode == 0
