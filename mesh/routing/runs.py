"""Which runs of one agent have been heard of, and whether two of them run at once.

A run is an instance and its session key: a process has one of each for as long as it lives. An agent that
is restarted is heard of as another run, and never as the former one again. So two agents have one identity
when a run comes back after another, or when one instance has two session keys. Then everybody holds on to
the run that was known first, for as long as that is refreshed and has not left: what the other says changes
no route, but is passed on now and then, so that everybody hears of it.
"""

from typing import Final, NamedTuple

import msgspec

from mesh.routing.records import RecordBody
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import Instance

MAX_KNOWN_RUNS: Final = 8
"""Runs of an agent that are recognised when they come back."""

TWIN_RATE: Final = 0.04
TWIN_BURST: Final = 2.0
"""Records of a run that is not held on to, a second, and at once, that are verified, reported and passed
on; and as many again by which such a run withdraws."""


class Run(NamedTuple):
    """One run of an agent's process."""

    instance: Instance
    session_key: bytes

    @classmethod
    def of(cls, body: RecordBody) -> "Run":
        """The run that says ``body``."""
        return cls(body.instance, body.session_key)


class Runs(msgspec.Struct, frozen=True):
    """The runs of one agent that have been heard of, the present one among them."""

    known: tuple[tuple[Run, float], ...]
    """Each with the monotonic time of its first record here, the first run first."""
    rate: TokenBucket
    """How many more records of a run that is not held on to are looked at now."""
    farewells: TokenBucket
    """How many more of those by which such a run withdraws: that it has gone is heard whatever it said."""
    is_held: bool = False
    """Whether two run at once, and the present one is the first of them."""

    @classmethod
    def first(cls, body: RecordBody, now: float) -> "Runs":
        """Those of an agent that says ``body`` and that nobody had heard of."""
        rates = TokenBucket(TWIN_RATE, TWIN_BURST), TokenBucket(TWIN_RATE, TWIN_BURST)
        return cls(((Run.of(body), now),), *rates)

    def refuses(self, present: RecordBody, born_s: float, other: RecordBody) -> bool:
        """Whether ``other`` is of a run that may not take the place of ``present``, signed at ``born_s``."""
        now, then = Run.of(present), Run.of(other)
        if now == then or present.withdrawn:
            return False
        if self.is_held or now.instance == then.instance:
            return True
        runs = [run for run, _ in self.known]
        return self._overlap(born_s, then) and runs.index(now) < runs.index(then)

    def _overlap(self, born_s: float, then: Run) -> bool:
        """Whether ``then``, which speaks again, had been heard of when the present run signed what it says.

        What a run of before has left in the mesh is older than that: it may come between two records of the
        present one, where a clock was set back.
        """
        return any(run == then and born_s > seen_s for run, seen_s in self.known)

    def held(self) -> "Runs":
        """These, now that two are known to run at once."""
        return msgspec.structs.replace(self, is_held=True)

    def followed_by(self, present: RecordBody, born_s: float, other: RecordBody, now: float) -> "Runs":
        """These, now that ``other`` is in the place of ``present``, which was signed at ``born_s``."""
        then = Run.of(other)
        if Run.of(present) == then:
            return self
        if any(run == then for run, _ in self.known):
            return msgspec.structs.replace(self, is_held=self._overlap(born_s, then))
        known = (*self.known, (then, now))
        # The first stays known: it is the one to hold on to if it comes back.
        known = known if len(known) <= MAX_KNOWN_RUNS else (known[0], *known[2:])
        return msgspec.structs.replace(self, known=known, is_held=False)
