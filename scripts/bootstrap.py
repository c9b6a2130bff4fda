"""Set up the project's virtual environment with nothing but the standard library, and continue in it.

The environment lives in ``.venv`` beside ``pyproject.toml``. It is made once, and brought up to date when
``pyproject.toml`` has changed since. Other Pythons have environments of their own, such as ``.venv-3.12``.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
STAMP = "installed.sha256"
MINIMUM = (3, 11)

NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Of the environment: keeps Python from storing what it has compiled to bytecode."""

HAS_VENV = "import ensurepip, venv"
"""Fails where Debian's package python3-venv is missing: an environment made without it has no pip."""


PLAINLY = ("--config-settings", "editable_mode=compat")
"""The project's folder goes on the path. Else a finder of setuptools' own is loaded whenever Python starts,
which takes nearly as long as all the rest of that."""


class EnvironmentFailedError(Exception):
    """No environment; the text is for people."""


def continue_in_environment(extra: str = "", environment: Path = ENVIRONMENT) -> None:
    """Return inside ``environment`` with the project and ``extra``, by running the script again in it.

    Exits where this is not Linux, this Python is too old or an installation fails.
    """
    if sys.platform != "linux":
        sys.exit(f"mesh-agent needs Linux for now; this is {sys.platform}")
    if sys.version_info < MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Python {MINIMUM[0]}.{MINIMUM[1]} or later is needed; this is {found} ({sys.executable})")
    try:
        python = prepare(environment, sys.executable, extra)
    except EnvironmentFailedError as error:
        sys.exit(str(error))
    if Path(sys.prefix).resolve() != environment.resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 -- the very same script, in its environment


def prepare(environment: Path, interpreter: str, extra: str = "", *options: str) -> Path:
    """The Python of ``environment``, made with ``interpreter``, and with the project and ``extra`` in it.

    Args:
        environment: its folder.
        interpreter: what it is made with.
        extra: what of the project's optional dependencies is installed, if any.
        options: for pip.

    Raises:
        EnvironmentFailedError: it cannot be made, or the installation fails.
    """
    python = environment / "bin" / "python"
    if not python.exists():  # also where the interpreter that it was made with is gone
        if subprocess.run([interpreter, "-c", HAS_VENV], stderr=subprocess.DEVNULL, check=False).returncode:
            raise EnvironmentFailedError(
                f"{interpreter} cannot make virtual environments: on Debian and Ubuntu, install python3-venv"
            )
        print(f"Making the virtual environment {environment.name} ...", flush=True)
        if subprocess.run([interpreter, "-m", "venv", "--clear", environment], check=False).returncode:
            shutil.rmtree(environment, ignore_errors=True)  # it may have a Python, but no pip
            raise EnvironmentFailedError(f"{environment.name} could not be made")
    stamp = environment / STAMP
    wanted = f"{hashlib.sha256((ROOT / 'pyproject.toml').read_bytes()).hexdigest()} "
    installed = stamp.read_text().split("\n") if stamp.exists() else []
    if wanted + extra not in installed and wanted + "dev" not in installed:
        print("Installing the project and what it needs ...", flush=True)
        command = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *PLAINLY,
            *options,
        ]
        project = f"{ROOT}[{extra}]" if extra else str(ROOT)
        if subprocess.run([*command, "-e", project], check=False).returncode:
            raise EnvironmentFailedError(f"the installation into {environment.name} failed")
        current = [line for line in installed if line.startswith(wanted)]
        stamp.write_text("\n".join([*current, wanted + extra]))
    return python
