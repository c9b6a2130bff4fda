"""Builds the package: by Setuptools, with a core that is compiled where that can be. ``pip`` calls it.

A wheel, which is what ``pip install .`` makes, is compiled if there is a C compiler, on the Python that
compiled agents are tested on; an installation in place (``pip install -e .``) is not. ``MESH_COMPILED=1`` in
the environment compiles both, ``MESH_COMPILED=0`` none (``setup.py``).
"""

import importlib.util
import os
import sys
from typing import Any

import c_compiler
from setuptools import build_meta

VARIABLE = "MESH_COMPILED"

TESTED_ON = (3, 11)
"""CI runs compiled agents on this one."""


def __getattr__(hook: str) -> Any:
    """All other hooks are Setuptools'."""
    return getattr(build_meta, hook)


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """What building takes: mypyc, too, if it is to compile."""
    _choose(why_interpreted())
    return build_meta.get_requires_for_build_wheel(config_settings)


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build it into ``wheel_directory``; its name."""
    has_mypyc = importlib.util.find_spec("mypyc") is not None  # without isolation nobody has fetched it
    _choose(why_interpreted() or ("" if has_mypyc else "mypyc is not here"))
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def why_interpreted() -> str:
    """Why nothing can be compiled here; empty if it can."""
    if sys.version_info[:2] != TESTED_ON:
        return f"compiled agents are tested on Python {'.'.join(map(str, TESTED_ON))} only"
    if c_compiler.has_compiler():
        return ""
    named = f", or CC={os.environ['CC']} is none" if os.environ.get("CC") else ""
    return f"there is no C compiler here, or no Python.h (Debian: gcc, python3-dev){named}"


def _choose(why_not: str) -> None:
    if os.environ.get(VARIABLE):
        return
    os.environ[VARIABLE] = "0" if why_not else "1"
    if why_not:
        print(f"the core stays interpreted: {why_not}", file=sys.stderr)
