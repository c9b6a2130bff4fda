"""An agent's audit log: what it writes down, as its configuration says."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from actors.meters import Meters, unheard
from mesh.agent.audit.entries import connection_facts, encoded
from mesh.agent.audit.pace import LEFT_OUT, EntryPace, RefusalPace
from mesh.agent.audit.requested import is_refused
from mesh.agent.audit.standing import TrailStanding
from mesh.agent.audit.trail import Trail
from mesh.agent.audit.trail_files import CHANGES, CONNECTIONS, DIRECTORY
from mesh.agent.audit.trail_writer import TrailWriter
from mesh.auditing import AuditFact, AuditKind
from mesh.config.schema import AuditSection
from mesh.connection.endings import ConnectionRecord, ConnectionView, End, Ending
from mesh.connection.reserved import is_reserved


class _Note(NamedTuple):
    kind: AuditKind
    unix_s: float
    facts: Mapping[str, AuditFact]


class _Ended(NamedTuple):
    record: ConnectionRecord
    unix_s: float
    left_out: int
    """Refused before it, to the same one, and not written down."""


class AuditLog:
    """Implements :class:`~mesh.auditing.Auditing`; :meth:`close` ends it.

    Args:
        data_dir: of the agent; without one nothing is written down.
        section: what is, and how much of it is kept.
        meters: whose connections are heard of while they are to be written down.
    """

    def __init__(
        self,
        data_dir: Path | None,
        section: AuditSection,
        meters: Meters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data_dir, self._meters, self._clock = data_dir, meters, clock
        self._pace, self._refusals, self._lock = EntryPace(), RefusalPace(), threading.Lock()
        self._changes: tuple[TrailWriter[_Note], ...] = ()
        self._connections: tuple[TrailWriter[_Ended], ...] = ()
        self.apply(section)

    def apply(self, section: AuditSection) -> None:
        """Write down what ``section`` says from now on."""
        if self._data_dir is None:
            return
        directory = self._data_dir / DIRECTORY
        ended: list[TrailWriter[_Note] | TrailWriter[_Ended]] = []
        if section.changes and not self._changes:
            trail = _trail(directory, CHANGES, section)
            self._changes = (TrailWriter(trail, CHANGES, _encoded_note, is_synced=True),)
        elif not section.changes:
            ended += self._changes
            self._changes = ()
        if section.connections and not self._connections:
            trail = _trail(directory, CONNECTIONS, section)
            self._connections = (TrailWriter(trail, CONNECTIONS, _encoded_connection),)
            self._meters.connection_ended = self._note_connection
        elif not section.connections:
            self._meters.connection_ended = unheard
            ended += self._connections
            self._connections = ()
        for each in self._writers():
            each.change(file_bytes=section.file_bytes, files=section.files)
        for each in ended:
            each.close()

    def note(self, kind: AuditKind, facts: Mapping[str, AuditFact]) -> None:
        """Write down that this has happened now; see :class:`~mesh.auditing.Auditing`."""
        with self._lock:
            if kind is AuditKind.REQUEST and is_refused(facts):
                left_out = self._refusals.take(f"{facts['way']} {facts['who']}", self._clock())
            else:
                left_out = self._pace.take(kind, str(facts.get("id", "")), self._clock())
        if left_out == LEFT_OUT:
            return
        more = {"left_out": left_out} if left_out else {}
        for writer in self._changes:
            writer.put(_Note(kind, time.time(), {**facts, **more}))

    def _note_connection(self, record: ConnectionRecord, unix_s: float) -> None:
        left_out = 0
        if record.ending is Ending.REFUSED or is_reserved(record.view.key):  # every member may have echoes
            with self._lock:
                left_out = self._refusals.take(_refused_to(record.view), self._clock())
        if left_out == LEFT_OUT:
            return
        for writer in self._connections:
            writer.put(_Ended(record, unix_s, left_out))

    def standing(self) -> tuple[TrailStanding, ...]:
        """How each trail stands that is written."""
        return tuple(writer.standing() for writer in self._writers())

    def close(self) -> None:
        """Write what is waiting."""
        for writer in self._writers():
            writer.close()

    def _writers(self) -> "tuple[TrailWriter[_Note] | TrailWriter[_Ended], ...]":
        return (*self._changes, *self._connections)


def _trail(directory: Path, name: str, section: AuditSection) -> Trail:
    return Trail(directory, name, file_bytes=section.file_bytes, files=section.files)


def _encoded_note(note: _Note) -> bytes:
    return encoded(note.kind, note.unix_s, note.facts)


def _encoded_connection(ended: _Ended) -> bytes:
    facts = connection_facts(ended.record)
    more = {"left_out": ended.left_out} if ended.left_out else {}
    return encoded(AuditKind.CONNECTION, ended.unix_s, facts | more)


def _refused_to(view: ConnectionView) -> str:
    """The agent that asked, or the host of the client: nobody chooses that, as he may the key."""
    return view.ingress if view.end is End.EXIT else view.client.rpartition(":")[0]
