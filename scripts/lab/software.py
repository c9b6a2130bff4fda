"""Whose agents run: a checkout's, or those of a package that is installed for some interpreter."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from scripts.lab.processes import ROOT

NOWHERE: Final = Path("/")
"""Where no modules are, so that installed ones are found."""


class Software(msgspec.Struct, frozen=True):
    """An interpreter, and the folder whose modules come before installed ones."""

    python: Path
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that its processes need.

        Python stores the byte code of what it imports, whatever the caller's environment says: an installed
        package has it, so a start without it is nobody's.
        """
        return {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": ""}

    @property
    def client(self) -> str:
        """The module that is the command ``mesh``."""
        return "mesh" if (self.folder / "mesh/__main__.py").exists() else "mesh.agent.entry"

    def command(self, *arguments: object) -> list[str]:
        """The command of a program in it, to be run in its folder."""
        return list(map(str, (self.python, *arguments)))


OURS: Final = Software(Path(sys.executable), ROOT)
"""This checkout, in this interpreter."""


def found_at(path: Path) -> Software:
    """What ``path`` is: a checkout, in this interpreter; or the Python of an environment with the package.

    Raises:
        ValueError: it is neither; for people.
    """
    if (path / "mesh").is_dir():
        return Software(Path(sys.executable), path.resolve())
    if path.is_file() and os.access(path, os.X_OK):
        # Not resolved: the link in an environment is what says which environment it is.
        return Software(path.absolute(), NOWHERE)
    raise ValueError(
        f"{path}: expected a checkout of this project, with a folder mesh, or a Python that has the package"
    )
