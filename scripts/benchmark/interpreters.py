"""What agents run on: which Python, how it was built, and whether the mesh's core is compiled."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from scripts.benchmark.processes import COMMAND_TIMEOUT_S, BenchmarkError
from scripts.lab.software import Software

PROBE: Final = """
import json, platform, sysconfig, mesh
try:
    from mesh.agent.software import software_build
except ImportError:  # before the core could be compiled
    package = "interpreted"
else:
    package = str(software_build())
names = ("CONFIG_ARGS", "PY_CFLAGS", "PY_CORE_CFLAGS")
options = [str(sysconfig.get_config_var(name) or "") for name in names]
print(json.dumps({
    "name": platform.python_implementation(),
    "version": platform.python_version(),
    "machine": platform.machine(),
    "options": " ".join(options),
    "schemes": sysconfig.get_scheme_names(),
    "package": package,
}))
"""
"""Printed by the interpreter that is asked."""

PROFILED: Final = ("--enable-optimizations", "-fprofile-use", "-fprofile-instr-use")
LINKED_AS_ONE: Final = ("--with-lto", "-flto")

DEBIAN: Final = "deb_system"
"""An installation scheme that Debian's Pythons have, and those made from its sources, as Ubuntu's."""
DEBIAN_PROFILES: Final = ("x86_64", "aarch64")
"""Machines for which these are built with profiles and as one, though their ``sysconfig`` does not say so,
which is that of another build (changelog of Debian's python3.8: 3.8.0~b2-3, 3.8.0~b3-1)."""

SLOW: Final = (
    "a CPython without profile-guided optimisation (PGO): agents need a tenth to a fifth more time on it than"
    " on Debian's, and ratios to ssh are as much worse"
)
"""Said of one that was built without."""


class Interpreter(msgspec.Struct, frozen=True):
    """What one said of itself."""

    version: str
    """With its name."""
    profiled: bool
    """Whether it was built with profile-guided optimisation."""
    linked_as_one: bool
    """Whether with link-time optimisation."""
    by_debian: bool
    package: str
    """Whether the mesh's core is ``compiled`` or ``interpreted``."""

    @property
    def build(self) -> str:
        """For people."""
        words = "with PGO" if self.profiled else "without PGO"
        words += " and LTO" if self.linked_as_one else ""
        return f"{words} (Debian's)" if self.by_debian else words


def ask(software: Software) -> Interpreter:
    """Have its interpreter say what it is.

    Raises:
        BenchmarkError: it does not, or there is no mesh in it.
    """
    try:
        done = subprocess.run(
            software.command("-c", PROBE),
            cwd=software.folder,
            env={**os.environ, **software.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise BenchmarkError(f"{software.python}: {error.strerror}") from None
    if done.returncode:
        raise BenchmarkError(f"{software.python} cannot run agents:\n{done.stderr.strip()}")
    return read(json.loads(done.stdout))


def read(said: Mapping[str, Any]) -> Interpreter:
    """What ``PROBE`` printed."""
    by_debian = DEBIAN in said["schemes"]
    known = by_debian and said["machine"] in DEBIAN_PROFILES
    return Interpreter(
        version=f"{said['name']} {said['version']}",
        profiled=known or _has_one(PROFILED, said["options"]),
        linked_as_one=known or _has_one(LINKED_AS_ONE, said["options"]),
        by_debian=by_debian,
        package=said["package"],
    )


def _has_one(words: Sequence[str], options: str) -> bool:
    return any(word in options for word in words)
