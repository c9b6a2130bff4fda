"""The steps of ``scripts/check``, and what came of them."""

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import bootstrap
import c_compiler
import compiled
from pythons import SUPPORTED

WORKERS_PER_CORE = 3
"""Tests of processes wait for them and for timers most of the time: while one does, others have the core."""
MOST_WORKERS = 16

SHARED = ("--dist", "worksteal")
"""A worker that has nothing left takes half of what another has still to do. By default tests are handed out
in chunks, as if all took equally long: in the end one worker had many system tests, the others nothing."""

PROCESS_TESTS = ("tests/scripts", "tests/security", "tests/system")
"""Most of these run agents and clients as processes."""

OTHER_TESTS = tuple(f"--ignore={folder}" for folder in PROCESS_TESTS)
"""These only compute."""

FEW = ("-q", "-p", "no:cacheprovider", "-m", "not system", "--hypothesis-profile", "few")
"""Another Python or build makes a difference to the first examples as to the hundredth."""

UNIT_TESTS = (*FEW, "tests/mesh/agent", "tests/actors/runtime")
"""What deals with the system: what another Python may make a difference to. All tests take many times as
long, so they run on one Python only."""

SCENARIOS = "tests/simulation/test_scenarios.py::test_invariants_hold"
"""Most of the core and of the actors takes part in these, so they run on the newest Python and on the
compiled build as well. What the newest and the oldest can do with mere values, Pythons between them can do,
too; and what the core decides is the same in both builds: one seed leaves one trace."""

COMPILED_TESTS = (
    *("-n", "2"),  # it begins last, when the others leave a processor free
    *FEW,
    *(f"tests/mesh/{room}" for room in ("connection", "link", "trust/noise")),
    *(f"tests/actors/{room}" for room in ("connections", "links", "runtime")),
    *(SCENARIOS, "tests/simulation/test_hostile_member.py::test_nobody_else_notices"),
)
COMPILED_ATTACKS = (
    *("pytest", "-p", "no:cacheprovider"),
    *(f"tests/security/test_member{where}.py" for where in ("", "_connections", "_on_thin_links")),
    *(f"tests/security/test_{name}.py" for name in ("on_the_wire", "relay", "stranger")),
)
SOAK = ("scripts.trial_runs.command", "soak", "--seconds", "10")
"""What runs on the compiled build as well: what it may make a difference to, and what may crash it."""

TRANSLATION = "tests/test_compiling.py::test_mypyc_translates_them"
"""What that build begins with."""

Done = subprocess.CompletedProcess[str]
Suite = Future[Done]
"""A step that may still run, and what it has said."""

MYPY = "mypy"
COMPILING = "compiling"

NICENESS = 10
"""Of what only computes: it gets what the tests of processes leave, and does not make them late."""
AWAITED_NICENESS = 5
"""Of the compiled build and what that begins with: half of the check waits for it."""

EXIT_USAGE = 2
PYTEST_USAGE = 4
"""What pytest answers to arguments that it does not know, and to tests that are not there."""


def main(arguments: Sequence[str], pythons: Mapping[str, Path] | None, *, on_compiled: bool = False) -> int:
    """Run every step, whatever the others say; 0 where all passed, 2 if pytest does not take the arguments.

    Args:
        arguments: for pytest, which runs all tests without any.
        pythons: by version, for the unit tests; ``None`` is this Python only.
        on_compiled: whether tests run on the compiled build, too.
    """
    if arguments and not _are_understood(arguments):
        return EXIT_USAGE
    cores = len(os.sched_getaffinity(0))
    workers = str(min(WORKERS_PER_CORE * cores, MOST_WORKERS))
    failed: list[str] = []

    def step(name: str, *command: str, run: Callable[[list[str]], Done] = _run) -> None:
        print(f"== {name}", flush=True)
        if run([sys.executable, *command]).returncode:
            failed.append(name)

    if on_compiled and not c_compiler.has_compiler():
        print("== compiled build: left out, there is no C compiler here, or no Python.h", flush=True)
        on_compiled = False

    step("ruff check", "-m", "ruff", "check", ".")
    step("ruff format", "-m", "ruff", "format", "--check", ".")
    computing = {MYPY: ["mypy"]}
    if arguments:
        tests = ("pytest", *arguments)
    else:
        tests = ("tests of processes", *PROCESS_TESTS)
        built_anyway = ("--deselect", TRANSLATION) if on_compiled else ()
        others = ["pytest", "-q", "-n", str(cores), *SHARED, *OTHER_TESTS, *built_anyway]
        computing["all other tests"] = others
    with _meanwhile(computing, pythons or {}, on_compiled=on_compiled) as suites:
        step(tests[0], "-m", "pytest", "-n", workers, *SHARED, *tests[1:])
        if on_compiled and not suites[COMPILING].result().returncode:
            step("attacks (compiled)", "-m", *COMPILED_ATTACKS, "-n", workers, *SHARED, run=compiled.run)
            step("soak (compiled)", "-m", *SOAK, run=compiled.run)
        failed += _failures(suites)
    if pythons is not None:
        for version in _others():
            if version not in pythons:
                print(f"== {_unit_tests(version)}: left out, there is no such Python here", flush=True)
    if failed:
        print(f"FAILED: {', '.join(failed)}")
        return 1
    print("All checks passed.")
    return 0


def _are_understood(arguments: Sequence[str]) -> bool:
    """Ask pytest before all else, so that what is wrong is told at once."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    done = subprocess.run(command, cwd=bootstrap.ROOT, check=False, capture_output=True, text=True)
    if done.returncode != PYTEST_USAGE:
        return True
    print(done.stderr.strip() or done.stdout.strip(), file=sys.stderr)
    return False


@contextlib.contextmanager
def _meanwhile(
    commands: Mapping[str, list[str]], pythons: Mapping[str, Path], *, on_compiled: bool
) -> Iterator[dict[str, Suite]]:
    """Run modules with this Python, tests with all others and compiled, beside the caller; suites by name."""
    versions = [version for version in _others() if version in pythons]
    # One at a time, for each installation writes the project's metadata beside its source.
    with (
        _nice_threads(1) as installer,
        _nice_threads(2, AWAITED_NICENESS) as builders,
        _nice_threads(len(commands) + len(versions) + 1) as pool,
    ):
        suites = {
            name: (builders if name == MYPY else pool).submit(_run_quietly, [sys.executable, "-m", *command])
            for name, command in commands.items()
        }
        for version in versions:
            environment = installer.submit(_prepare, version, pythons[version])
            tests = (*UNIT_TESTS, SCENARIOS) if version == SUPPORTED[-1] else UNIT_TESTS
            suites[_unit_tests(version)] = pool.submit(_run_unit_tests, environment, tests)
        if on_compiled:
            suites[COMPILING] = builders.submit(_compile, suites[MYPY])
            suites["unit tests and simulations (compiled)"] = pool.submit(_run_compiled, suites[COMPILING])
        yield suites


def _nice_threads(count: int, niceness: int = NICENESS) -> ThreadPoolExecutor:
    """Threads that run what can wait: on Linux each has a niceness, which its processes inherit."""
    return ThreadPoolExecutor(count, initializer=os.nice, initargs=(niceness,))


def _prepare(version: str, interpreter: Path) -> Path:
    """Make the environment of another Python; the Python in it.

    Its tests import a quarter of what is installed: nothing is compiled to bytecode ahead.
    """
    environment = bootstrap.ENVIRONMENT.with_name(f"{bootstrap.ENVIRONMENT.name}-{version}")
    return bootstrap.prepare(environment, str(interpreter), "dev", "--no-compile")


def _run_unit_tests(environment: Future[Path], tests: Sequence[str]) -> Done:
    """In one process, for there are several Pythons and each worker would collect the tests once more."""
    return _run_quietly([str(environment.result()), "-m", "pytest", *tests])


def _compile(checked: Suite) -> Done:
    """After mypy, whose cache spares mypyc a third of its time."""
    checked.result()
    return compiled.build()


def _run_compiled(built: Suite) -> Done:
    """As on another Python, once there is the build."""
    if built.result().returncode:
        return Done((), 1, "not run: nothing has been compiled\n")
    return compiled.run([sys.executable, "-m", "pytest", *COMPILED_TESTS], **compiled.QUIETLY)


def _failures(suites: Mapping[str, Suite]) -> Iterator[str]:
    """Tell what came of the suites, one after the other; the names of those that failed."""
    for name, suite in suites.items():
        print(f"== {name}", flush=True)
        try:
            done = suite.result()
        except bootstrap.EnvironmentFailedError as error:
            print(error, flush=True)
            yield name
            continue
        print(done.stdout, end="", flush=True)
        if done.returncode:
            yield name


def _others() -> list[str]:
    """The supported versions that this Python is not."""
    own = ".".join(platform.python_version_tuple()[:2])
    return [version for version in SUPPORTED if version != own]


def _unit_tests(version: str) -> str:
    return f"unit tests (Python {version})"


def _run_quietly(command: list[str]) -> Done:
    """What it says is in what this returns."""
    return _run(command, **compiled.QUIETLY)


def _run(command: list[str], **output: int) -> Done:
    """Keep what is compiled: hundreds of processes import the same modules."""
    environment = {name: value for name, value in os.environ.items() if name != bootstrap.NO_BYTECODE}
    return subprocess.run(command, cwd=bootstrap.ROOT, env=environment, check=False, text=True, **output)
