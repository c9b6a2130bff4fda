"""An agent's audit log: what it writes down, as its configuration says."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mesh.agent.audit.entries import encoded
from mesh.agent.audit.trail import Trail
from mesh.agent.audit.trail_files import CHANGES, DIRECTORY
from mesh.agent.audit.trail_writer import TrailWriter
from mesh.auditing import AuditFact, AuditKind
from mesh.config.schema import AuditSection


class _Note(NamedTuple):
    kind: AuditKind
    unix_s: float
    facts: Mapping[str, AuditFact]


class AuditLog:
    """Implements :class:`~mesh.auditing.Auditing`; :meth:`close` ends it.

    Args:
        data_dir: of the agent; without one nothing is written down.
        section: what is, and how much of it is kept.
    """

    def __init__(self, data_dir: Path | None, section: AuditSection) -> None:
        self._data_dir = data_dir
        self._changes: tuple[TrailWriter[_Note], ...] = ()
        self.apply(section)

    def apply(self, section: AuditSection) -> None:
        """Write down what ``section`` says from now on."""
        if self._data_dir is None:
            return
        if section.changes and not self._changes:
            trail = Trail(
                self._data_dir / DIRECTORY, CHANGES, file_bytes=section.file_bytes, files=section.files
            )
            self._changes = (TrailWriter(trail, CHANGES, _encoded),)
        for writer in self._changes:
            writer.change(file_bytes=section.file_bytes, files=section.files)
        if not section.changes:
            ended, self._changes = self._changes, ()
            for writer in ended:
                writer.close()

    def note(self, kind: AuditKind, facts: Mapping[str, AuditFact]) -> None:
        """Write down that this has happened now; see :class:`~mesh.auditing.Auditing`."""
        for writer in self._changes:
            writer.put(_Note(kind, time.time(), facts))

    def close(self) -> None:
        """Write what is waiting."""
        for writer in self._changes:
            writer.close()


def _encoded(note: _Note) -> bytes:
    return encoded(note.kind, note.unix_s, note.facts)
