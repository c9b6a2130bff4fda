"""Whether the other end is still there: what it owes an answer for, and since when."""

from math import inf
from typing import Final

from mesh.connection.stream.rtt import INITIAL_TIMEOUT_S, MAX_TIMEOUT_S, RoundTrip

MAX_CREDIT_PROBE_S: Final = 10.0
"""Longest time between two questions for credit, while the other end answers that there is none."""

UNKNOWNS_TO_END: Final = 3
"""Questions answered by UNKNOWN, and by nothing authentic, after which the other end is gone."""

UNKNOWNS_TO_CLOSE: Final = 2
"""The same, if nothing but the acknowledgement of the own FIN is missing. The second question is asked a
whole timeout after the first: had the other end been there, its answer would have come before."""


class Liveness:
    """Keeps the time of the next question, and counts what came of the last ones.

    Args:
        rtt: of the path.
        reroute_timeout_s: unanswered for so long, the other end is out of reach.
        idle_probe_s: silence after which to ask.
    """

    __slots__ = (
        "_asked_at",
        "_awaits_unknown",
        "_heard_at",
        "_idle_probe_s",
        "_persisting",
        "_reroute_timeout_s",
        "_rtt",
        "_tries",
        "_unknowns",
        "due",
        "heard",
    )

    def __init__(self, rtt: RoundTrip, reroute_timeout_s: float, idle_probe_s: float) -> None:
        self._rtt = rtt
        self._reroute_timeout_s = reroute_timeout_s
        self._idle_probe_s = idle_probe_s
        self.due = inf
        """When to ask (again)."""
        self.heard = False
        """Whether anything authentic has arrived."""
        self._heard_at = -inf
        self._asked_at = inf
        """Since when an answer is owed."""
        self._tries = 0
        """Repetitions of the question."""
        self._persisting = False
        """The question is for credit."""
        self._unknowns = 0
        """Questions answered by UNKNOWN since something authentic was heard, the first UNKNOWN included."""
        self._awaits_unknown = False

    def owed(self, now: float) -> None:
        """What has been sent must be answered."""
        if self._asked_at == inf:
            self._asked_at = now
            # Data may wait in a queue for longer than an exit waits to be chosen, or than an end is waited
            # for. A question and its answer do not: they go first everywhere.
            self.due = min(self.due, now + (MAX_TIMEOUT_S if self.heard else INITIAL_TIMEOUT_S))

    def ask_at(self, due: float, now: float) -> None:
        """What has been sent must be answered, and is asked about then."""
        self.owed(now)
        self.due = due

    @property
    def answered_at_once(self) -> bool:
        """Whether what is heard may answer a question that was asked once: the path works as before."""
        return self._tries == 1

    def asked(self, now: float) -> None:
        """A question has been sent; set the time to repeat it."""
        self.owed(now)
        self._awaits_unknown = True
        longest = MAX_CREDIT_PROBE_S if self._persisting else MAX_TIMEOUT_S
        repeat_at = now + self._rtt.backed_off_s(self._tries, longest)
        self.due = min(repeat_at, self._asked_at + self._reroute_timeout_s)
        self._tries += 1

    def hear(self, now: float, *, outstanding: bool, starved: bool) -> None:
        """Something authentic and new has arrived.

        Args:
            now: seconds.
            outstanding: segments are still unacknowledged.
            starved: the other end has given no credit to go on with.
        """
        self.heard = True
        self._heard_at = now
        self._unknowns = 0
        self._awaits_unknown = False
        self._asked_at = now if outstanding else inf
        if not starved:
            self._persisting = False
            self._tries = 0
            self.due = now + (MAX_TIMEOUT_S if outstanding else self._idle_probe_s)
        elif not self._persisting:
            self._persisting = True
            self._tries = 1
            self.due = now + self._rtt.timeout_s

    def unknown(self) -> bool:
        """UNKNOWN has arrived, which nothing vouches for; return whether to ask at once."""
        if not self._unknowns:
            self._unknowns = 1
            self._tries = 0
            return True
        if self._awaits_unknown:
            self._awaits_unknown = False
            self._unknowns += 1
        return False

    def gone(self, *, closing: bool) -> bool:
        """Whether the other end's agent does not know the connection, asked again and again.

        Args:
            closing: nothing but the acknowledgement of the own FIN is missing.
        """
        return self._unknowns > (UNKNOWNS_TO_CLOSE if closing else UNKNOWNS_TO_END)

    @property
    def asking(self) -> bool:
        """Whether a question waits for its answer."""
        return self._tries > 0

    def silent_s(self, now: float) -> float:
        """For how long an answer to what was asked twice has been owed; 0 if it is not."""
        return now - self._asked_at if self._tries > 1 and self._asked_at != inf else 0.0

    def overdue(self, now: float) -> bool:
        """Whether the other end has owed an answer for too long."""
        return now >= self._asked_at + self._reroute_timeout_s

    def concerned(self, now: float) -> bool:
        """Whether a change of path may have cost something: an answer is owed, or traffic was recent."""
        return self._asked_at != inf or self._persisting or now < self._heard_at + self._reroute_timeout_s

    def start_over(self) -> None:
        """Repeat questions quickly again."""
        self._tries = 0

    def forgive(self) -> None:
        """No answer is owed any more."""
        self._asked_at = self.due = inf
        self._persisting = False
