"""The Pythons of this machine that the project supports; standard library only."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import bootstrap

SUPPORTED = ("3.11", "3.12", "3.13")
"""As ``pyproject.toml`` says."""

PROBE = f"{bootstrap.HAS_VENV}, sys; print('%d.%d' % sys.version_info[:2])"
PROBE_TIMEOUT_S = 60


def find_pythons(environment: Mapping[str, str]) -> dict[str, Path]:
    """One Python for each supported version that there is, by version.

    Args:
        environment: of ``PATH``, ``PYENV_ROOT`` and ``HOME``.
    """
    found = {}
    for version in SUPPORTED:
        for folder in _folders(environment):
            python = folder / f"python{version}"
            if python.exists() and _works(python, version):
                found[version] = python
                break
    return found


def _folders(environment: Mapping[str, str]) -> Iterator[Path]:
    yield from (Path(entry) for entry in environment.get("PATH", "").split(os.pathsep) if entry)
    home = Path(environment.get("HOME", "/"))
    versions = Path(environment.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    yield from sorted(versions.glob("*/bin"))
    yield from sorted((home / ".local/share/uv/python").glob("*/bin"))


def _works(python: Path, version: str) -> bool:
    """Whether it is what it is called: pyenv has programs on PATH, one for each version, that do not run."""
    try:
        done = subprocess.run(
            [python, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version
