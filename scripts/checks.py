"""The steps of ``scripts/check``, one after the other, and what came of them."""

import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import bootstrap
from pythons import SUPPORTED

PYTEST = ("pytest", "-n", "auto", "--maxprocesses", "4")

UNIT_TESTS = ("-q", "-p", "no:cacheprovider", "-m", "not system", "tests/mesh", "tests/actors")
"""The pure core, the actors and the process around them: what another Python may make a difference to, in a
minute. All tests take several, so they run on one Python only."""


def main(arguments: Sequence[str], pythons: Mapping[str, Path] | None) -> int:
    """Run every step, whatever the others say; 0 where all passed.

    Args:
        arguments: for pytest.
        pythons: by version, for the unit tests; ``None`` is this Python only.
    """
    failed = [] if pythons is None else list(_failures_elsewhere(pythons))
    for name, command in (
        ("ruff check", ["ruff", "check", "."]),
        ("ruff format", ["ruff", "format", "--check", "."]),
        ("mypy", ["mypy"]),
        ("pytest", [*PYTEST, *arguments]),
    ):
        if not _passes(f"{name} (Python {platform.python_version()})", [sys.executable, "-m", *command]):
            failed.append(name)
    if failed:
        print(f"FAILED: {', '.join(failed)}")
        return 1
    print("All checks passed.")
    return 0


def _failures_elsewhere(pythons: Mapping[str, Path]) -> Iterator[str]:
    """Names of what failed on the other Pythons, each of which has its own environment."""
    own = ".".join(platform.python_version_tuple()[:2])
    for version in (version for version in SUPPORTED if version != own):
        title = f"unit tests (Python {version})"
        if version not in pythons:
            print(f"== {title}: left out, there is no such Python here", flush=True)
            continue
        try:
            environment = bootstrap.ROOT / f"{bootstrap.ENVIRONMENT.name}-{version}"
            python = bootstrap.prepare(environment, str(pythons[version]), "dev")
        except bootstrap.EnvironmentFailedError as error:
            print(f"== {title}: {error}", flush=True)
            yield title
            continue
        if not _passes(title, [str(python), "-m", *PYTEST, *UNIT_TESTS]):
            yield title


def _passes(title: str, command: list[str]) -> bool:
    print(f"== {title}", flush=True)
    return subprocess.run(command, cwd=bootstrap.ROOT, check=False).returncode == 0
