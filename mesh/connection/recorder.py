"""Writes down connections that have ended: all of them in the journal, as many as may be in the log."""

import logging
from collections import OrderedDict
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
"""Keys, and agents, that are counted on their own in a window; all others share one count."""

_OTHERS: Final = ""

_FIGURES: Final = "; %(duration_s)s s, %(to_service_bytes)d bytes to the service, %(to_client_bytes)d back"
_WAYS: Final = MappingProxyType(
    {
        End.INGRESS: "connection %(connection)s of %(key)s from %(client)s to %(exit)s: %(ending)s",
        End.EXIT: "connection %(connection)s of %(key)s from %(ingress)s to %(target)s: %(ending)s",
    }
)


class Recorder:
    """Writes records of one agent's connections down.

    A line of the log costs more than all else about a short connection. So each key has only so many a
    second, and the next one says how many were left out; no line is made of these. An agent that asks an exit
    for what that has no endpoint for may name a new key each time: it is counted itself.
    """

    def __init__(self) -> None:
        self._windows: OrderedDict[str, list[float]] = OrderedDict()
        """By key or agent: when its window began, and the lines wanted since. The oldest first."""

    def record(
        self, record: ConnectionRecord, journal: Journal, *, now: float, unix_s: float, lines_per_s: int
    ) -> None:
        """Write it down; ``lines_per_s`` is for each key, on average over ``WINDOW_S``."""
        view, place, limit = record.view, record.view.key, lines_per_s * WINDOW_S
        if view.end is End.EXIT:
            journal.add(EventKind.CONNECTION, unix_s, record, view.ingress)
            if record.ending is Ending.REFUSED or is_reserved(place):
                place = view.ingress  # the key may be any: it has chosen it, and there is no endpoint of it
        else:
            journal.add(EventKind.CONNECTION, unix_s, record, place)
        window = self._windows.get(place)
        if window is not None and window[1] >= limit and now - window[0] < WINDOW_S:
            window[1] += 1.0  # as with nearly all where there are many
            return
        passed, left_out = self._count(place, now, limit)
        if passed:
            extra = {"left_out": left_out, IN_JOURNAL_MARK: True}
            log.info(line_of(record), facts_of_record(record), extra=extra)

    def _count(self, place: str, now: float, limit: float) -> tuple[bool, int]:
        window = self._windows.get(place)
        if window is None and len(self._windows) >= MAX_PLACES:
            oldest, (began, _) = next(iter(self._windows.items()))
            if now - began < WINDOW_S:
                place = _OTHERS
                window = self._windows.get(place)
            else:
                del self._windows[oldest]
        if window is None or now - window[0] >= WINDOW_S:
            left_out = 0 if window is None else max(0, int(window[1] - limit))
            self._windows[place] = [now, 1.0]
            self._windows.move_to_end(place)
            return limit > 0, left_out
        window[1] += 1.0
        return window[1] <= limit, 0


def line_of(record: ConnectionRecord) -> str:
    """The line about it, with the names of its facts in it."""
    return f"{_WAYS[record.view.end]}{': %(reason)s' if record.reason else ''}{_FIGURES}"


def facts_of_record(record: ConnectionRecord) -> dict[str, Fact]:
    """What there is to say of it, by name."""
    view = record.view
    return {
        "connection": view.id or "(not open yet)",
        "end": view.end.value,
        "key": escaped(view.key),
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
