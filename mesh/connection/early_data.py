"""Early data: what a client says before its connection is open, carried by the OPEN; and the early answer.

An OPEN under a pair session has room for the client's first bytes, and the ACCEPT for the target's. So a
connection, a request and its answer take one round trip of the path together. Each is the first segment of
its direction, carried in another frame.

An exit hands early data over as soon as it has reached the target. So nobody can tell what became of it as
long as the exit does not answer, and its client can be led to no other: it is reset in the end, as with any
request whose answer is lost. An exit that may be gone is therefore given none.
"""

from math import inf
from typing import Final

from mesh.connection.party import Party
from mesh.trust.identity import AgentId, Instance

LEAST_WAIT_S: Final = 0.001
MOST_WAIT_S: Final = 0.005
WAIT_SHARE: Final = 8
"""A client that has come has so long to speak: this part of the path's round trip, between these."""

MOST_PASSED: Final = 1024
FIRST_PASSED: Final = 8
"""Clients that are not waited for after one that said nothing in time; twice as many after the next."""

ANSWER_WAIT_S: Final = 0.002
"""How long an exit waits for what the target answers, to send it with the ACCEPT: that spares a frame, and a
client that waits for the answer loses nothing by it."""

REACH_PATIENCE_S: Final = 0.5
"""How long early data waits at an exit for its target to be reached, before the exit says that it still has
it: as long as an ingress waits that has given none away, and may ask others (``HEDGE_AFTER_S``)."""

HEARD_S: Final = 1.0
"""An exit of which nothing was heard for so long gets no early data."""

SLOW_S: Final = 10.0
"""Nor does one for so long that could not hand it over soon."""

LEAST_PATIENCE_S: Final = 0.03
MOST_PATIENCE_S: Final = 0.5
"""Nor one that owes an answer to early data for twice as long as its slowest of late took, within these."""

_FADES: Final = 8
"""With each answer that took less, the slowest falls by this part of itself."""

MAX_EXITS: Final = 4096
"""Of which it is known when they were heard; at some 250 bytes each. Of more, the first are forgotten."""


def first_words_wait_s(rtt_s: float) -> float:
    """Seconds for which to wait for a client's first bytes, where the path takes so long there and back."""
    return min(max(LEAST_WAIT_S, rtt_s / WAIT_SHARE), MOST_WAIT_S)


class SpeakingHabit:
    """Whether the clients of one listener speak at once, as those of most services do."""

    __slots__ = ("_passed", "_to_pass")

    def __init__(self) -> None:
        self._passed = 0
        self._to_pass = 0

    def is_worth_waiting(self) -> bool:
        """Whether to wait for what the client that has come will say."""
        if self._to_pass:
            self._to_pass -= 1
            return False
        return True

    def spoke(self) -> None:
        """A client has spoken in time."""
        self._passed = self._to_pass = 0

    def was_silent(self) -> None:
        """A client was waited for in vain."""
        self._passed = self._to_pass = min(max(FIRST_PASSED, 2 * self._passed), MOST_PASSED)


class _Exit:
    """One exit instance, as it was heard."""

    __slots__ = ("heard_at", "instance", "owes_since", "slow_until", "slowest_s")

    def __init__(self, instance: Instance, now: float) -> None:
        self.instance = instance
        self.heard_at = now
        self.slowest_s = 0.0
        self.owes_since = inf
        """Since when it owes an answer to early data and has not been heard."""
        self.slow_until = -inf
        """Until when it is given none, for it could not hand it over soon."""


class HeardExits:
    """When exits were last heard, end to end: who has been silent may be gone."""

    __slots__ = ("_exits",)

    def __init__(self) -> None:
        self._exits: dict[AgentId, _Exit] = {}

    def heard(self, exit_: Party, took_s: float, now: float) -> None:
        """It has answered an OPEN, which has taken so long."""
        known = self._exits.get(exit_.id)
        if known is None or known.instance != exit_.instance:
            if known is None and len(self._exits) >= MAX_EXITS:
                del self._exits[next(iter(self._exits))]
            known = self._exits[exit_.id] = _Exit(exit_.instance, now)
        known.heard_at, known.owes_since = now, inf
        known.slowest_s = max(took_s, known.slowest_s - known.slowest_s / _FADES)

    def asked(self, exit_: Party, now: float) -> None:
        """It is sent early data, which it is to answer."""
        known = self._exits.get(exit_.id)
        if known is not None and known.owes_since == inf:
            known.owes_since = now

    def was_slow(self, exit_: Party, now: float) -> None:
        """It has given early data back, as its target takes long to be reached."""
        known = self._exits.get(exit_.id)
        if known is not None:
            known.slow_until = now + SLOW_S

    def is_there(self, exit_: Party, now: float) -> bool:
        """Whether this instance was heard of late, owes no answer for long, and was not slow."""
        known = self._exits.get(exit_.id)
        if known is None or known.instance != exit_.instance or now >= known.heard_at + HEARD_S:
            return False
        if now < known.slow_until:
            return False
        patience_s = min(max(LEAST_PATIENCE_S, 2 * known.slowest_s), MOST_PATIENCE_S)
        return now < known.owes_since + patience_s
