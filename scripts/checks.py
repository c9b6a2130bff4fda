"""The steps of ``scripts/check``, and what came of them."""

import contextlib
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

ALL_TESTS = ("--dist", "worksteal")
"""A worker that has nothing left takes half of what another has still to do. By default tests are handed out
in chunks, as if all took equally long: in the end one worker had many system tests, the others nothing."""

UNIT_TESTS = ("-q", "-p", "no:cacheprovider", "-m", "not system", "tests/mesh", "tests/actors")
"""The pure core, the actors and the process around them: what another Python may make a difference to. All
tests take several times as long, so they run on one Python only."""

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

    cores = len(os.sched_getaffinity(0))
    with _elsewhere(pythons or {}, cores) as suites:
        step("ruff check", "ruff", "check", ".")
        step("ruff format", "ruff", "format", "--check", ".")
        step("mypy", "mypy")
        if pythons is not None:
            failed += _failures_elsewhere(suites)
    workers = min(WORKERS_PER_CORE * cores, MOST_WORKERS)
    step("pytest", "pytest", "-n", str(workers), *ALL_TESTS, *arguments)
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


Suite = Future[subprocess.CompletedProcess[str]]
"""The unit tests on another Python, which may still run, and what they have said."""


@contextlib.contextmanager
def _elsewhere(pythons: Mapping[str, Path], cores: int) -> Iterator[dict[str, Suite]]:
    """Run the unit tests on all other Pythons meanwhile, each on its share of the cores; suites by version.

    They wait for nothing, so a worker a core it is. Nor does it hurt them to run beside the linters.
    """
    versions = [version for version in _others() if version in pythons]
    workers = cores // max(1, len(versions))
    # One at a time, for each installation writes the project's metadata beside its source.
    with ThreadPoolExecutor(1) as installer, ThreadPoolExecutor(max(1, len(versions))) as pool:
        suites = {}
        for version in versions:
            environment = installer.submit(_prepare, version, pythons[version])
            suites[version] = pool.submit(_run_unit_tests, environment, workers)
        yield suites


def _prepare(version: str, interpreter: Path) -> Path:
    """Make the environment of another Python; the Python in it."""
    environment = bootstrap.ENVIRONMENT
    return bootstrap.prepare(environment.with_name(f"{environment.name}-{version}"), str(interpreter), "dev")


def _run_unit_tests(environment: Future[Path], workers: int) -> subprocess.CompletedProcess[str]:
    command = [str(environment.result()), "-m", "pytest", *UNIT_TESTS]
    if workers > 1:
        command += ["-n", str(workers)]
    return subprocess.run(
        command,
        cwd=bootstrap.ROOT,
        env=_environment(),
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _failures_elsewhere(suites: Mapping[str, Suite]) -> Iterator[str]:
    """Tell what came of the suites, one after the other; the names of those that failed."""
    for version in _others():
        title = f"unit tests (Python {version})"
        if version not in suites:
            print(f"== {title}: left out, there is no such Python here", flush=True)
            continue
        try:
            done = suites[version].result()
        except bootstrap.EnvironmentFailedError as error:
            print(f"== {title}: {error}", flush=True)
            yield title
            continue
        print(f"== {title}\n{done.stdout}", end="", flush=True)
        if done.returncode:
            yield title


def _others() -> list[str]:
    """The supported versions that this Python is not."""
    own = ".".join(platform.python_version_tuple()[:2])
    return [version for version in SUPPORTED if version != own]


def _passes(title: str, command: list[str]) -> bool:
    print(f"== {title}", flush=True)
    return subprocess.run(command, cwd=bootstrap.ROOT, env=_environment(), check=False).returncode == 0


def _environment() -> dict[str, str]:
    """Ours; but hundreds of processes import the same modules, which each would have to compile again."""
    return {name: value for name, value in os.environ.items() if name != NO_BYTECODE}
