"""How often somebody may cause the same kind of entry: nobody is to fill the files with what they repeat."""

from collections import OrderedDict
from typing import Final

from mesh.auditing import AuditKind
from mesh.remembered import Remembered
from mesh.token_bucket import TokenBucket

AGAIN_S: Final = 60.0
"""An agent's entries of one kind are so far apart; the next says how many were left out. Guesses name no
agent: those of all clients together are."""

PACED: Final = frozenset({AuditKind.ISSUED, AuditKind.NOT_ISSUED, AuditKind.GUESS})
"""What any member can cause without pause, or anybody who comes to ``http.address``."""

NOT_ISSUED_BURST: Final = 300.0
NOT_ISSUED_RATE: Final = 0.1
"""Entries of certificates that were refused, of all agents together: at once, and a second. Whoever has
stolen the key of another issuer comes as many agents. Such as were given are all written down."""

MAX_REMEMBERED: Final = 4_096
"""Agents, of each of which it is known when it had its last entry; the oldest are forgotten first."""

LEFT_OUT: Final = -1

REFUSED_BURST: Final = 30.0
REFUSED_RATE: Final = 0.1
"""What is refused to somebody is written down so often at once, and so many times a second: to ask for what
one does not get costs nothing, and without pause it would displace what others did within minutes."""


class EntryPace:
    """For one thread at a time."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[AuditKind, str], list[float]] = OrderedDict()
        """By kind and agent: when the last entry was, and how many were left out since."""
        self._not_issued = TokenBucket(NOT_ISSUED_RATE, NOT_ISSUED_BURST)
        self._left_out = 0
        """Of agents that had no entry, as there were too many of them."""

    def take(self, kind: AuditKind, who: str, now: float) -> int:
        """How many were left out before this one; :data:`LEFT_OUT` if this one is."""
        if kind not in PACED:
            return 0
        last = self._last.get((kind, who))
        if last is not None and now - last[0] < AGAIN_S:
            last[1] += 1
            return LEFT_OUT
        of_others = 0
        if kind is AuditKind.NOT_ISSUED:
            if not self._not_issued.take(now):
                self._left_out += 1
                return LEFT_OUT
            of_others, self._left_out = self._left_out, 0
        self._last[kind, who] = [now, 0]
        self._last.move_to_end((kind, who))
        if len(self._last) > MAX_REMEMBERED:
            self._last.popitem(last=False)
        return of_others if last is None else of_others + int(last[1])


class RefusalPace:
    """The same for what is refused; for one thread at a time."""

    def __init__(self) -> None:
        self._of: Remembered[str, _Refusals] = Remembered(_Refusals)

    def take(self, who: str, now: float) -> int:
        """How many were left out before this one; :data:`LEFT_OUT` if this one is."""
        refusals = self._of.of(who, now)
        if not refusals.bucket.take(now):
            refusals.left_out += 1
            return LEFT_OUT
        left_out, refusals.left_out = refusals.left_out, 0
        return left_out


class _Refusals:
    """Those of one that asks."""

    def __init__(self) -> None:
        self.bucket = TokenBucket(REFUSED_RATE, REFUSED_BURST)
        self.left_out = 0
