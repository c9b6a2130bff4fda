"""Writes down connections that have ended: all of them in the journal, as many as may be in the log."""

import logging
from types import MappingProxyType
from typing import Final

from mesh.connection.endings import ConnectionRecord, End, Ending
from mesh.connection.reserved import is_reserved
from mesh.escaping import escaped
from mesh.journal import EventKind, Fact, Journal
from mesh.telling import IN_JOURNAL_MARK

log = logging.getLogger("mesh.connections")

WINDOW_S: Final = 10.0
"""The time over which the lines of a key are counted: opening one page may well take twenty connections."""

MAX_PLACES: Final = 1_024
"""Keys, and agents, that are counted on their own in a window; all others share a count."""

_OTHERS: Final = ""

_ENDED: Final = "connections of %(what)s: %(count)d more have ended; mesh events has the latest"
_REFUSED: Final = "connections of %(what)s: %(count)d more were refused; mesh events has the latest"

_FIGURES: Final = "; %(duration_s)s s, %(to_service_bytes)d bytes to the service, %(to_client_bytes)d back"
_WAYS: Final = MappingProxyType(
    {
        End.INGRESS: "connection %(connection)s of %(key)s from %(client)s to %(exit)s: %(ending)s",
        End.EXIT: "connection %(connection)s of %(key)s from %(ingress)s to %(target)s: %(ending)s",
    }
)


class LinesCount:
    """The lines that were wanted for one key, or agent, in one window of time."""

    __slots__ = ("began", "left_out", "line", "name", "passed")

    def __init__(self, name: str, line: str, began: float) -> None:
        self.name = name
        self.line = line
        """What is told of those that have none."""
        self.began = began
        """Monotonic seconds."""
        self.passed = 0
        self.left_out = 0

    def tell(self) -> None:
        """Say how many were left out, once the window is over."""
        facts = {"count": self.left_out, "what": escaped(self.name) or "other keys"}
        log.info(self.line, facts, extra={IN_JOURNAL_MARK: True})


class _Counts:
    """By key or agent, the oldest first."""

    __slots__ = ("_by_name", "_line")

    def __init__(self, line: str) -> None:
        self._by_name: dict[str, LinesCount] = {}
        self._line = line

    def of(self, name: str, now: float) -> LinesCount:
        """One that began less than a window ago: its own, or that of all those for whom there is no room."""
        count = self._by_name.get(name)
        if count is not None and now - count.began < WINDOW_S:
            return count
        return self._begin(name, now)

    def _begin(self, name: str, now: float) -> LinesCount:
        counts = self._by_name
        if name not in counts and len(counts) >= MAX_PLACES:
            oldest = next(iter(counts.values()))
            if now - oldest.began < WINDOW_S:
                name = _OTHERS
                others = counts.get(name)
                if others is not None and now - others.began < WINDOW_S:
                    return others
            else:
                del counts[oldest.name]
        counts.pop(name, None)  # the new one stands at the end
        count = counts[name] = LinesCount(name, self._line, now)
        return count


class Recorder:
    """Writes records of one agent's connections down.

    A line of the log costs more than all else about a short connection. So each key has only so many in a
    window of time, and as many again for clients that were refused; at its end one line says how many were
    left out. An agent that asks an exit for what that has no endpoint for may name a new key each time: it is
    counted itself.
    """

    def __init__(self) -> None:
        self._ended, self._refused = _Counts(_ENDED), _Counts(_REFUSED)
        """One that was refused is no line among many of the others."""

    def record(
        self, record: ConnectionRecord, journal: Journal, *, now: float, unix_s: float, lines_per_s: int
    ) -> LinesCount | None:
        """Write it down; ``lines_per_s`` is for each key, on average over ``WINDOW_S``.

        Returns:
            What is to tell when ``WINDOW_S`` have gone by since it began, if this is the first left out.
        """
        view, name = record.view, record.view.key
        counts = self._refused if record.ending is Ending.REFUSED else self._ended
        if view.end is End.EXIT:
            journal.add(EventKind.CONNECTION, unix_s, record, view.ingress)
            if counts is self._refused or is_reserved(name):
                name = view.ingress  # the key may be any: it has chosen it, and there is no endpoint of it
        else:
            journal.add(EventKind.CONNECTION, unix_s, record, name)
        count = counts.of(name, now)
        if count.passed >= lines_per_s * WINDOW_S:  # as with nearly all where there are many
            count.left_out += 1
            return count if count.left_out == 1 and lines_per_s else None
        count.passed += 1
        log.info(line_of(record), facts_of_record(record), extra={IN_JOURNAL_MARK: True})
        return None


def line_of(record: ConnectionRecord) -> str:
    """The line about it, with the names of its facts in it."""
    return f"{_WAYS[record.view.end]}{': %(reason)s' if record.reason else ''}{_FIGURES}"


def facts_of_record(record: ConnectionRecord) -> dict[str, Fact]:
    """What there is to say of it, by name."""
    view = record.view
    return {
        "connection": view.id or "(not open yet)",
        "end": view.end.value,
        "key": escaped(view.key) or "(an unreadable key)",
        "client": view.client,
        "ingress": view.ingress,
        "exit": view.exit or "nobody",
        "target": view.target or "nowhere yet",
        "ending": record.ending.value,
        "reason": record.reason,
        "duration_s": round(view.age_s, 3),
        "to_service_bytes": view.to_service_bytes,
        "to_client_bytes": view.to_client_bytes,
    }
