"""Whether this machine can compile for this Python; standard library only."""

import os
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path

TRIAL = "#include <Python.h>\n"
"""What a compiler without the headers of Python, or of C, does not take."""

TRIAL_S = 60.0
"""Any compiler has compiled it by then."""


def has_compiler() -> bool:
    """Whether the C compiler that Setuptools would call makes an object file, with Python's headers.

    That is ``CC`` of the environment, or else the one that this Python was built with.
    """
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "trial.c"), Path(folder, "trial.o")
        source.write_text(TRIAL)
        headers = [f"-I{sysconfig.get_path(name)}" for name in ("include", "platinclude")]
        command = [*compiler, *headers, "-c", str(source), "-o", str(made)]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=TRIAL_S)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0 and made.exists()
