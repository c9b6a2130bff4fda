"""Set up the project's virtual environment with nothing but the standard library, and continue in it.

The environment lives in ``.venv`` beside ``pyproject.toml``. It is made once, and brought up to date when
``pyproject.toml`` has changed since.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / "installed.sha256"
MINIMUM = (3, 11)


def continue_in_environment(extra: str) -> None:
    """Return inside the project's environment with ``extra`` installed, by running the script again in it.

    Exits where this Python is too old or an installation fails.
    """
    if sys.version_info < MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Python {MINIMUM[0]}.{MINIMUM[1]} or later is needed; this is {found} ({sys.executable})")
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        print("Making the virtual environment .venv ...", flush=True)
        venv.create(ENVIRONMENT, with_pip=True)
    wanted = f"{hashlib.sha256((ROOT / 'pyproject.toml').read_bytes()).hexdigest()} "
    installed = STAMP.read_text().split("\n") if STAMP.exists() else []
    if wanted + extra not in installed and wanted + "dev" not in installed:
        print("Installing the project and what it needs ...", flush=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e"]
        done = subprocess.run([*command, f"{ROOT}[{extra}]"], check=False)
        if done.returncode:
            sys.exit(done.returncode)
        current = [line for line in installed if line.startswith(wanted)]
        STAMP.write_text("\n".join([*current, wanted + extra]))
    if Path(sys.prefix).resolve() != ENVIRONMENT.resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 -- the very same script, in its environment
