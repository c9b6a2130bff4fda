"""Takes events out of the log: of what is let through, at whatever level is written."""

import logging
from typing import Final

from mesh.agent.log_formats import facts_of, level_name, message_of
from mesh.escaping import escaped
from mesh.journal import EventKind, Fact, Journal, Note
from mesh.sampling import ALARM_MARK, MARK
from mesh.telling import EVENT_MARK, IN_JOURNAL_MARK

LOWEST_LEVEL: Final = logging.INFO
"""Below it nothing is an event."""


class EventTap(logging.Filter):
    """Lets everything pass, and keeps what is an event.

    It stands behind the filter of repetitions: what repeats too often to be written is no news here either.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def filter(self, record: logging.LogRecord) -> bool:
        """True; the record is in the journal, if it is an event."""
        if record.levelno >= LOWEST_LEVEL and not hasattr(record, IN_JOURNAL_MARK):
            kind = _kind(record)
            if kind is not None:
                facts = {name: _fact(value) for name, value in facts_of(record).items()}
                note = Note(level_name(record), message_of(record), facts)
                self._journal.add(kind, record.created, note, str(getattr(record, MARK, "")))
        return True


def _kind(record: logging.LogRecord) -> EventKind | None:
    marked = getattr(record, EVENT_MARK, None)
    if marked is not None:
        return EventKind(marked)
    if hasattr(record, ALARM_MARK):
        return EventKind.ALARM
    return EventKind.PROBLEM if record.levelno >= logging.WARNING else None


def _fact(value: object) -> Fact:
    return value if value is None or isinstance(value, bool | int | float) else escaped(str(value))
