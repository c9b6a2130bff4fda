"""Alarms as metrics: which members have a series of their own, and what all others have together.

A series is kept for years by whoever scrapes it, so there are few. A member has one while it is counted now
and then, and leaves it to another one when it has been quiet for long. No series falls: a member that comes
back has all that it had, and what was counted while it had none stays with the others. Only one that has
become one of the others meanwhile (``mesh/alarms.py``) begins anew.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final

from mesh.alarms import OTHERS, AlarmCount, AlarmKind

MAX_ALARMS_NAMED: Final = 32
"""Members with a series of their own, for each kind of alarm. A kind has a metric of its own as well."""

NAME_KEPT_S: Final = 3_600.0
"""A member to whose alarms none is added for so long leaves its series to another one."""


class MeasuredAlarms:
    """Gives the series their names, from one scrape to the next; any thread may ask.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds = {kind: _Kind() for kind in AlarmKind}

    def of(self, alarms: Sequence[AlarmCount]) -> list[AlarmCount]:
        """The series that show ``alarms``, which are sorted by kind."""
        now = self._clock()
        with self._lock:
            shown: list[AlarmCount] = []
            for kind, each in groupby(alarms, key=lambda alarm: alarm.kind):
                shown += self._kinds[kind].series(tuple(each), now)
            return shown


class _Kind:
    """The series of one kind of alarm."""

    __slots__ = ("_named", "_others", "_seen")

    def __init__(self) -> None:
        self._named: dict[str, float] = {}
        """Members with a series, and when something was added to it last."""
        self._seen: dict[str, int] = {}
        """What every member had at the last scrape."""
        self._others = 0

    def series(self, alarms: Iterable[AlarmCount], now: float) -> list[AlarmCount]:
        times = {alarm.member: alarm for alarm in alarms}
        self._named = {member: at for member, at in self._named.items() if member in times}
        added = {
            member: alarm.times - self._seen.get(member, 0)
            for member, alarm in times.items()
            if alarm.times > self._seen.get(member, 0)
        }
        # What is counted for others since, but was for members, has been shown: it is no news.
        folded = sum(
            seen - (times[member].times if member in times else 0)
            for member, seen in self._seen.items()
            if member not in times or times[member].times < seen
        )
        if folded:
            added[OTHERS] = max(added.get(OTHERS, 0) - folded, 0)
        self._seen = {member: alarm.times for member, alarm in times.items()}
        self._named |= dict.fromkeys(self._named.keys() & added.keys(), now)
        for member, more in added.items():
            if member not in self._named and not (member != OTHERS and self._name(member, now)):
                self._others += more
        shown = [times[member] for member in self._named]
        if self._others:
            kind = next(iter(times.values())).kind
            shown.append(AlarmCount(kind, OTHERS, self._others))
        return shown

    def _name(self, member: str, now: float) -> bool:
        """Give ``member`` a series, if there is one to be had."""
        if len(self._named) >= MAX_ALARMS_NAMED:
            quietest = min(self._named, key=self._named.__getitem__)
            if now < self._named[quietest] + NAME_KEPT_S:
                return False
            del self._named[quietest]
        self._named[member] = now
        return True
