"""How a line of the log becomes an event, and what in it is a fact for programs.

A line names its facts: ``log.info("listener %(key)s refuses: %(reason)s", {"key": key, "reason": why})``.
People read the text; in the JSON form, and in ``mesh events --json``, each fact stands beside it as well. So
a line that names a key, an agent or an address has them as fields, by the same names everywhere.

A line with :func:`event` is of that kind. Alarms are, too, and any other warning or error is a problem.
"""

from typing import Final

from mesh.journal import EventKind

EVENT_MARK: Final = "event_kind"
"""Attribute of a record that is an event: its kind."""

IN_JOURNAL_MARK: Final = "is_in_journal"
"""Attribute of a record that tells of what the journal has already."""


def event(kind: EventKind) -> dict[str, str]:
    """``extra`` of a line that is an event: ``log.info("...", facts, extra=event(EventKind.LINK))``.

    Of one that others can cause at will, ``extra=sampled(place) | event(EventKind.LINK)``: what is left out
    of the log is left out of the journal.
    """
    return {EVENT_MARK: kind.value}
