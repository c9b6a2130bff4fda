"""Whether this machine can compile for this Python; standard library only."""

import shutil
import sysconfig
from pathlib import Path


def has_compiler() -> bool:
    """Whether there is a C compiler for this Python, and its headers."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return shutil.which(compiler) is not None and (Path(sysconfig.get_path("include")) / "Python.h").exists()
