"""Which runs of one agent have been heard of, and whether two of them run at once.

A run is an instance and its session key: a process has one of each for as long as it lives. An agent that
is restarted is heard of as another run. What the former one has left in the mesh may come after that, for it
lay in the buffers of a link or of an agent that stood still; but the new run jumps past it, and it is not
heard of again. So two agents have one identity when a run comes back a second time after others, or when
one instance has two session keys. The age of a record proves nothing of this: it is not signed, and what
lies in a buffer does not grow older.

Then everybody holds on to the run that was known first, for as long as that is refreshed and has not left:
what the other says changes no route, but is passed on now and then, so that everybody hears of it.
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

    known: tuple[tuple[Run, bool], ...]
    """Each with whether it has come back after another, the first run first."""
    rate: TokenBucket
    """How many more records of a run that is not held on to are looked at now."""
    farewells: TokenBucket
    """How many more of those by which such a run withdraws: that it has gone is heard whatever it said."""
    is_held: bool = False
    """Whether two run at once, and the present one is the first of them."""

    @classmethod
    def first(cls, body: RecordBody) -> "Runs":
        """Those of an agent that says ``body`` and that nobody had heard of."""
        rates = TokenBucket(TWIN_RATE, TWIN_BURST), TokenBucket(TWIN_RATE, TWIN_BURST)
        return cls(((Run.of(body), False),), *rates)

    def refuses(self, present: RecordBody, other: RecordBody) -> bool:
        """Whether ``other`` is of a run that may not take the place of ``present``."""
        now, then = Run.of(present), Run.of(other)
        if now == then or present.withdrawn:
            return False
        if self.is_held or now.instance == then.instance:
            return True
        runs = [run for run, _ in self.known]
        return (then, True) in self.known and runs.index(now) < runs.index(then)

    def held(self) -> "Runs":
        """These, now that two are known to run at once."""
        return msgspec.structs.replace(self, is_held=True)

    def followed_by(self, present: RecordBody, other: RecordBody) -> "Runs":
        """These, now that ``other`` is in the place of ``present``."""
        then = Run.of(other)
        if Run.of(present) == then:
            return self
        if any(run == then for run, _ in self.known):
            came_back = (then, True) in self.known
            known = tuple((run, returned or run == then) for run, returned in self.known)
            return msgspec.structs.replace(self, known=known, is_held=came_back)
        known = (*self.known, (then, False))
        # The first stays known: it is the one to hold on to if it comes back.
        known = known if len(known) <= MAX_KNOWN_RUNS else (known[0], *known[2:])
        return msgspec.structs.replace(self, known=known, is_held=False)
