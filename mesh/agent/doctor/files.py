"""An agent's configuration, key, certificate and directory, whether it runs or not."""

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mesh.agent.config_source import ConfigSource
from mesh.agent.credentials import check_files
from mesh.agent.doctor.check import About, Check, Level
from mesh.agent.files import AgentFileError
from mesh.agent.finding import CONTROL_NAME
from mesh.agent.layers import Layers
from mesh.agent.mixups import config_notices
from mesh.agent.offers import offer_problems
from mesh.agent.saved_services import NAME as SAVED_NAME
from mesh.agent.saved_services import read_saved
from mesh.config import ConfigError, Loaded
from mesh.config.schema import Config

OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Files:
    """What was read of an agent's files, and what was found in them.

    Args:
        path: of its configuration.
        now_unix_s: for the validity of its certificate.
    """

    def __init__(self, path: Path, now_unix_s: float) -> None:
        self.path = path
        self.config: Config | None = None
        """With what was saved at run time; ``None`` if it cannot be read."""
        self.checks = tuple(self._checks(now_unix_s))

    def _checks(self, now_unix_s: float) -> Iterator[Check]:
        try:
            loaded = ConfigSource(self.path, {}).read()
        except ConfigError as error:
            for line in str(error).splitlines():
                yield Check(About.CONFIGURATION, Level.PROBLEM, line)
            return
        self.config = loaded.config
        yield from self._configuration(loaded)
        yield from _certificates(loaded, now_unix_s)
        yield from self._permissions()

    def _configuration(self, loaded: Loaded) -> Iterator[Check]:
        file = loaded.config
        found = [
            *(
                Check(About.CONFIGURATION, Level.PROBLEM, f"{self.path}: {line}")
                for line in offer_problems(file)
            ),
            *(
                Check(About.CONFIGURATION, Level.WARNING, f"{self.path}: {line}")
                for line in config_notices(file, loaded.written)
            ),
            *self._saved(file),
        ]
        if not found:
            name = loaded.written.get("agent.name", file.agent.name)
            found.append(Check(About.CONFIGURATION, Level.OK, f"{self.path}: agent {name}"))
        yield from found

    def _saved(self, file: Config) -> Iterator[Check]:
        if file.agent.data_dir is None:
            return
        try:
            saved = read_saved(file.agent.data_dir)
        except (ConfigError, AgentFileError) as error:
            remedy = "mend it, or take it away: an agent does not start with it"
            for line in str(error).splitlines():
                yield Check(About.CONFIGURATION, Level.PROBLEM, line, remedy)
            return
        self.config, clashes = Layers(file, saved).desired()
        for clash in clashes:
            yield Check(About.CONFIGURATION, Level.WARNING, f"left out of what was saved: {clash}")

    def _permissions(self) -> Iterator[Check]:
        found = list(self._forbidden())
        if not found:
            found.append(Check(About.PERMISSIONS, Level.OK, "nobody else can write what this agent reads"))
        yield from found

    def _forbidden(self) -> Iterator[Check]:
        yield from _writable_by_others(self.path, "and so say what this agent does")
        data_dir = None if self.config is None else self.config.agent.data_dir
        if data_dir is None or not data_dir.is_dir():
            return
        if not os.access(data_dir, os.W_OK | os.X_OK):
            yield Check(
                About.PERMISSIONS,
                Level.WARNING,
                f"{data_dir}: you cannot write there: an agent that you start has no control socket",
                "ask as the user whose agent it is, or give the directory to that user: chown",
            )
        yield from _writable_by_others(data_dir / SAVED_NAME, "and so say what this agent offers")
        yield from _socket(data_dir / CONTROL_NAME)
        yield from _room(data_dir)


def _certificates(loaded: Loaded, now_unix_s: float) -> Iterator[Check]:
    result = check_files(loaded.config, now_unix_s=now_unix_s, written=loaded.written)
    for problem in result.problems:
        yield Check(About.CERTIFICATES, Level.PROBLEM, problem)
    for notice in result.notices:
        yield Check(About.CERTIFICATES, Level.WARNING, notice)
    if not (result.problems or result.notices):
        what = "valid, and for this agent's key" if loaded.config.trust else "none: this agent has no mesh"
        yield Check(About.CERTIFICATES, Level.OK, what)


def _mode(path: Path) -> int:
    """Its permission bits; 0 if it is not there or cannot be seen, which others tell."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _writable_by_others(path: Path, consequence: str) -> Iterator[Check]:
    mode = _mode(path)
    if mode & OTHERS_WRITE:
        yield Check(
            About.PERMISSIONS,
            Level.WARNING,
            f"{path}: others than its owner can write it (mode {mode:04o}), {consequence}",
            f"chmod go-w {shlex.quote(str(path))}",
        )


def _socket(path: Path) -> Iterator[Check]:
    mode = _mode(path)
    if mode & OTHERS:
        yield Check(
            About.PERMISSIONS,
            Level.PROBLEM,
            f"{path}: others than its owner can use it (mode {mode:04o}), and so change this agent",
            f"chmod 600 {shlex.quote(str(path))}",
        )


def _room(directory: Path) -> Iterator[Check]:
    try:
        space = os.statvfs(directory)
    except OSError:
        return
    if space.f_flag & os.ST_RDONLY:
        what = f"{directory}: is on a file system that is read-only: nothing can be saved at run time"
        yield Check(About.PERMISSIONS, Level.WARNING, what, "mount it for writing, or name another data_dir")
    elif not space.f_bavail:
        what = f"{directory}: no space is left on its file system: nothing can be saved at run time"
        yield Check(About.PERMISSIONS, Level.WARNING, what, "make room there")
